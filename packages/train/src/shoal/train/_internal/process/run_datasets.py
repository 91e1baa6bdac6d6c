"""The datasets of a run: each rank's part of them, and how far a checkpoint has read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import shoal
from shoal.train._internal.logic.positions import Position, joined
from shoal.train.checkpoint import Checkpoint
from shoal.train.data_config import DataConfig
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data import DataIterator

_FILE = ".shoal_dataset_positions.json"
"""In a checkpoint's folder."""


class RunDatasets:
    """Starts what reads the datasets, one attempt at a time. Imports shoal.data only where there are any.

    Args:
        datasets: by name.
        config: which are divided.

    Raises:
        InvalidArgumentError: (a ValueError) something is no dataset, or the configuration names one that is not there.
    """

    def __init__(self, datasets: Mapping[str, Any], config: DataConfig) -> None:
        self._datasets = dict(datasets)
        self._config = config
        self._splitters: list[Any] = []
        if not datasets:
            return
        from shoal.data import Dataset

        for name, dataset in datasets.items():
            if not isinstance(dataset, Dataset):
                raise InvalidArgumentError(
                    f"datasets[{name!r}] is {type(dataset).__name__}; give a shoal.data.Dataset, as of shoal.data.from_items(...)"
                )
        named: Any = config.datasets_to_split
        missing = [] if named == "all" else [name for name in named if name not in datasets]
        if missing:
            raise InvalidArgumentError(
                f"datasets_to_split names {', '.join(map(repr, missing))}, and the trainer's datasets are {', '.join(map(repr, datasets))}"
            )

    def shards(self, workers: int, checkpoint: Checkpoint | None) -> list[dict[str, DataIterator]]:
        """Returns each rank's part of each dataset, which goes on where the checkpoint was made."""
        self.stop()
        shards: list[dict[str, DataIterator]] = [{} for _ in range(workers)]
        if not self._datasets:
            return shards
        if type(self._config).configure is not DataConfig.configure:
            return self._config.configure(self._datasets, workers, None, None)
        from shoal.train._internal.process.dataset_shard import DatasetShard, SplitPieces, WholePieces

        before = _read_positions(checkpoint)
        for name, given in self._datasets.items():
            dataset = self._with_options(name, given)
            schema = dataset.schema(fetch_if_missing=False)
            positions = [Position.from_json(rank[name]) for rank in before if name in rank]
            if self._config.splits(name):
                position = joined(positions)
                splitter = self._splitter(dataset, workers, position)
                for rank in range(workers):
                    shards[rank][name] = DatasetShard(SplitPieces(splitter, rank), position, schema, dataset.context)
                continue
            for rank in range(workers):
                # A rank that was not there goes on with the first: they read the same rows.
                position = positions[rank if rank < len(positions) else 0] if positions else Position()
                shards[rank][name] = DatasetShard(WholePieces(dataset, position), position, schema, dataset.context)
        return shards

    def _splitter(self, dataset: Any, workers: int, position: Position) -> Any:
        from shoal.train._internal.process.dataset_splitter import DatasetSplitter

        actor = shoal.remote(num_cpus=0, max_concurrency=workers + 1)(DatasetSplitter)
        splitter = actor.remote(dataset, workers, position)
        self._splitters.append(splitter)
        return splitter

    def _with_options(self, name: str, dataset: Any) -> Any:
        options = self._config.execution_options
        if isinstance(options, Mapping):
            options = options.get(name)
        if options is None:
            return dataset
        limited = dataset.copy()
        context = dataset.context.copy()
        context.execution_options = options
        limited._context = context
        return limited

    def stop(self) -> None:
        """Ends what reads the datasets."""
        for splitter in self._splitters:
            shoal.kill(splitter)
        self._splitters.clear()


def write_positions(checkpoint: Checkpoint, positions: Sequence[Mapping[str, Any]]) -> None:
    """Stores each rank's positions with a checkpoint, where there are any. Raises OSError."""
    if any(positions):
        with checkpoint.filesystem.open_output_stream(f"{checkpoint.path}/{_FILE}") as stream:
            stream.write(json.dumps({"ranks": list(positions)}).encode())


def _read_positions(checkpoint: Checkpoint | None) -> list[dict[str, Any]]:
    if checkpoint is None:
        return []
    try:
        with checkpoint.filesystem.open_input_stream(f"{checkpoint.path}/{_FILE}") as stream:
            found: list[dict[str, Any]] = json.loads(stream.read())["ranks"]
    except FileNotFoundError:
        return []
    return found
