"""A trial in its process: the user's code runs in a thread of its own, and the executor's calls take its reports along.

In lock-step a report waits for the search's decision. Otherwise the trial runs on, and reports travel many at a time.
"""

from __future__ import annotations

import copy
import os
import queue
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shoal.tune._internal.logic.frames import Frame, Report
from shoal.tune._internal.logic.metrics import explain_missing, flat_result
from shoal.tune.exceptions import CheckpointStorageError, InvalidReportError, MetricNotReportedError

if TYPE_CHECKING:
    from pyarrow import fs

    from shoal.train import Checkpoint

GO_ON, SAVE, END, SAVE_AND_END = 0, 1, 2, 3
ASK_AGAIN = 4
"""Decisions, as they travel."""

WINDOW = 0.02
"""Seconds for which reports are gathered."""
FULL = 500
"""Reports that travel at once."""
MOST = 4 * FULL
"""Reports that may wait."""


class TrialStopped(BaseException):
    """The search has seen enough of this trial. Not for users: it passes through their code, so that the trial ends at its report."""


@dataclass(frozen=True)
class Assignment:
    """What an executor runs.

    Args:
        config: the parameters.
        path: the trial's folder in the storage.
        local_path: a folder of this machine.
        checkpoint: what it begins from.
        next_checkpoint: number of the first checkpoint that it makes.
        iteration: of that checkpoint.
    """

    trial_id: str
    trial_name: str
    experiment_name: str
    config: dict[str, Any]
    resources: list[dict[str, float]]
    path: str
    local_path: str
    checkpoint: Checkpoint | None = None
    next_checkpoint: int = 0
    iteration: int = 0
    time_total: float = 0.0


