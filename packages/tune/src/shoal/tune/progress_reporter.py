"""Tell people how a search goes. RunConfig(progress_reporter=...) takes one of these; without it a search chooses by where it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.tune._internal.logic.progress_text import Search, best_line, failure_lines, status_line
from shoal.tune._internal.logic.scores import checked_mode
from shoal.tune._internal.logic.trial_table import Columns, Selection, TrialTable, trial_table
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial

__all__ = ["CLIReporter", "JupyterNotebookReporter", "ProgressReporter"]


class ProgressReporter:
    """Tells people how a search goes. Derive from it and define `report`, and `should_report` where every turn is too often."""

    def setup(
        self,
        start_time: float | None = None,
        total_samples: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
        **info: Any,
    ) -> None:
        """Before the first trial.

        Args:
            start_time: when the search began, in seconds since 1970.
            total_samples: trials that there will be; None where nobody knows.
            metric: what the search goes by.
            mode: 'min' or 'max'.
            info: `name` and `path` of the search, `capacity`: what all machines have, by resource.
        """

    def should_report(self, trials: Sequence[Trial], done: bool = False) -> bool:
        """Returns whether it is time to report. It is asked at each turn of the search's loop, at most ten times a second.

        Args:
            trials: all that there are.
            done: the search is over.
        """
        return True

    def report(self, trials: Sequence[Trial], done: bool, *sys_info: str) -> None:
        """Reports.

        Args:
            trials: all that there are.
            done: the search is over: this is the last report.
            sys_info: lines about the machine.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method report")


