"""Distributed training: a small network, two workers, checkpoints, and with --chaos a worker that is killed in the middle.

The images are handwritten digits: the data set that scikit-learn ships, so nothing is fetched. With --csv the prices of California housing
are learned instead. The same seed gives the same model, however often the workers had to be started again: with --chaos the training runs
twice, once undisturbed, and both have to end with the same score.

    ./run-example train_digits
    ./run-example train_digits --chaos
    ./run-example train_digits --csv housing.csv
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import shoal
from shoal import train
from shoal.train import Checkpoint, CheckpointConfig, FailureConfig, Result, RunConfig, ScalingConfig
from shoal.train.torch import TorchTrainer, get_device, prepare_data_loader, prepare_model

HOUSING_TARGET = "median_house_value"


class Data(NamedTuple):
    """What is learned: rows to train on and rows to test on; `classes` is 1 where the target is an amount."""

    title: str
    train_features: np.ndarray[Any, Any]
    train_targets: np.ndarray[Any, Any]
    test_features: np.ndarray[Any, Any]
    test_targets: np.ndarray[Any, Any]
    classes: int

    @property
    def score(self) -> str:
        return "accuracy" if self.classes > 1 else "R²"


# --- what each worker runs ------------------------------------------------------------------------------------------------------


def train_loop(config: dict[str, Any]) -> None:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

    data: Data = shoal.get(config["data"])  # read from shared memory
    torch.manual_seed(config["seed"])
    width = data.train_features.shape[1]
    model = prepare_model(nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, data.classes)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    loss_of: nn.Module = nn.CrossEntropyLoss() if data.classes > 1 else nn.MSELoss()

    rows = TensorDataset(torch.tensor(data.train_features), torch.tensor(data.train_targets))
    loader = prepare_data_loader(DataLoader(rows, batch_size=32, shuffle=True))

    first_epoch = 0
    if (checkpoint := train.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            state = torch.load(Path(folder) / "state.pt", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first_epoch = state["epoch"] + 1

    is_first = train.get_context().get_world_rank() == 0
    for epoch in range(first_epoch, config["epochs"]):
        torch.manual_seed(config["seed"] + epoch)  # chance is the same after a restart
        if isinstance(loader.sampler, DistributedSampler):
            loader.sampler.set_epoch(epoch)
        losses = []
        for step, (features, targets) in enumerate(loader):
            if config["chaos"] and step == 2:
                be_killed(config, epoch)
            loss = loss_of(model(features).squeeze(-1), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        metrics = {"epoch": epoch, "loss": float(np.mean(losses)), data.score: score(model, data)}
        with tempfile.TemporaryDirectory() as folder:
            if is_first:
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
                torch.save(state, Path(folder) / "state.pt")
            train.report(metrics, checkpoint=Checkpoint.from_directory(folder) if is_first else None)


def score(model: Any, data: Data) -> float:
    """The share of test images that are recognized, or R² of the predicted prices."""
    import torch

    with torch.no_grad():
        found = model(torch.tensor(data.test_features).to(get_device())).cpu().numpy()
    if data.classes > 1:
        return float((found.argmax(1) == data.test_targets).mean())
    residual = ((found.squeeze(-1) - data.test_targets) ** 2).sum()
    return float(1 - residual / ((data.test_targets - data.test_targets.mean()) ** 2).sum())


def be_killed(config: dict[str, Any], epoch: int) -> None:
    """The last worker is killed in the middle of the run, without a word: as by a machine's lack of memory. Once."""
    context, mark = train.get_context(), Path(config["chaos"]) / "killed"
    if (
        context.get_world_rank() == context.get_world_size() - 1
        and epoch == config["epochs"] // 2
        and not mark.exists()
    ):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


# --- data -----------------------------------------------------------------------------------------------------------------------


def load_digits(seed: int) -> Data:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return split("digits bundled with scikit-learn", digits.data / 16, digits.target.astype(np.int64), 10, seed)


