"""Hyperparameter search: the best of many models that predict the price of a house, found by Optuna, with bad ones ended early by ASHA.

Two searches run, one after the other: of scikit-learn's gradient-boosted trees, and of a small network of torch. Trials report the score on
rows that they have not learned from; all trials read the rows from shared memory. Curves and the importance of parameters are drawn into a
folder, beside all that the trials reported.

    ./run-example tune_housing                    # or: python examples/tune_housing.py
    ./run-example tune_housing --csv housing.csv  # with a copy of the data
    ./run-example tune_housing --quick            # a few trials of a few steps
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import fetch_california_housing, load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import shoal
from shoal import tune
from shoal.tune.schedulers import ASHAScheduler
from shoal.tune.search.optuna import OptunaSearch

METRIC = "r2"
Array = np.ndarray[Any, np.dtype[np.float64]]


class Data(NamedTuple):
    """Rows to learn from and rows to be judged by, standardized."""

    features: Array
    target: Array
    test_features: Array
    test_target: Array


# --- what is tuned --------------------------------------------------------------------------------------------------------------


def boosted_trees(config: dict[str, Any], data: Data, steps: int) -> None:
    """Adds trees, and reports after each handful of them."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        learning_rate=config["learning_rate"],
        max_leaf_nodes=config["leaves"],
        l2_regularization=config["l2"],
        warm_start=True,
        early_stopping=False,
        random_state=0,
    )
    for step in range(1, steps + 1):
        model.set_params(max_iter=10 * step)
        model.fit(data.features, data.target)
        tune.report({METRIC: float(model.score(data.test_features, data.test_target)), "trees": 10 * step})


def network(config: dict[str, Any], data: Data, steps: int) -> None:
    """Trains a network, and reports after each epoch."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    width = data.features.shape[1]
    for _ in range(config["layers"]):
        layers += [nn.Linear(width, config["width"]), nn.ReLU(), nn.Dropout(config["dropout"])]
        width = config["width"]
    model = nn.Sequential(*layers, nn.Linear(width, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config["learning_rate"])
    tensors = [torch.tensor(part, dtype=torch.float32) for part in data]  # copies: shared memory is read-only
    features, target, test_features, test_target = tensors
    for _ in range(steps):
        model.train()
        order: Any = torch.randperm(len(features))
        for rows in order.split(config["batch"]):
            optimizer.zero_grad()
            loss: Any = nn.functional.mse_loss(model(features[rows])[:, 0], target[rows])
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            rest = ((model(test_features)[:, 0] - test_target) ** 2).sum() / (
                (test_target - test_target.mean()) ** 2
            ).sum()
        tune.report({METRIC: 1 - rest.item(), "loss": loss.item()})


SEARCHES: dict[str, tuple[Any, dict[str, Any]]] = {
    "boosted-trees": (
        boosted_trees,
        {
            "learning_rate": tune.loguniform(0.01, 0.5),
            "leaves": tune.randint(4, 64),
            "l2": tune.loguniform(1e-3, 10),
        },
    ),
    "network": (
        network,
        {
            "learning_rate": tune.loguniform(1e-4, 3e-2),
            "layers": tune.randint(1, 4),
            "width": tune.choice([16, 32, 64, 128]),
            "dropout": tune.uniform(0, 0.3),
            "batch": tune.choice([32, 128, 512]),
        },
    ),
}


# --- how it is tuned ------------------------------------------------------------------------------------------------------------


def search(name: str, data: Data, options: argparse.Namespace) -> tune.Result:
    """Runs a search, draws it, and returns the best trial's result."""
    trainable, space = SEARCHES[name]
    tuner = tune.Tuner(
        tune.with_parameters(trainable, data=data, steps=options.steps),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            num_samples=options.trials,
            search_alg=OptunaSearch(seed=options.seed),
            scheduler=ASHAScheduler(max_t=options.steps, grace_period=max(1, options.steps // 10), reduction_factor=3),
        ),
        run_config=tune.RunConfig(name=name, storage_path=options.folder),
    )
    results = tuner.fit()
    best = results.get_best_result(scope="all")
    scores = best.metrics_dataframe[METRIC]
    picture = Path(options.folder, f"{name}.png")
    results.plot(path=picture)
    print(f"\n{name}: R² {scores.max():.4f} after {scores.idxmax() + 1} of {options.steps} steps, with")
    for parameter, value in (best.config or {}).items():
        print(f"  {parameter:<14} {value:.4g}" if isinstance(value, float) else f"  {parameter:<14} {value}")
    whole = sum((result.metrics or {})["training_iteration"] == options.steps for result in results)
    print(f"{len(results)} trials, {whole} of them to their end; curves and importances: {picture}\n")
    return best


def load_data(csv: Path | None, seed: int, quick: bool) -> tuple[str, Data]:
    """Returns the data's title and the data."""
    title = "California housing from scikit-learn"
    if csv is not None:
        table = pd.read_csv(csv).dropna()
        target = table.pop("median_house_value")
        # A column of words (ocean_proximity) becomes one column of 0 and 1 a word.
        features, title = pd.get_dummies(table, dtype=float), f"California housing from {csv}"
    else:
        try:
            with warnings.catch_warnings(action="ignore"):  # about each try to connect
                features, target = fetch_california_housing(return_X_y=True, as_frame=True, n_retries=1)
        except OSError as error:
            print(f"The California housing data could not be fetched ({error}); using scikit-learn's diabetes data.")
            features, target = load_diabetes(return_X_y=True, as_frame=True)
            title = "diabetes data bundled with scikit-learn"
    if quick:
        features, target = features.head(1000), target.head(1000)
    parts = train_test_split(features.to_numpy(float), target.to_numpy(float), test_size=0.25, random_state=seed)
    train_features, test_features, train_target, test_target = parts
    scaler = StandardScaler().fit(train_features)
    center, spread = train_target.mean(), train_target.std()
    return title, Data(
        scaler.transform(train_features),
        (train_target - center) / spread,
        scaler.transform(test_features),
        (test_target - center) / spread,
    )


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Searches for the best model of houses' prices, with Optuna and ASHA.")
    parser.add_argument("--csv", type=Path, metavar="PATH", help="read the data from this file instead of fetching it")
    parser.add_argument("--trials", type=int, default=40, metavar="N", help="of each search")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of a trial that is not ended early")
    parser.add_argument("--only", choices=sorted(SEARCHES), help="run one of the two searches")
    parser.add_argument("--folder", default="tune-housing", metavar="PATH", help="for pictures and reports")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="cores to use")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of Optuna, and of the split of the data")
    parser.add_argument("--quick", action="store_true", help="few trials, steps and rows, to see that it works")
    options = parser.parse_args(arguments)
    if min(options.trials, options.steps, options.workers) < 1:
        parser.error("--trials, --steps and --workers are numbers from 1 up")
    if options.quick:
        options.trials, options.steps = min(options.trials, 6), min(options.steps, 4)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # trials are what runs in parallel
    title, data = load_data(options.csv, options.seed, options.quick)
    print(f"{title}: {len(data.target):,} rows to learn from, {len(data.test_target):,} to be judged by\n")
    Path(options.folder).mkdir(parents=True, exist_ok=True)
    shoal.init(num_cpus=options.workers)
    found = {name: search(name, data, options) for name in SEARCHES if options.only in (None, name)}
    shoal.shutdown()
    best = max(found, key=lambda name: found[name].metrics_dataframe[METRIC].max())
    print(f"The best of all: {best}, R² {found[best].metrics_dataframe[METRIC].max():.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
