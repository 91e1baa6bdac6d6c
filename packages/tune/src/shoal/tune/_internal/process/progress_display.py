"""How a search shows itself where nobody says how: live on terminals, in place in notebooks, in few lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from shoal.air.callback import Callback
from shoal.tune._internal.logic.progress_text import failure_line
from shoal.tune._internal.process.rendering import left_out, rich_table
from shoal.tune.experiment.trial import Trial
from shoal.tune.progress_reporter import JupyterNotebookReporter, ProgressReporter, TableReporter

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

SHORTEST_PERIOD = 0.1
"""Seconds between two questions to a reporter."""
SHARE = 0.02
"""Of the loop's time that reports may take."""
LIVE_PERIOD, NOTEBOOK_PERIOD, PLAIN_PERIOD = 0.25, 1.0, 10.0
"""Seconds between two reports."""
TOLD_AT_ONCE = 10
"""Failed trials that are told of when they fail, where nothing is live."""
AROUND_TABLE = 10
"""Lines of a terminal that the table leaves to what stands around it."""


class ProgressCallback(Callback):
    """Asks a reporter to report, from the search's loop: next to nothing a turn, and two percent of the time in all.

    Args:
        reporter: which.
        metric: what the search goes by.
        mode: 'min' or 'max'.
        capacity: what all machines have, by resource.
        clock: seconds.
    """

    def __init__(
        self,
        reporter: ProgressReporter,
        metric: Any = None,
        mode: Any = None,
        capacity: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter = reporter
        self._metric = metric if isinstance(metric, str) else None
        self._mode = mode if isinstance(mode, str) else None
        self._capacity = capacity
        self._clock = clock
        self._next = -float("inf")

    def setup(
        self, stop: Any = None, num_samples: int | None = None, total_num_samples: int | None = None, **info: Any
    ) -> None:
        self._reporter.setup(
            start_time=time.time(),
            total_samples=total_num_samples,
            metric=self._metric,
            mode=self._mode,
            name=info.get("name"),
            path=info.get("path"),
            capacity=self._capacity,
        )

    def on_step_end(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        begin = self._clock()
        if begin < self._next:
            return
        if self._reporter.should_report(trials, done=False):
            self._reporter.report(trials, False)
        end = self._clock()
        self._next = end + max(SHORTEST_PERIOD, (end - begin) / SHARE)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        if isinstance(self._reporter, PlainReporter):
            self._reporter.tell_failure(trial)

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        self._reporter.should_report(trials, done=True)
        self._reporter.report(trials, True)


def progress_callback(
    reporter: ProgressReporter | None = None,
    *,
    verbose: int | None = None,
    metric: Any = None,
    mode: Any = None,
    capacity: Mapping[str, float] | None = None,
) -> ProgressCallback | None:
    """Returns what shows a search; None where it shall be quiet.

    Args:
        reporter: the user's; None to choose by where the program runs.
        verbose: 0 for nothing at all, unless there is a reporter.
        metric: what the search goes by.
        mode: 'min' or 'max'.
        capacity: what all machines have, by resource.
    """
    if reporter is None and verbose == 0:
        return None
    return ProgressCallback(reporter or chosen_reporter(), metric, mode, capacity)


def chosen_reporter() -> ProgressReporter:
    """Returns the reporter for where this program runs."""
    if in_notebook():
        return JupyterNotebookReporter(max_report_frequency=NOTEBOOK_PERIOD)
    return LiveReporter() if sys.stderr is not None and sys.stderr.isatty() else PlainReporter()


def in_notebook() -> bool:
    """Whether output goes to a notebook."""
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python is not None else None
    return shell is not None and "IPKernelApp" in shell.config


class LiveReporter(TableReporter):
    """Keeps a table at the bottom of a terminal up to date; what the program prints goes by above it. At the end the table stays.

    Args:
        console: of rich; None for standard error.
    """

    def __init__(self, console: Console | None = None, **arguments: Any) -> None:
        super().__init__(**{"max_report_frequency": LIVE_PERIOD, **arguments})
        self._console = console
        self._live: Live | None = None

    def report(self, trials: Sequence[Trial], done: bool, *sys_info: str) -> None:
        from rich.console import Console
        from rich.live import Live

        console = self._console = self._console or Console(stderr=True)
        rows = None if done else max(3, console.size.height - AROUND_TABLE)
        screen = self._screen(trials, sys_info, done, rows)
        if done:
            if self._live is not None:
                self._live.stop()
                self._live = None
            console.print(screen)
            return
        if self._live is None:
            self._live = Live(screen, console=console, refresh_per_second=2, transient=True)
            self._live.start()
        else:
            self._live.update(screen, refresh=True)

    def _screen(self, trials: Sequence[Trial], sys_info: Sequence[str], done: bool, rows: int | None) -> Screen:
        table = self.table(trials, rows)
        below = [line for line in (left_out(table),) if line]
        failures = self.failures(trials)
        if not done and len(failures) > 3:
            below += [*failures[:3], f"… and {len(failures) - 3} more failed trials"]
        else:
            below += failures
        return Screen(self.lines(trials, sys_info, done), rich_table(table), below, done)


class Screen:
    """What a terminal shows at a time: lines that are cut at its edge, and a table between them."""

    def __init__(self, above: Sequence[str], table: Any, below: Sequence[str], whole: bool) -> None:
        self._above, self._table, self._below, self._whole = above, table, below, whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        # The last report wraps lines where they are too long: reasons are worth it.
        cutting: dict[str, Any] = {} if self._whole else {"no_wrap": True, "overflow": "ellipsis"}
        for number, line in enumerate(self._above):
            yield Text(line, style="bold" if number == 0 else "", **cutting)
        if self._table.row_count:
            yield self._table
        for line in self._below:
            yield Text(line, style="red" if " failed" in line else "dim", **cutting)


class PlainReporter(TableReporter):
    """Writes a line now and then, and a table at the end: for logs and pipes.

    Args:
        stream: to write to; None for standard error.
    """

    def __init__(self, stream: TextIO | None = None, **arguments: Any) -> None:
        super().__init__(**{"max_report_frequency": PLAIN_PERIOD, **arguments})
        self._stream = stream
        self._told = 0

    def setup(self, *arguments: Any, **info: Any) -> None:
        super().setup(*arguments, **info)
        # A search that is over at once says so at its end only.
        self._last = self._clock()

    def report(self, trials: Sequence[Trial], done: bool, *sys_info: str) -> None:
        from shoal.tune._internal.process.rendering import as_text

        parts: list[Any] = self.lines(trials, sys_info, done)
        if done and trials:
            table = self.table(trials)
            parts.append(rich_table(table))
            parts += [line for line in (left_out(table),) if line]
            parts += self.failures(trials)
        else:
            parts = ["; ".join(parts)]
        self._write(as_text(*parts))

    def tell_failure(self, trial: Trial) -> None:
        """A trial has failed."""
        self._told += 1
        if self._told <= TOLD_AT_ONCE:
            self._write(failure_line(trial))

    def _write(self, text: str) -> None:
        stream = self._stream if self._stream is not None else sys.stderr
        if stream is not None:
            stream.write(text + "\n")
            stream.flush()
