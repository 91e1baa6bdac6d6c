"""Results as a table: one row for each, one column for each metric that was ever reported."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.air.callback import LoggerCallback
from shoal.tune.logger.encoding import plain
from shoal.tune.logger.log_file import FlushSchedule, LogFile, kept_lines, replace_file

PROGRESS = "progress.csv"


class CSVLoggerCallback(LoggerCallback):
    """Writes `progress.csv` into each trial's folder: nested metrics as 'a/b', without the configuration.

    A metric that is reported for the first time later on becomes one more column at the right; rows before it end earlier, which readers
    take for empty. It is added to every search by itself, unless the environment has TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1.

    Example:
        >>> from shoal import tune
        >>> run_config = tune.RunConfig(callbacks=[tune.logger.CSVLoggerCallback()])
    """

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self._schedule = FlushSchedule()

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        table = self._tables.get(trial.trial_id)
        following = result.get("training_iteration")
        if table is None:
            table = self._tables[trial.trial_id] = _Table(os.path.join(trial.local_path, PROGRESS))
            table.go_on(following)
        elif (failures := getattr(trial, "num_failures", 0)) != table.failures:
            table.failures = failures
            self._schedule.flush(table)
            table.go_on(following)
        table.add_result(result)
        self._schedule.added(table)

    def log_trial_save(self, trial: Any) -> None:
        # The trial may go on from this checkpoint after a crash: what it reported before has to be there then.
        table = self._tables.get(trial.trial_id)
        if table is not None:
            self._schedule.flush(table)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        table = self._tables.pop(trial.trial_id, None)
        if table is not None:
            self._schedule.flush(table)

    def on_step_end(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        self._schedule.turn_ended()

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        self._schedule.flush_all()
        self._tables.clear()

    def get_state(self) -> dict[str, Any] | None:
        # The search's state is about to be saved. It must not know of results that are not written.
        self._schedule.flush_all()
        return None


class _Table(LogFile):
    """One trial's file."""

    failures = 0

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._columns: dict[str, None] = {}
        self._has_heading = False  # in the file, of all columns
        self._buffer = io.StringIO()
        self._writer = csv.writer(self._buffer, lineterminator="\n")

    def go_on(self, following: Any) -> None:
        """Takes up a file that is there, without what a restored search does not know."""
        self._columns, self._has_heading = {}, False
        if not os.path.exists(self.path):
            return
        with open(self.path, newline="", encoding="utf-8") as file:
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(whole)))
        heading, rows = (rows[0], rows[1:]) if rows else ([], [])
        if isinstance(following, int):
            kept = rows[: kept_lines([_iteration(heading, row) for row in rows], following)]
        else:
            kept = rows
        if not kept:
            os.remove(self.path)
            return
        self._columns, self._has_heading = dict.fromkeys(heading), True
        if len(kept) < len(rows) or len(whole) < len(text):
            replace_file(self.path, (self._line(row) for row in (heading, *kept)))

    def add_result(self, result: Mapping[str, Any]) -> None:
        """Takes a row."""
        flat: dict[str, Any] = {}
        for name, value in result.items():
            kind = type(value)
            if kind is float or kind is int or kind is str or kind is bool or value is None:
                flat[name] = value
            elif name != "config":
                _flatten(name, value, flat)
        columns = self._columns
        if not flat.keys() <= columns.keys():
            columns.update(dict.fromkeys(flat))
            self._has_heading = False
        self.add(self._line([flat.get(name) for name in columns]))

    def _prepare(self) -> bytes:
        if self._has_heading or not self._columns:
            return b""
        # Without ends of lines in names the old heading is the first line.
        heading = self._line([" ".join(name.split("\n")) for name in self._columns])
        try:
            with open(self.path, "rb") as file:
                file.readline()
                rows = file.read()
        except FileNotFoundError:
            return heading
        replace_file(self.path, (heading, rows))
        return b""

    def _written(self) -> None:
        self._has_heading = True

    def _line(self, row: Sequence[Any]) -> bytes:
        buffer = self._buffer
        self._writer.writerow(row)
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text.encode("utf-8", "replace")


def _flatten(name: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _flatten(f"{name}/{key}", item, flat)
    else:
        simple = plain(value)
        flat[name] = json.dumps(simple) if isinstance(simple, list | dict) else simple


def _iteration(heading: Sequence[str], row: Sequence[str]) -> int | None:
    try:
        return int(row[heading.index("training_iteration")])
    except (ValueError, IndexError):
        return None
