"""A block on its way: where it is, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Bundle:
    """One block.

    Args:
        block: the table itself, or a reference to it.
        rows: how many.
        size: bytes in memory.
        schema: columns and types.
        progress: the part of the plan's sources that it and all blocks before it were made from, 0 to 1; None where nobody can tell.
    """

    block: Any
    rows: int
    size: int
    schema: pa.Schema | None = None
    progress: float | None = None

    def table(self) -> pa.Table:
        """Returns the table. Blocks until it is here."""
        if isinstance(self.block, pa.Table):
            return self.block
        import shoal

        return shoal.get(self.block)


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """What a task says of a block that it made."""

    rows: int
    size: int
    schema: pa.Schema
    seconds: float
    """Wall time that making it took."""
    process_peak: int
    """Bytes: the most that the process which made it has had in memory so far."""
    skipped_files: tuple[str, ...] = ()
    """What its task has passed over so far, because it cannot be read."""
