"""Tables for terminals and notebooks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from shoal.tune._internal.logic.trial_table import TrialTable
from shoal.tune.experiment.trial import ERROR, PAUSED, PENDING, RUNNING, TERMINATED

if TYPE_CHECKING:
    from rich.table import Table

STYLES = {RUNNING: "cyan", PAUSED: "yellow", PENDING: "dim", TERMINATED: "green", ERROR: "bold red"}
NOTEBOOK_WIDTH = 140


def rich_table(table: TrialTable, title: str | None = None) -> Table:
    """Returns a table for rich."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, heading in enumerate(table.headings):
        shown.add_column(
            Text(heading), justify="right" if place in table.numbers else "left", overflow="ellipsis", no_wrap=True
        )
    for row in table.rows:
        shown.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return shown


def left_out(table: TrialTable) -> str:
    """Returns a line about what the table has no room for; empty where it shows all."""
    counts = ", ".join(f"{count} {status.lower()}" for status, count in table.more.items())
    return f"… and {sum(table.more.values())} more ({counts})" if counts else ""


def as_text(*parts: Any, width: int | None = None) -> str:
    """Returns what rich makes of something, without colours.

    Args:
        parts: texts and tables.
        width: in characters; None for as wide as it is.
    """
    from rich.console import Console

    console = Console(
        file=io.StringIO(), width=width or 10_000, color_system=None, force_terminal=False, legacy_windows=False
    )
    console.print(*parts, sep="\n", highlight=False, soft_wrap=width is None)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as was given
    return "\n".join(line.rstrip() for line in text.splitlines())


def as_html(*parts: Any) -> str:
    """Returns what rich makes of something, for a notebook."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=NOTEBOOK_WIDTH, record=True, force_jupyter=False)
    console.print(*parts, sep="\n", highlight=False)
    return console.export_html(
        inline_styles=True, code_format='<pre style="white-space:pre;line-height:1.2;overflow-x:auto">{code}</pre>'
    )
