"""From a table to answers in one script: shoal.data prepares, shoal.train trains, shoal.tune searches, shoal.serve answers.

The rows are read and cleaned, split, and standardized by what the training rows say. A trainer learns them with XGBoost, in as many workers
as are asked for; the search runs it with one configuration after the other, and ends bad ones early. The best model then predicts the rows
that were held out, as a dataset again; and it is served, and asked for some of them over HTTP, which has to give the same.

    ./run-example pipeline                    # or: python examples/pipeline.py
    ./run-example pipeline --csv housing.csv  # with a copy of the data
    ./run-example pipeline --quick            # a few trials
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import fetch_california_housing, load_diabetes

import shoal
from shoal import data, serve, tune
from shoal.data.preprocessors import StandardScaler
from shoal.train import Checkpoint, RunConfig, ScalingConfig
from shoal.train.xgboost import RayTrainReportCallback, XGBoostTrainer
from shoal.tune.schedulers import ASHAScheduler

TARGET = "median_house_value"
METRIC = "valid-rmse"


# --- data: from a file to two datasets ------------------------------------------------------------------------------------------


def prepared(csv: Path | None, seed: int) -> tuple[data.Dataset, data.Dataset]:
    """Returns the rows to learn from and the rows to be judged by: numbers only, standardized, none missing."""
    rows = data.read_csv(str(csv)) if csv is not None else data.from_pandas(fetched())
    schema = rows.schema()
    assert schema is not None
    words = [name for name, kind in zip(schema.names, schema.types, strict=True) if "string" in str(kind)]
    rows = rows.drop_columns(words) if words else rows
    rows = rows.map_batches(lambda batch: batch.dropna(), batch_format="pandas")
    learned, judged = rows.train_test_split(0.25, shuffle=True, seed=seed)
    scaler = StandardScaler([name for name in schema.names if name != TARGET and name not in words]).fit(learned)
    return scaler.transform(learned).materialize(), scaler.transform(judged).materialize()


def fetched() -> pd.DataFrame:
    """Returns the California housing data, or what scikit-learn ships where there is no network."""
    try:
        with warnings.catch_warnings(action="ignore"):  # about each try to connect
            table = fetch_california_housing(as_frame=True, n_retries=1)
    except OSError as error:
        print(f"The California housing data could not be fetched ({error}); using scikit-learn's diabetes data.")
        table = load_diabetes(as_frame=True)
    return table.data.assign(**{TARGET: table.target})


# --- train: what each worker runs -----------------------------------------------------------------------------------------------


def train_loop(config: dict[str, Any]) -> None:
    """Learns this worker's part of the rows, together with the others; reports each round, and the model at the end."""
    import xgboost

    from shoal import train

    matrices = {}
    for name in ("train", "valid"):
        table = train.get_dataset_shard(name).materialize().to_pandas()
        matrices[name] = xgboost.DMatrix(table.drop(columns=[TARGET]), label=table[TARGET])
    xgboost.train(
        {"objective": "reg:squarederror", "nthread": 1, **config["params"]},
        matrices["train"],
        num_boost_round=config["rounds"],
        evals=[(matrices["valid"], "valid")],
        verbose_eval=False,
        callbacks=[RayTrainReportCallback(frequency=5)],
    )


# --- tune: which configuration is the best --------------------------------------------------------------------------------------


def search(learned: data.Dataset, judged: data.Dataset, options: argparse.Namespace, folder: str) -> tune.ResultGrid:
    trainer = XGBoostTrainer(
        train_loop,
        scaling_config=ScalingConfig(num_workers=options.workers),
        datasets={"train": learned, "valid": judged},
    )
    tuner = tune.Tuner(
        trainer,
        param_space={
            "train_loop_config": {
                "rounds": options.rounds,
                "params": {
                    "eta": tune.loguniform(0.02, 0.5),
                    "max_depth": tune.randint(2, 9),
                    "subsample": tune.uniform(0.5, 1.0),
                },
            }
        },
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="min",
            num_samples=options.trials,
            seed=options.seed,
            scheduler=ASHAScheduler(max_t=options.rounds + 1, grace_period=5, reduction_factor=3),
        ),
        run_config=RunConfig(name="houses", storage_path=folder),
    )
    return tuner.fit()


