"""One line on the terminal, or in the notebook, that tells how far each stage is; nothing where nobody would see it move."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.data._internal.execution.stage import Stage

_PATIENCE_SECONDS = 0.5
"""Shorter runs show nothing."""
_PAUSE_SECONDS = 0.1
"""Between two changes of the line."""


class Progress:
    """The line of one execution. Used by its thread alone.

    Args:
        enabled: whether the user wants it.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled and (sys.stderr.isatty() or "ipykernel" in sys.modules)

    async def run(self, stages: Sequence[Stage]) -> None:
        """Shows how the stages stand, until it is cancelled: the line goes then, and what the program prints stays by itself."""
        if not self._enabled:
            return
        await asyncio.sleep(_PATIENCE_SECONDS)
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
            while True:
                live.update(Text(line_of(stages), no_wrap=True, overflow="ellipsis"), refresh=True)
                await asyncio.sleep(_PAUSE_SECONDS)


def line_of(stages: Sequence[Stage]) -> str:
    """Returns the line: each stage with its rows, and its tasks at work."""
    return "  →  ".join(
        f"{stage.name} {stage.stats.rows:,} rows" + (f" ({stage.running} running)" if stage.running else "")
        for stage in stages
    )
