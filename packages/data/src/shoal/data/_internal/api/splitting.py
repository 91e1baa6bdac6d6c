"""One dataset into several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.api.arguments import names, positive
from shoal.data._internal.api.base import DatasetBase
from shoal.data._internal.execution.physical import blocks_of
from shoal.data._internal.plan.operators import Blocks
from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset, MaterializedDataset
    from shoal.data.iterator import DataIterator


class Splitting(DatasetBase):
    """Part of `Dataset`. All but `streaming_split` run the dataset first."""

    def split(
        self, n: int, *, equal: bool = False, locality_hints: list[Any] | None = None
    ) -> list[MaterializedDataset]:
        """Returns the rows in `n` datasets, in order.

        Args:
            n: how many.
            equal: all of the same number of rows; surplus rows are left out.
            locality_hints: accepted for Ray's sake.
        """
        positive("n", n)
        whole = self._blocks()
        rows = sum(whole.row_counts)
        if equal:
            each = rows // n
            cuts = [each * part for part in range(1, n + 1)]
        else:
            cuts = [rows * part // n for part in range(1, n + 1)]
        return self._cut(whole, cuts)[:n]

    def split_at_indices(self, indices: Sequence[int]) -> list[MaterializedDataset]:
        """Returns the rows before the first index, those from there to the second, …, and those after the last.

        Raises:
            InvalidArgumentError: (a ValueError) no index, negative ones, or not in order.
        """
        if not indices or any(isinstance(index, bool) or not isinstance(index, int) or index < 0 for index in indices):
            raise InvalidArgumentError(f"indices is {indices!r}; give positions >= 0")
        if list(indices) != sorted(indices):
            raise InvalidArgumentError(f"indices is {indices!r}; give them in order")
        whole = self._blocks()
        rows = sum(whole.row_counts)
        return self._cut(whole, [*(min(index, rows) for index in indices), rows])

    def split_proportionately(self, proportions: Sequence[float]) -> list[MaterializedDataset]:
        """Returns parts of these proportions, and one more with the rest.

        Raises:
            InvalidArgumentError: (a ValueError) proportions that are not above 0, or add up to 1 or more.
        """
        if not proportions or any(not 0 < share < 1 for share in proportions) or sum(proportions) >= 1:
            raise InvalidArgumentError(
                f"proportions is {proportions!r}; give shares above 0 that add up to less than 1"
            )
        whole = self._blocks()
        rows = sum(whole.row_counts)
        cuts, so_far = [], 0.0
        for share in proportions:
            so_far += share
            cuts.append(int(rows * so_far))
        return self._cut(whole, [*cuts, rows])

    def train_test_split(
        self, test_size: int | float, *, shuffle: bool = False, seed: int | None = None, stratify: str | None = None
    ) -> tuple[MaterializedDataset, MaterializedDataset]:
        """Returns two datasets: for training, and for testing (the last rows).

        Args:
            test_size: a share below 1, or a number of rows.
            shuffle: put the rows in a random order first.
            seed: of that order.
            stratify: a column whose values both parts shall have in like shares.

        Raises:
            InvalidArgumentError: (a ValueError) a size that cannot be.
            ColumnNotFoundError: `stratify` is not there.
        """
        if isinstance(test_size, bool) or not isinstance(test_size, (int, float)) or test_size <= 0:
            raise InvalidArgumentError(f"test_size is {test_size!r}; give a share between 0 and 1, or a number of rows")
        if isinstance(test_size, float) and test_size >= 1:
            raise InvalidArgumentError(f"test_size is {test_size!r}; a share is below 1, a number of rows is an int")
        dataset: Any = self
        if stratify is not None:
            if not isinstance(test_size, float):
                raise InvalidArgumentError("stratify needs test_size as a share between 0 and 1")
            return self._stratified(test_size, stratify, seed if shuffle else None, shuffle)
        if shuffle:
            dataset = dataset.random_shuffle(seed=seed)
        whole = dataset._blocks()
        rows = sum(whole.row_counts)
        count = int(rows * test_size) if isinstance(test_size, float) else test_size
        if count > rows:
            raise InvalidArgumentError(f"test_size is {test_size}, and the dataset has {rows} rows")
        train, test = self._cut(whole, [rows - count, rows])
        return train, test

    def _stratified(
        self, test_size: float, column: str, seed: int | None, shuffle: bool
    ) -> tuple[MaterializedDataset, MaterializedDataset]:
        [key] = names("stratify", column)
        dataset: Any = self
        if shuffle:
            dataset = dataset.random_shuffle(seed=seed)
        table = dataset._as_table()
        if table is None:
            table = pa.table({})
        from shoal.data._internal.plan.schemas import check_columns

        check_columns([key], table.column_names, "train_test_split")
        codes = np.asarray(table.column(key).combine_chunks().dictionary_encode().indices.fill_null(-1))
        in_test = np.zeros(len(codes), dtype=bool)
        for code in np.unique(codes):
            members = np.flatnonzero(codes == code)
            in_test[members[len(members) - int(len(members) * test_size) :]] = True
        from shoal.data.dataset import MaterializedDataset

        train, test = (
            MaterializedDataset(blocks_of([table.filter(pa.array(mask))]), self._context)
            for mask in (~in_test, in_test)
        )
        return train, test

    def streaming_split(
        self, n: int, *, equal: bool = False, locality_hints: list[Any] | None = None
    ) -> list[DataIterator]:
        """Returns `n` iterators that share one run of the dataset, for workers that train side by side.

        Each block goes to one of them. Each pass runs the dataset again, when all have begun it.

        Args:
            n: how many.
            equal: all get the same number of rows; surplus rows are left out.
            locality_hints: accepted for Ray's sake.
        """
        from shoal.data.streaming_split import split_iterators

        return split_iterators(self, positive("n", n), equal)

    def _blocks(self) -> Blocks:
        made: Dataset = self.materialize()
        plan = made._plan
        assert isinstance(plan, Blocks)
        return plan

    def _cut(self, whole: Blocks, ends: list[int]) -> list[MaterializedDataset]:
        """Returns the rows up to each end."""
        import shoal
        from shoal.data._internal.blocks.combine import size_bytes, slice_rows
        from shoal.data.dataset import MaterializedDataset

        parts: list[list[tuple[Any, int, int]]] = [[] for _ in ends]
        position = 0
        for block, rows, size in zip(whole.blocks, whole.row_counts, whole.sizes, strict=True):
            start = 0
            for part, end in enumerate(ends):
                stop = min(rows, end - position)
                if stop <= start:
                    continue
                if start == 0 and stop == rows:
                    parts[part].append((block, rows, size))
                else:
                    table = block if isinstance(block, pa.Table) else shoal.get(block)
                    piece = slice_rows(table, start, stop - start)
                    kept: Any = piece if isinstance(block, pa.Table) else shoal.put(piece)
                    parts[part].append((kept, piece.num_rows, size_bytes(piece)))
                start = stop
            position += rows
        made = []
        for part_blocks in parts:
            if not part_blocks and whole.block_schema is not None:
                part_blocks = [(whole.block_schema.empty_table(), 0, 0)]
            plan = Blocks(
                tuple(block for block, _, _ in part_blocks),
                tuple(rows for _, rows, _ in part_blocks),
                tuple(size for _, _, size in part_blocks),
                whole.block_schema,
                whole.files,
            )
            made.append(MaterializedDataset(plan, self._context, self._name))
        return made