class Predictor:
    """Adds a column with what a model predicts."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model = RayTrainReportCallback.get_model(checkpoint)

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        import xgboost

        return batch.assign(prediction=self.model.predict(xgboost.DMatrix(batch.drop(columns=[TARGET]))))


# --- serve: the best model answers ----------------------------------------------------------------------------------------------


@serve.deployment(max_ongoing_requests=100)
class Houses:
    """Answers with what the model predicts for one row; those that come together are predicted together."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.predictor = Predictor(checkpoint)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def predict(self, rows: list[dict[str, float]]) -> list[float]:
        predicted = self.predictor(pd.DataFrame(rows).assign(**{TARGET: 0.0}))
        return [float(value) for value in predicted["prediction"]]

    async def __call__(self, request: Any) -> float:
        answer: float = await self.predict(await request.json())
        return answer


def ask(url: str, row: dict[str, float]) -> float:
    with urllib.request.urlopen(url, json.dumps(row).encode(), timeout=30) as answer:
        return float(answer.read())


def served(checkpoint: Checkpoint, predicted: pd.DataFrame) -> int:
    """Serves the model, asks it for rows, and returns how many answers are those of the dataset."""
    host, port = serve.start(http_options={"port": 0})
    serve.run(Houses.bind(checkpoint), name="houses", route_prefix="/houses")
    same = 0
    for row in predicted.to_dict("records"):
        expected = row.pop("prediction")
        del row[TARGET]
        same += bool(np.isclose(ask(f"http://{host}:{port}/houses", row), expected, rtol=1e-5))
    serve.shutdown()
    return same


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prepares data, trains models and searches for the best one.")
    parser.add_argument("--csv", type=Path, metavar="PATH", help="read the data from this file instead of fetching it")
    parser.add_argument("--trials", type=int, default=20, metavar="N", help="configurations that are tried")
    parser.add_argument("--rounds", type=int, default=60, metavar="N", help="of a trial that is not ended early")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="of each trial")
    parser.add_argument("--cpus", type=int, default=max(2, len(os.sched_getaffinity(0))), metavar="N", help="to use")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and of the search")
    parser.add_argument("--folder", metavar="PATH", help="for what the search stores (default: one that goes)")
    parser.add_argument("--quick", action="store_true", help="few trials and rounds, to see that it works")
    options = parser.parse_args(arguments)
    if min(options.trials, options.rounds, options.workers, options.cpus) < 1:
        parser.error("--trials, --rounds, --workers and --cpus are numbers from 1 up")
    if options.quick:
        options.trials, options.rounds = min(options.trials, 4), min(options.rounds, 10)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    shoal.init(num_cpus=options.cpus)
    learned, judged = prepared(options.csv, options.seed)
    print(f"data: {learned.count():,} rows to learn from, {judged.count():,} to be judged by")
    with tempfile.TemporaryDirectory() as scratch:
        results = search(learned, judged, options, options.folder or scratch)
        for error in results.errors:
            print(f"a trial failed: {error}")
        best = results.get_best_result()
        assert best.metrics is not None and best.checkpoint is not None
        parameters = (best.config or {})["train_loop_config"]["params"]
        print(f"tune: the best of {len(results)} trials has {METRIC} {best.metrics[METRIC]:.4g}, with")
        for name, value in parameters.items():
            print(f"  {name:<10} {value:.4g}")
        predicted = judged.map_batches(
            Predictor, fn_constructor_args=(best.checkpoint,), batch_format="pandas", concurrency=1
        ).to_pandas()
        asked = predicted.head(20)
        same = served(best.checkpoint, asked)
    rest = ((predicted["prediction"] - predicted[TARGET]) ** 2).sum()
    spread = ((predicted[TARGET] - np.mean(predicted[TARGET])) ** 2).sum()
    print(f"predictions of its model: R² {1 - rest / spread:.4f} on {len(predicted):,} rows that it has not seen")
    print(f"serve: {same} of {len(asked)} answers over HTTP are the same")
    shoal.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
