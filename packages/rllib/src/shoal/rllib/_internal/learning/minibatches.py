"""A batch in small parts, pass after pass."""

from __future__ import annotations

from typing import Any

import torch

Tree = Any


def batch_rows(batch: dict[str, Tree]) -> int:
    """Returns the length of the first axis."""
    return int(_first_tensor(batch).shape[0])


def _first_tensor(tree: Tree) -> torch.Tensor:
    while isinstance(tree, dict | tuple | list):
        tree = next(iter(tree.values())) if isinstance(tree, dict) else tree[0]
    found: torch.Tensor = tree
    return found


def rows_of(batch: dict[str, Tree], index: Any) -> dict[str, Tree]:
    """Returns the rows that an index or slice stands for, of every column."""
    return {
        name: column[index] if isinstance(column, torch.Tensor) else _rows(column, index)
        for name, column in batch.items()
    }


def _rows(tree: Tree, index: Any) -> Tree:
    if isinstance(tree, dict):
        return {key: _rows(part, index) for key, part in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(_rows(part, index) for part in tree)
    return tree[index]


def _joined(first: Tree, second: Tree) -> Tree:
    if isinstance(first, dict):
        return {key: _joined(part, second[key]) for key, part in first.items()}
    if isinstance(first, tuple | list):
        return tuple(_joined(part, other) for part, other in zip(first, second, strict=True))
    return torch.cat([first, second])


class Minibatches:
    """Goes through a batch in parts of equal size, round and round; a part may begin in one pass and end in the next.

    A pass in an order of its own is one gather of the whole batch; parts are views of it.

    Args:
        batch: columns of equal length.
        size: rows of a part; None for all.
        shuffle: whether each pass has an order of its own, drawn from torch's generator.
    """

    def __init__(self, batch: dict[str, Tree], size: int | None, shuffle: bool) -> None:
        self._batch = batch
        self.rows = batch_rows(batch)
        self.size = self.rows if size is None else size
        self._whole = size is None or (size == self.rows and not shuffle)
        self._shuffle = shuffle
        self._pass: dict[str, Tree] = batch
        self._at = 0
        if shuffle and not self._whole:
            self._next_pass()

    def count(self, passes: int) -> int:
        """Returns how many parts as many passes have."""
        return max(1, -(-passes * self.rows // self.size))

    def next(self) -> dict[str, Tree]:
        """Returns the next part."""
        if self._whole:
            return self._batch
        end = self._at + self.size
        if end <= self.rows:
            part = rows_of(self._pass, slice(self._at, end))
            self._at = end
            return part
        part = rows_of(self._pass, slice(self._at, self.rows))
        missing = end - self.rows
        while missing > 0:
            self._next_pass()
            taken = min(missing, self.rows)
            more = rows_of(self._pass, slice(0, taken))
            part = {name: _joined(column, more[name]) for name, column in part.items()}
            self._at = taken
            missing -= taken
        return part

    def _next_pass(self) -> None:
        self._at = 0
        if self._shuffle:
            self._pass = rows_of(self._batch, torch.randperm(self.rows))
