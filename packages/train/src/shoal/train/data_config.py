"""How the datasets of a trainer come to its workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shoal.train.exceptions import InvalidArgumentError


@dataclass(frozen=True)
class DataConfig:
    """Which datasets are divided among the workers; each worker gets all rows of the others.

    Args:
        datasets_to_split: 'all', or the names of those that are divided, in parts of equal length.
        execution_options: of Data, for the execution of the datasets: one for all, or a dict by name; None for the datasets' own.
        enable_shard_locality: accepted for Ray's sake: on one machine all rows are near.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.train import DataConfig
        >>> DataConfig(datasets_to_split=["train"]).splits("test")
        False
    """

    datasets_to_split: str | Sequence[str] = "all"
    execution_options: Any = None
    enable_shard_locality: bool = True

    def __post_init__(self) -> None:
        wanted: object = self.datasets_to_split
        names = isinstance(wanted, list | tuple) and all(isinstance(name, str) for name in wanted)
        if wanted != "all" and not names:
            raise InvalidArgumentError(f"datasets_to_split is {wanted!r}; give 'all', or a list of datasets' names")

    def splits(self, name: str) -> bool:
        """Returns whether the dataset of this name is divided."""
        return self.datasets_to_split == "all" or name in self.datasets_to_split

    def configure(
        self,
        datasets: Mapping[str, Any],
        world_size: int,
        worker_handles: Sequence[Any] | None = None,
        worker_node_ids: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Returns each rank's part of each dataset.

        Override it to divide them in another way. A restart then begins the datasets anew: which rows were read is known of the trainer's
        own parts only.

        Args:
            datasets: by name.
            world_size: how many ranks there are.
            worker_handles: accepted for Ray's sake.
            worker_node_ids: accepted for Ray's sake.
        """
        parts = {
            name: dataset.streaming_split(world_size, equal=True)
            if self.splits(name)
            else [dataset.iterator() for _ in range(world_size)]
            for name, dataset in datasets.items()
        }
        return [{name: parts[name][rank] for name in parts} for rank in range(world_size)]

    @staticmethod
    def default_ingest_options() -> Any:
        """Returns the execution options that apply where none are given: Data's own. Imports shoal.data."""
        from shoal.data import ExecutionOptions

        return ExecutionOptions()