@dataclass(frozen=True)
class SessionRules:
    """What is the same for all trials of a search.

    Args:
        lock_step: whether a report waits for a decision.
        filesystem: of the storage; None for this machine's.
        criteria: a report that reaches one of these ends its trial.
        strict: whether a report has to have these metrics.
        patience: seconds that a call waits for the trial; None for as long as it takes. Where all run in one process, one at a time, a call
            that waits keeps the trial from going on.
    """

    lock_step: bool
    filesystem: fs.FileSystem | None = None
    criteria: Mapping[str, float] = field(default_factory=dict)
    strict: bool = True
    patience: float | None = None


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class TrialSession:
    """One run of a trial.

    Args:
        assignment: which.
        rules: of its search.
    """

    def __init__(self, assignment: Assignment, rules: SessionRules) -> None:
        self.assignment = assignment
        self.checkpoint = assignment.checkpoint
        self.iteration = assignment.iteration
        self.reusable = True
        self._rules = rules
        self._time_total = assignment.time_total
        self._outgoing: queue.SimpleQueue[Report | int | _End] = queue.SimpleQueue()
        self._decisions: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._room = threading.Event()
        self._delivery = threading.Condition()
        self._put = 0
        self._sent = 0
        self._delivered = 0
        self._last_frame = -WINDOW
        self._decision = GO_ON
        self._next_checkpoint = assignment.next_checkpoint
        self._last = time.perf_counter()
        self._waits = False
        """For the search."""
        self._has_told_where = False
        self._reporting = threading.Lock()

    # --- the trial's thread -----------------------------------------------------------------------------------------------------

    def report(self, metrics: Mapping[str, Any], checkpoint: Checkpoint | None = None, is_last: bool = False) -> int:
        """Sends metrics on, and stores a checkpoint. Returns what is decided; `end_if_told` carries it out.

        Raises InvalidReportError, MetricNotReportedError, CheckpointStorageError.
        """
        with self._reporting:
            return self._report(metrics, checkpoint, is_last)

    def _report(self, metrics: Mapping[str, Any], checkpoint: Checkpoint | None, is_last: bool) -> int:
        if self._decision & END:
            return self._decision
        if not isinstance(metrics, Mapping):
            raise InvalidReportError(
                f"Trial {self.assignment.trial_name} reported {metrics!r}; report a dict of metrics"
            )
        plain = plain_metrics(metrics)
        number = None if checkpoint is None else self.store(checkpoint)
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self.iteration += 1
        self._time_total += seconds
        is_last = is_last or bool(plain.get("done")) or self._reaches(plain)
        report = Report(plain, seconds, time.time(), number, is_last)
        if is_last:
            self._decision = END
            self._outgoing.put(report)
            return END
        if self._rules.lock_step:
            self._outgoing.put(report)
            self._waits = True
            self._decision = self._decisions.get()
            self._waits = False
            self._last = time.perf_counter()
            return self._decision
        self._outgoing.put(report)
        self._put += 1
        if number is not None:
            # The search has to know of a checkpoint before the trial goes on: it may be its last deed.
            self._hurry.set()
            self._waits = True
            with self._delivery:
                self._delivery.wait_for(lambda put=self._put: self._delivered >= put or bool(self._decision & END))  # type: ignore[misc]
            self._waits = False
            return self._decision
        waiting = self._outgoing.qsize()
        if waiting >= FULL:
            self._hurry.set()
            while waiting >= MOST and not self._decision & END:
                self._room.clear()
                if self._outgoing.qsize() >= MOST:
                    self._waits = True
                    self._room.wait()
                    self._waits = False
                waiting = self._outgoing.qsize()
        return self._decision

    def saved(self, checkpoint: Checkpoint) -> None:
        """Stores a checkpoint that comes without a report."""
        self._outgoing.put(self.store(checkpoint))

    def store(self, checkpoint: Checkpoint) -> int:
        """Copies a checkpoint into the trial's folder. Returns its number. Raises CheckpointStorageError."""
        from shoal.train import Checkpoint

        if not isinstance(checkpoint, Checkpoint):
            raise InvalidReportError(f"checkpoint is {checkpoint!r}; give Checkpoint.from_directory(folder)")
        number = self._next_checkpoint
        target = f"{self.assignment.path}/checkpoint_{number:06d}"
        try:
            put_checkpoint(checkpoint, target, self._rules.filesystem)
        except OSError as error:
            raise CheckpointStorageError(
                f"Checkpoint {number} of trial {self.assignment.trial_name} could not be stored at {target}: {error}. Make room there, "
                "keep fewer (CheckpointConfig(num_to_keep=...)), or give another RunConfig(storage_path=...)."
            ) from error
        self._next_checkpoint += 1
        filesystem = self._rules.filesystem
        self.checkpoint = (
            Checkpoint(target, filesystem) if filesystem is not None else Checkpoint.from_directory(target)
        )
        return number

    def end_if_told(self) -> None:
        """Raises TrialStopped where the trial shall end."""
        if self._decision & END:
            raise TrialStopped

    def ended(self, error: BaseException | None, reusable: bool = True) -> None:
        """The user's code has returned or raised."""
        self.reusable = reusable
        self._outgoing.put(_End(error))
        self._hurry.set()

    def _reaches(self, metrics: dict[str, Any]) -> bool:
        if not self._rules.criteria:
            return False
        known = dict(flat_result(metrics))
        known["training_iteration"], known["time_total_s"] = self.iteration, self._time_total
        for name, threshold in self._rules.criteria.items():
            if name not in known:
                if self._rules.strict:
                    raise MetricNotReportedError(explain_missing(self.assignment.trial_name, name, known))
            elif known[name] >= threshold:
                return True
        return False

    @property
    def silent_seconds(self) -> float:
        """Since the last report, or the start; 0 while the trial waits for the search."""
        return 0.0 if self._waits else time.perf_counter() - self._last

    # --- the executor's calls ---------------------------------------------------------------------------------------------------

    def next(self, decision: int) -> Frame:
        """Passes a decision on, and returns what comes then. Raises what the user's code raised."""
        if decision == ASK_AGAIN:
            return self.frame()
        if self._rules.lock_step:
            self._decisions.put(decision)
        else:
            with self._delivery:
                self._decision |= decision
                self._delivered = self._sent
                self._delivery.notify_all()
            self._room.set()
        return self.frame()

    def frame(self) -> Frame:
        """Waits for what the trial says. Raises what the user's code raised."""
        try:
            item = self._outgoing.get(timeout=self._rules.patience)
        except queue.Empty:
            return Frame([], False, is_waiting=True)
        if not self._rules.lock_step and isinstance(item, Report):
            wait = self._last_frame + WINDOW - time.monotonic()
            if wait > 0:
                self._hurry.wait(wait)
            self._hurry.clear()
        reports: list[Report] = []
        saved: int | None = None
        ended = False
        while True:
            if isinstance(item, Report):
                reports.append(item)
                if self._rules.lock_step and not item.is_last:
                    break
            elif isinstance(item, int):
                saved = item
            else:
                if item.error is not None:
                    if reports:
                        self._outgoing.put(item)
                        break
                    raise item.error
                ended = True
                break
            if self._rules.lock_step:
                item = self._outgoing.get()
                continue
            try:
                item = self._outgoing.get_nowait()
            except queue.Empty:
                if not (reports and reports[-1].is_last) and saved is None:
                    break
                item = self._outgoing.get()
        self._room.set()
        self._sent += len(reports)
        self._last_frame = time.monotonic()
        if self._has_told_where:
            return Frame(reports, ended, saved, reusable=self.reusable)
        self._has_told_where = True
        return Frame(reports, ended, saved, os.getpid(), *_here(), reusable=self.reusable)


def _here() -> tuple[str, str]:
    import shoal

    return socket.gethostname(), str(shoal.util.get_node_ip_address())


_PLAIN = frozenset({int, float, str, bool, type(None), bytes})


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy that nobody else can change, with numbers of numpy and torch as Python's. Raises InvalidReportError."""
    plain = dict(metrics)
    for name, value in plain.items():
        if type(name) is not str and not isinstance(name, str):
            raise InvalidReportError(f"a metric's name is {name!r}; metrics have texts as names")
        if type(value) not in _PLAIN:
            plain[name] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if type(value) in _PLAIN:
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return copy.deepcopy(value)


def put_checkpoint(checkpoint: Checkpoint, target: str, filesystem: fs.FileSystem | None) -> None:
    """Copies a checkpoint's files to a folder, which is there only when it is whole (where folders can be renamed). Raises OSError."""
    with checkpoint.as_directory() as folder:
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"the checkpoint's folder {folder} is not there")
        if filesystem is None:
            part = f"{target}.part"
            shutil.rmtree(part, ignore_errors=True)
            try:
                shutil.copytree(folder, part, copy_function=_copy)
                if os.path.isdir(target):
                    shutil.rmtree(target)
                os.rename(part, target)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            return
        from pyarrow import fs

        filesystem.create_dir(target, recursive=True)
        fs.copy_files(folder, target, source_filesystem=fs.LocalFileSystem(), destination_filesystem=filesystem)


def _copy(source: str, target: str) -> str:
    return str(shutil.copyfile(source, target))
