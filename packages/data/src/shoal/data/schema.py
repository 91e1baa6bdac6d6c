"""Columns and types of a dataset."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


class Schema:
    """Names and types of columns; equal to another one with the same names and types.

    Args:
        base_schema: the Arrow schema.
    """

    def __init__(self, base_schema: pa.Schema) -> None:
        self.base_schema = base_schema

    @property
    def names(self) -> list[str]:
        """Of the columns, in order."""
        return list(self.base_schema.names)

    @property
    def types(self) -> list[Any]:
        """Arrow types, in order."""
        return list(self.base_schema.types)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.names == other.names and self.types == other.types

    def __hash__(self) -> int:
        return hash((tuple(self.names), tuple(map(str, self.types))))

    def __repr__(self) -> str:
        width = max([6, *(len(name) for name in self.names)])
        lines = [f"{'Column':<{width}}  Type", f"{'-' * 6:<{width}}  ----"]
        lines += [f"{name:<{width}}  {kind}" for name, kind in zip(self.names, self.types, strict=True)]
        return "\n".join(lines)
