"""Operations on the whole dataset: order, blocks, several datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal.data._internal.api.arguments import names, positive
from shoal.data._internal.api.base import DatasetBase
from shoal.data._internal.api.transforming import new_seed
from shoal.data._internal.plan.operators import (
    Join,
    RandomizeBlockOrder,
    RandomShuffle,
    Repartition,
    RepartitionKeys,
    RepartitionRows,
    Sort,
    Union,
    Zip,
)
from shoal.data._internal.plan.schemas import check_columns, known_columns
from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset
    from shoal.data.grouped_data import GroupedData

JOIN_TYPES = (
    "inner",
    "left_outer",
    "right_outer",
    "full_outer",
    "left_semi",
    "right_semi",
    "left_anti",
    "right_anti",
)


class Arranging(DatasetBase):
    """Part of `Dataset`."""

    def repartition(
        self,
        num_blocks: int | None = None,
        target_num_rows_per_block: int | None = None,
        *,
        strict: bool = False,
        shuffle: bool = False,
        keys: str | Sequence[str] | None = None,
        sort: bool = False,
    ) -> Dataset:
        """Changes into how many blocks the rows are divided.

        Args:
            num_blocks: exactly so many, of like numbers of rows, in the same order.
            target_num_rows_per_block: blocks of so many rows instead.
            strict: with `target_num_rows_per_block`: exactly so many in each block but the last.
            shuffle: also put the rows in a random order.
            keys: rows of equal values in these columns come into the same block.
            sort: with `keys`: order the rows of each block by them.

        Raises:
            InvalidArgumentError: (a ValueError) a number below 1, or arguments that exclude one another.
        """
        if (num_blocks is None) == (target_num_rows_per_block is None):
            raise InvalidArgumentError("repartition: give num_blocks or target_num_rows_per_block, and not both")
        if target_num_rows_per_block is not None:
            if shuffle or keys is not None:
                raise InvalidArgumentError(
                    "target_num_rows_per_block goes with neither shuffle nor keys: give num_blocks"
                )
            rows = positive("target_num_rows_per_block", target_num_rows_per_block)
            return self._over(RepartitionRows(self._plan, rows, strict))
        blocks = positive("num_blocks", num_blocks)
        if keys is not None:
            return self._over(RepartitionKeys(self._plan, self._existing("keys", keys, "repartition"), blocks, sort))
        if shuffle:
            return self._over(RandomShuffle(self._plan, new_seed(None), blocks))
        return self._over(Repartition(self._plan, blocks))

    def random_shuffle(
        self, *, seed: int | None = None, num_blocks: int | None = None, **ray_remote_args: Any
    ) -> Dataset:
        """Puts all rows in a random order.

        Args:
            seed: the same order each time, however the data lies in blocks; None for another order each time.
            num_blocks: blocks to make; None to choose.
            ray_remote_args: accepted for Ray's sake.

        Example:
            >>> import shoal
            >>> sorted(shoal.data.range(5).random_shuffle(seed=1).take_all(), key=lambda row: row["id"])[0]
            {'id': 0}
        """
        blocks = positive("num_blocks", num_blocks) if num_blocks is not None else None
        return self._over(RandomShuffle(self._plan, new_seed(seed), blocks))

    def randomize_block_order(self, *, seed: int | None = None) -> Dataset:
        """Puts the blocks in a random order; rows within a block stay. Cheap."""
        return self._over(RandomizeBlockOrder(self._plan, new_seed(seed)))

    def sort(
        self,
        key: str | Sequence[str],
        descending: bool | Sequence[bool] = False,
        boundaries: Sequence[Any] | None = None,
    ) -> Dataset:
        """Orders all rows. Rows of equal keys keep their order; nulls come last.

        Args:
            key: a column, or several: the first decides, then the second, ….
            descending: for all keys, or one for each.
            boundaries: values of the first key where blocks shall be cut; None to choose.

        Raises:
            ColumnNotFoundError: there is no such column.
            InvalidArgumentError: (a ValueError) the numbers of keys and directions differ.

        Example:
            >>> import shoal
            >>> shoal.data.range(3).sort("id", descending=True).take_all()
            [{'id': 2}, {'id': 1}, {'id': 0}]
        """
        keys = self._existing("key", key, "sort")
        if not keys:
            raise InvalidArgumentError("key is empty; give a column name")
        directions = (descending,) * len(keys) if isinstance(descending, bool) else tuple(descending)
        if len(directions) != len(keys) or not all(isinstance(direction, bool) for direction in directions):
            raise InvalidArgumentError(
                f"descending is {descending!r}; give True or False, or one of them for each of {list(keys)}"
            )
        return self._over(Sort(self._plan, keys, directions, tuple(boundaries) if boundaries is not None else None))

    def groupby(self, key: str | Sequence[str] | None, num_partitions: int | None = None) -> GroupedData:
        """Groups rows of equal values, for aggregations and functions of groups.

        Args:
            key: a column, or several; None for one group of all rows.
            num_partitions: into how many pieces the work is divided; None to choose.

        Raises:
            ColumnNotFoundError: there is no such column.

        Example:
            >>> import shoal
            >>> ds = shoal.data.from_items([{"k": "a", "x": 1}, {"k": "b", "x": 2}, {"k": "a", "x": 3}])
            >>> ds.groupby("k").sum("x").take_all()
            [{'k': 'a', 'sum(x)': 4}, {'k': 'b', 'sum(x)': 2}]
        """
        from shoal.data.grouped_data import GroupedData

        keys = () if key is None else self._existing("key", key, "groupby")
        parts = positive("num_partitions", num_partitions) if num_partitions is not None else None
        return GroupedData(self, keys, parts)

    def union(self, *other: Dataset) -> Dataset:
        """Returns the rows of this dataset, then those of the others. Columns that one lacks are null there."""
        for position, dataset in enumerate(other):
            if not isinstance(dataset, DatasetBase):
                raise InvalidArgumentError(f"union: argument {position} is {type(dataset).__name__}; give datasets")
        return self._over(Union((self._plan, *(dataset._plan for dataset in other))))

    def zip(self, *other: Dataset) -> Dataset:
        """Puts the columns of datasets of the same number of rows side by side; names that come again get `_1`, `_2`, ….

        Raises:
            ValueError: when run: the numbers of rows differ.
        """
        if not other:
            raise InvalidArgumentError("zip: give at least one other dataset")
        for position, dataset in enumerate(other):
            if not isinstance(dataset, DatasetBase):
                raise InvalidArgumentError(f"zip: argument {position} is {type(dataset).__name__}; give datasets")
        return self._over(Zip((self._plan, *(dataset._plan for dataset in other))))

    def join(
        self,
        ds: Dataset,
        join_type: str,
        num_partitions: int | None = None,
        on: str | Sequence[str] = ("id",),
        right_on: str | Sequence[str] | None = None,
        left_suffix: str | None = None,
        right_suffix: str | None = None,
        *,
        partition_size_hint: int | None = None,
        aggregator_ray_remote_args: Any = None,
        validate_schemas: bool = False,
    ) -> Dataset:
        """Puts rows of two datasets side by side where keys are equal. Null keys are equal to nothing.

        Args:
            ds: the right side.
            join_type: inner, left_outer, right_outer, full_outer, left_semi, right_semi, left_anti or right_anti.
            num_partitions: into how many pieces the work is divided; None to choose.
            on: the left side's key columns.
            right_on: the right side's; None for the same names.
            left_suffix: added to the left side's columns that the right side has as well.
            right_suffix: added to the right side's.
            partition_size_hint: accepted for Ray's sake.
            aggregator_ray_remote_args: accepted for Ray's sake.
            validate_schemas: accepted for Ray's sake: columns are always checked as early as they are known.

        Raises:
            ColumnNotFoundError: a key is not there.
            InvalidArgumentError: (a ValueError) another kind of join, or different numbers of keys.
        """
        if join_type not in JOIN_TYPES:
            raise InvalidArgumentError(f"join_type is {join_type!r}; give one of {', '.join(JOIN_TYPES)}")
        if not isinstance(ds, DatasetBase):
            raise InvalidArgumentError(f"join: ds is {type(ds).__name__}; give a dataset")
        left_on = self._existing("on", on, "join")
        right_keys = ds._existing("right_on", right_on, "join") if right_on is not None else None
        if right_keys is None:
            right_keys = ds._existing("on", on, "join")
        if len(left_on) != len(right_keys) or not left_on:
            raise InvalidArgumentError(f"join: {list(left_on)} and {list(right_keys)} are not the same number of keys")
        parts = positive("num_partitions", num_partitions) if num_partitions is not None else None
        return self._over(
            Join(
                self._plan,
                ds._plan,
                join_type,
                left_on,
                right_keys,
                left_suffix or "",
                right_suffix or "",
                parts,
            )
        )

    def _existing(self, argument: str, value: Any, where: str) -> tuple[str, ...]:
        """Returns column names, checked against the columns where those are known already."""
        columns = names(argument, value)
        available = known_columns(self._plan)
        if available is not None:
            check_columns(columns, available, where)
        return columns
