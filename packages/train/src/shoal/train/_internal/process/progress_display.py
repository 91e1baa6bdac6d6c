"""Shows how a training run stands: a table in the terminal or the notebook; a line now and then where nobody would see it move."""

from __future__ import annotations

import html
import io
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.train._internal.logic.run_progress import RunProgress, shown
from shoal.train.checkpoint import Checkpoint
from shoal.train.result import Result

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

METRICS = 5
"""Columns of metrics."""
RANKS = 16
"""Rows of ranks."""
LINE_SECONDS = 15.0
"""Between two plain lines."""
NOTEBOOK_SECONDS = 0.5
"""Between two changes of a notebook's table."""


class ProgressDisplay:
    """A RunObserver that is looked at.

    Args:
        name: of the run.
        verbose: 0 to show nothing; None or more to show what the output bears.
        console: where the table goes; None for standard error.
        clock: the time in seconds.
    """

    def __init__(
        self,
        name: str,
        verbose: int | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._progress = RunProgress(name, clock())
        self._screen = _screen(verbose, console, clock)

    def started(self, attempt: int, world_size: int) -> None:
        self._progress.started(attempt, world_size)
        self._screen.show(self._progress)

    def reported(self, rank: int, metrics: dict[str, Any], has_checkpoint: bool) -> None:
        self._progress.reported(rank, metrics, has_checkpoint, self._clock())
        self._screen.show(self._progress)

    def committed(self, number: int, checkpoint: Checkpoint, metrics_by_rank: list[dict[str, Any]]) -> None:
        self._progress.committed(checkpoint.path)
        self._screen.show(self._progress)

    def failed(self, attempt: int, failures: dict[int, BaseException], restarting: bool) -> None:
        self._progress.failed(failures, restarting)
        self._screen.show(self._progress)

    def ended(self, result: Result) -> None:
        self._progress.ended(result.error, self._clock())
        self._screen.close(self._progress)


class _Nothing:
    """Nobody looks."""

    def show(self, progress: RunProgress) -> None:
        return

    def close(self, progress: RunProgress) -> None:
        return


class _Terminal:
    """The table, which moves by itself."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._live: Live | None = None

    def show(self, progress: RunProgress) -> None:
        from rich.live import Live

        if self._live is None:
            self._live = Live(
                console=self._console, get_renderable=lambda: table(progress, self._clock()), refresh_per_second=4
            )
            self._live.start()

    def close(self, progress: RunProgress) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class _Notebook:
    """The table, in the cell that runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._handle: Any = None
        self._shown = 0.0

    def show(self, progress: RunProgress) -> None:
        if self._handle is None or self._clock() - self._shown >= NOTEBOOK_SECONDS:
            self._display(progress)

    def close(self, progress: RunProgress) -> None:
        self._display(progress)

    def _display(self, progress: RunProgress) -> None:
        from IPython.display import HTML, display

        self._shown = self._clock()
        page = HTML(as_html(progress, self._clock()))  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(page, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(page)


class _Lines:
    """A line now and then."""

    def __init__(self, clock: Callable[[], float], console: Console | None) -> None:
        self._clock = clock
        self._console = console
        self._last = clock()
        self._has_printed = False

    def show(self, progress: RunProgress) -> None:
        if self._clock() - self._last >= LINE_SECONDS:
            self._print(progress)

    def close(self, progress: RunProgress) -> None:
        if self._has_printed:
            self._print(progress)

    def _print(self, progress: RunProgress) -> None:
        self._last = self._clock()
        self._has_printed = True
        stream = self._console.file if self._console is not None else sys.stderr
        stream.write(line(progress, self._clock()) + "\n")
        stream.flush()


def _screen(
    verbose: int | None, console: Console | None, clock: Callable[[], float]
) -> _Nothing | _Terminal | _Notebook | _Lines:
    if verbose == 0:
        return _Nothing()
    if console is None and "ipykernel" in sys.modules:
        return _Notebook(clock)
    if console is not None and console.is_terminal:
        return _Terminal(console, clock)
    if console is None and sys.stderr.isatty():
        from rich.console import Console

        return _Terminal(Console(stderr=True), clock)
    return _Lines(clock, console)


def line(progress: RunProgress, now: float) -> str:
    """Returns all in one line: rank 0's numbers, and the run's."""
    parts = [
        f"{progress.name}: {progress.state}, {progress.seconds(now):.0f} s, {_counted(len(progress.ranks), 'rank')}"
    ]
    if progress.ranks:
        first = progress.ranks[0]
        parts.append(_counted(first.reports, "report") + _rate(first.reports_per_second))
        parts += [f"{name} {shown(first.metrics.get(name))}" for name in progress.metric_names(METRICS)]
    return "; ".join([*parts, *_notes(progress)])


def table(progress: RunProgress, now: float) -> RenderableType:
    """Returns a row for each rank, and below it checkpoints and restarts."""
    from rich.table import Table

    names = progress.metric_names(METRICS)
    found = Table(
        title=f"{progress.name}: {progress.state}, {progress.seconds(now):.0f} s",
        caption="; ".join(_notes(progress)) or None,
        title_justify="left",
        caption_justify="left",
    )
    for column in ("rank", "reports", "reports/s", "s/report", *names):
        found.add_column(column, justify="right", no_wrap=True)
    for number, rank in enumerate(progress.ranks[:RANKS]):
        found.add_row(
            str(number),
            str(rank.reports),
            shown(rank.reports_per_second),
            shown(rank.seconds_per_report),
            *(shown(rank.metrics.get(name)) for name in names),
        )
    if len(progress.ranks) > RANKS:
        found.add_row("…", f"{len(progress.ranks) - RANKS} more")
    return found


def as_html(progress: RunProgress, now: float) -> str:
    """Returns the table for a notebook."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120, force_jupyter=False, force_terminal=False)
    console.print(table(progress, now))
    assert isinstance(console.file, io.StringIO)
    return f"<pre>{html.escape(console.file.getvalue())}</pre>"


def _notes(progress: RunProgress) -> list[str]:
    notes = []
    if progress.checkpoints:
        latest = progress.latest_checkpoint.rpartition("/")[2]
        notes.append(f"{_counted(progress.checkpoints, 'checkpoint')}, latest {latest}")
    if progress.waiting:
        notes.append(f"{_counted(progress.waiting, 'checkpoint')} not whole yet")
    if progress.restarts:
        notes.append(_counted(progress.restarts, "restart"))
    if progress.resizes:
        notes.append(_counted(progress.resizes, "resize"))
    if progress.last_failure and progress.state != "finished":
        notes.append(f"last failure: {progress.last_failure}")
    return notes


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _rate(rate: float | None) -> str:
    return f" ({shown(rate)}/s)" if rate is not None else ""
