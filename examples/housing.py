"""One hundred models on random splits of the California housing data: one after the other, then in parallel.

The same function trains in both cases. What differs is `shoal.remote` around it, `.remote(...)` to call it and `shoal.get` for its result.
Linear models are over in milliseconds, so the second part trains random forests, where there is real work to share. The first parallel
part also pays for what happens once: workers start and import scikit-learn.

    ./run-example                    # or: python examples/housing.py
    ./run-example --csv housing.csv  # with a copy of the data, e.g. the well-known one with total_bedrooms and ocean_proximity
    ./run-example --quick            # a few seconds
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.progress import Progress
from sklearn.datasets import fetch_california_housing, load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

import shoal


class Data(NamedTuple):
    """A table to learn from, all of it numbers, with holes where a value is missing."""

    title: str
    features: pd.DataFrame
    target: pd.Series[float]


Train = Callable[[Data, int], float]


def train_linear_model(data: Data, seed: int) -> float:
    """Fits a linear model to four fifths of the rows, drawn by `seed`, and returns its R² on the others."""
    return score(LinearRegression(), data, seed)


def train_forest(data: Data, seed: int) -> float:
    """The same with a random forest: about half a second's work, with more trees where there are fewer rows."""
    trees = 200_000 // len(data.features) + 1
    return score(RandomForestRegressor(n_estimators=trees, max_depth=12, random_state=seed), data, seed)


def score(regressor: Any, data: Data, seed: int) -> float:
    # The split is drawn from the task's own seed. A global random state would be shared, or copied, by the processes that run the tasks.
    parts = train_test_split(data.features, data.target, test_size=0.2, random_state=seed)
    train_features, test_features, train_target, test_target = parts
    model = make_pipeline(SimpleImputer(strategy="median"), regressor)
    model.fit(train_features, train_target)
    return float(model.score(test_features, test_target))


def train_sequentially(train: Train, data: Data, seeds: Iterable[int], done: Callable[[], None]) -> list[float]:
    scores = []
    for seed in seeds:
        scores.append(train(data, seed))
        done()
    return scores


def train_in_parallel(train: Train, data: Data, seeds: Iterable[int], done: Callable[[], None]) -> list[float]:
    remote_train = shoal.remote(train)  # what the decorator @shoal.remote does
    data_ref = shoal.put(data)  # stored once; every task reads it from shared memory
    refs = [remote_train.remote(data_ref, seed) for seed in seeds]
    pending = refs
    while pending:
        _, pending = shoal.wait(pending)
        done()
    return shoal.get(refs)


def load_data(csv: str | None) -> Data:
    if csv is not None:
        table = pd.read_csv(csv)
        target = table.pop("median_house_value")
        # A column of words (ocean_proximity) becomes one column of 0 and 1 a word.
        return Data(f"California housing from {csv}", pd.get_dummies(table, dtype=float), target)
    try:
        with warnings.catch_warnings(action="ignore"):  # about each try to connect
            features, target = fetch_california_housing(return_X_y=True, as_frame=True, n_retries=1)
    except OSError as error:
        print(
            f"The California housing data could not be fetched ({error}); using scikit-learn's bundled diabetes data."
        )
        features, target = load_diabetes(return_X_y=True, as_frame=True)
        return Data("diabetes data bundled with scikit-learn", features, target)
    return Data("California housing from scikit-learn", features, target)


class Outcome(NamedTuple):
    seconds: float
    mean_score: float


def measure(title: str, run: Callable[..., list[float]], train: Train, data: Data, seeds: range) -> Outcome:
    """Runs one way of training with a progress bar (none where the output is no terminal), and prints what came out."""
    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        bar = progress.add_task(title, total=len(seeds))
        start = time.perf_counter()
        scores = run(train, data, seeds, done=lambda: progress.advance(bar))
        outcome = Outcome(time.perf_counter() - start, statistics.fmean(scores))
    print(f"  {title:<14} {outcome.seconds:7.2f} s   mean R² {outcome.mean_score:.6f}")
    return outcome


def compare(title: str, train: Train, data: Data, seeds: range, workers: int) -> None:
    print(f"\n{len(seeds)} {title}")
    one_by_one = measure("sequential", train_sequentially, train, data, seeds)
    together = measure(f"on {workers} cores", train_in_parallel, train, data, seeds)
    print(f"  {'speed-up':<14} {one_by_one.seconds / together.seconds:7.2f}")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains 100 models one after the other, then in parallel.")
    parser.add_argument("--csv", metavar="PATH", help="read the data from this file instead of fetching it")
    parser.add_argument(
        "--models", type=int, default=100, metavar="N", help="linear models, and a fifth as many forests"
    )
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="cores to use")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="model i is trained with seed N + i")
    parser.add_argument("--quick", action="store_true", help="fewer models and rows, to see that it works")
    options = parser.parse_args(arguments)
    if options.models < 1 or options.workers < 1:
        parser.error("--models and --workers are numbers from 1 up")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    models = min(options.models, 20) if options.quick else options.models
    forests = max(2, models // 5)

    data = load_data(options.csv)
    if options.quick:
        data = Data(data.title, data.features.head(2000), data.target.head(2000))
    print(f"{data.title}: {len(data.features):,} rows, {data.features.shape[1]} columns")

    shoal.init(num_cpus=options.workers)
    compare("linear models", train_linear_model, data, range(options.seed, options.seed + models), options.workers)
    compare("random forests", train_forest, data, range(options.seed, options.seed + forests), options.workers)
    shoal.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
