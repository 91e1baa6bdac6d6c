"""One line on the terminal, or in the notebook, that tells how far each stage is; nothing where nobody would see it move."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
        self._next = time.perf_counter() + _PATIENCE_SECONDS
        self._live: Any = None

    def show(self, stages: Sequence[Stage]) -> None:
        """Shows how the stages stand, if it is time for that."""
        if not self._enabled:
            return
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + _PAUSE_SECONDS
        from rich.text import Text

        if self._live is None:
            self._live = _live()
            self._live.start()
        self._live.update(Text(line_of(stages), no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        """The line goes: what the program prints stays by itself."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def line_of(stages: Sequence[Stage]) -> str:
    """Returns the line: each stage with its rows, and its tasks at work."""
    return "  →  ".join(
        f"{stage.name} {stage.stats.rows:,} rows" + (f" ({stage.running} running)" if stage.running else "")
        for stage in stages
    )


def _live() -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(stderr=True), transient=True, auto_refresh=False)