def load_houses(csv: Path, seed: int) -> Data:
    import pandas as pd

    table = pd.read_csv(csv)
    target = np.log(table.pop(HOUSING_TARGET).to_numpy(np.float32))
    # A column of words (ocean_proximity) becomes one column of 0 and 1 a word; where a value is missing, the column's median stands in.
    features = pd.get_dummies(table, dtype=float).pipe(lambda numbers: numbers.fillna(numbers.median()))
    spread = features.std().replace(0, 1)
    standardized = ((features - features.mean()) / spread).to_numpy()
    return split(f"California housing from {csv}", standardized, (target - target.mean()) / target.std(), 1, seed)


def split(title: str, features: Any, targets: Any, classes: int, seed: int) -> Data:
    """A fifth of the rows, drawn by the seed, are for testing."""
    order = np.random.default_rng(seed).permutation(len(features))
    test, rest = np.split(order, [len(order) // 5])
    features = features.astype(np.float32)
    return Data(title, features[rest], targets[rest], features[test], targets[test], classes)


# --- the program ----------------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    data = load_houses(options.csv, options.seed) if options.csv else load_digits(options.seed)
    print(f"{data.title}: {len(data.train_features):,} rows to train on, {len(data.test_features):,} to test on")
    shoal.init(num_cpus=max(options.workers, len(os.sched_getaffinity(0))))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = options.storage or Path(scratch) / "runs"
            undisturbed = run(data, options, folder, None)
            show(undisturbed, data)
            if not options.chaos:
                return 0
            disturbed = run(data, options, folder, scratch)
            show(disturbed, data)
            return compare(undisturbed, disturbed, data)
    finally:
        shoal.shutdown()


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains a small network in several workers, with checkpoints.")
    parser.add_argument("--csv", type=Path, metavar="PATH", help="California housing: learn its prices instead")
    parser.add_argument("--chaos", action="store_true", help="train again, kill a worker in the middle, and compare")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that train (default: 2)")
    parser.add_argument("--epochs", type=int, default=12, metavar="N", help="(default: 12)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split, the weights and the order")
    parser.add_argument(
        "--storage", type=Path, metavar="FOLDER", help="where checkpoints are kept (default: a temporary folder)"
    )
    options = parser.parse_args(arguments)
    if options.workers < 1 or options.epochs < 1:
        parser.error("--workers and --epochs are numbers from 1 up")
    return options


def run(data: Data, options: argparse.Namespace, folder: Path, chaos: str | None) -> Result:
    title = "with a worker that is killed" if chaos else "undisturbed"
    started = time.perf_counter()
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={"data": shoal.put(data), "epochs": options.epochs, "seed": options.seed, "chaos": chaos},
        scaling_config=ScalingConfig(num_workers=options.workers),
        run_config=RunConfig(
            storage_path=folder,
            checkpoint_config=CheckpointConfig(num_to_keep=2, checkpoint_score_attribute=data.score),
            failure_config=FailureConfig(max_failures=1 if chaos else 0),
        ),
    )
    result = trainer.fit()
    print(f"\n{title}: {options.workers} workers, {options.epochs} epochs in {time.perf_counter() - started:.1f} s")
    return result


def show(result: Result, data: Data) -> None:
    """The epochs, as they were reported; those that came twice were trained twice, after the restart."""
    table = Table("epoch", "loss", data.score, "", box=None)
    for metrics in result.metrics_dataframe.to_dict("records"):
        share = max(0.0, metrics[data.score])
        table.add_row(
            str(metrics["epoch"]), f"{metrics['loss']:.4f}", f"{metrics[data.score]:.4f}", "█" * round(share * 30)
        )
    Console(width=80).print(table)


def compare(undisturbed: Result, disturbed: Result, data: Data) -> int:
    scores = [(result.metrics or {})[data.score] for result in (undisturbed, disturbed)]
    print(f"\n{data.score} undisturbed: {scores[0]:.6f}; with a worker that was killed: {scores[1]:.6f}")
    if scores[0] != scores[1]:
        print("These are not the same: training did not go on from where the checkpoint was.", file=sys.stderr)
        return 1
    print("The same.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