class TableReporter(ProgressReporter):
    """What reporters that show a table share. Arguments are those of CLIReporter."""

    def __init__(
        self,
        *,
        metric_columns: Sequence[str] | Mapping[str, str] | None = None,
        parameter_columns: Sequence[str] | Mapping[str, str] | None = None,
        total_samples: int | None = None,
        max_progress_rows: int = 20,
        max_error_rows: int = 20,
        max_column_length: int = 20,
        max_report_frequency: float = 5,
        infer_limit: int = 3,
        print_intermediate_tables: bool | None = None,
        metric: str | None = None,
        mode: str | None = None,
        sort_by_metric: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for name, value in (("max_progress_rows", max_progress_rows), ("max_column_length", max_column_length)):
            if value < 1:
                raise InvalidArgumentError(f"{name} is {value!r}; give a whole number from 1 up")
        self._metrics = _columns("metric_columns", metric_columns)
        self._parameters = _columns("parameter_columns", parameter_columns)
        self._rows = max_progress_rows
        self._error_rows = max_error_rows
        self._width = max_column_length
        self._period = max_report_frequency
        self._infer_limit = infer_limit
        self._has_tables = print_intermediate_tables is not False
        self._by_metric = sort_by_metric
        self._clock = clock
        self._started: float | None = None
        self._last = -float("inf")
        self._search = Search(metric=metric, mode=checked_mode(mode) if mode is not None else None, total=total_samples)

    def setup(
        self,
        start_time: float | None = None,
        total_samples: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
        **info: Any,
    ) -> None:
        own = self._search
        self._started = start_time if start_time is not None else self._clock()
        self._search = Search(
            info.get("name") or "",
            own.metric or metric,
            own.mode or mode,
            own.total if own.total is not None else total_samples,
            info.get("capacity"),
        )

    def add_metric_column(self, metric: str, representation: str | None = None) -> None:
        """Adds a metric to those that are shown.

        Args:
            metric: by its name, 'a/b' where nested.
            representation: the column's heading; None for the name.

        Raises:
            InvalidArgumentError: (a ValueError) it is there.
        """
        self._metrics = _with_column("metric", self._metrics, metric, representation)

    def add_parameter_column(self, parameter: str, representation: str | None = None) -> None:
        """Adds a parameter to those that are shown. As `add_metric_column`."""
        self._parameters = _with_column("parameter", self._parameters, parameter, representation)

    def should_report(self, trials: Sequence[Trial], done: bool = False) -> bool:
        now = self._clock()
        if not done and now - self._last < self._period:
            return False
        self._last = now
        return True

    def lines(self, trials: Sequence[Trial], sys_info: Sequence[str], done: bool = False) -> list[str]:
        """Returns what stands above the table."""
        seconds = self._clock() - self._started if self._started is not None else None
        title = f"Search {self._search.name}".rstrip() + (" is over" if done else "")
        return [
            f"{title}: {status_line(trials, self._search, seconds)}",
            *(line for line in (best_line(trials, self._search),) if line),
            *sys_info,
        ]

    def failures(self, trials: Sequence[Trial]) -> list[str]:
        """Returns what stands below the table: which trials failed, and why."""
        return failure_lines(trials, self._error_rows)

    def table(self, trials: Sequence[Trial], rows: int | None = None) -> TrialTable:
        """Returns the table, of at most so many rows."""
        selection = Selection(
            self._metrics,
            self._parameters,
            min(rows, self._rows) if rows is not None else self._rows,
            self._width,
            self._by_metric and self._search.metric is not None,
            self._infer_limit + (self._search.metric is not None),
        )
        return trial_table(trials, self._search.metric, self._search.mode, selection=selection)


class CLIReporter(TableReporter):
    """Prints the state of a search now and then.

    Args:
        metric_columns: metrics that are shown, or their headings by name; None for those that are reported, at most `infer_limit`.
        parameter_columns: parameters that are shown, likewise; None for those that differ between trials.
        total_samples: trials that there will be; None to take the search's.
        max_progress_rows: trials that are shown at most.
        max_error_rows: failed trials that are named at most.
        max_column_length: characters of a cell at most.
        max_report_frequency: seconds between two reports at least.
        infer_limit: metrics that are shown where nobody says which.
        print_intermediate_tables: False to print the table at the end only, and lines before.
        metric: what trials are compared by; None to take the search's.
        mode: 'min' or 'max', likewise.
        sort_by_metric: shows the best trials first.
        clock: seconds since 1970.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> reporter = tune.CLIReporter(metric_columns=["loss", "accuracy"], max_report_frequency=30)
        >>> reporter.add_metric_column("training_iteration", "iterations")
        >>> run_config = tune.RunConfig(progress_reporter=reporter)
    """

    def report(self, trials: Sequence[Trial], done: bool, *sys_info: str) -> None:
        from shoal.tune._internal.process.rendering import as_text, left_out, rich_table

        parts: list[Any] = self.lines(trials, sys_info, done)
        if trials and (done or self._has_tables):
            table = self.table(trials)
            parts.append(rich_table(table))
            parts += [line for line in (left_out(table),) if line]
        sys.stdout.write(as_text(*parts, *self.failures(trials)) + "\n")
        sys.stdout.flush()


class JupyterNotebookReporter(TableReporter):
    """Shows the state of a search in a notebook. Arguments are those of CLIReporter, and

    Args:
        overwrite: the display is changed in place; False for one more each time.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
    """

    def __init__(self, *, overwrite: bool = True, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._overwrites = overwrite
        self._handle: Any = None

    def report(self, trials: Sequence[Trial], done: bool, *sys_info: str) -> None:
        import IPython.display

        from shoal.tune._internal.process.rendering import as_html, left_out, rich_table

        parts: list[Any] = self.lines(trials, sys_info, done)
        if trials and (done or self._has_tables):
            table = self.table(trials)
            parts.append(rich_table(table))
            parts += [line for line in (left_out(table),) if line]
        notebook: Any = IPython.display  # without types
        shown = notebook.HTML(as_html(*parts, *self.failures(trials)))
        if self._handle is None or not self._overwrites:
            self._handle = notebook.display(shown, display_id=True)
        else:
            self._handle.update(shown)


def _columns(argument: str, given: Sequence[str] | Mapping[str, str] | None) -> Columns | None:
    if given is None:
        return None
    if isinstance(given, str):
        raise InvalidArgumentError(f"{argument} is {given!r}; give a list of names, or a dict of names and headings")
    return dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def _with_column(kind: str, columns: Columns | None, name: str, representation: str | None) -> Columns:
    if columns is not None and name in columns:
        raise InvalidArgumentError(f"{kind} is {name!r}; the reporter shows it already")
    return {**(columns or {}), name: representation or name}
