"""The actor that runs trials, one after the other: what a trial costs is a call."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import shoal
from shoal.tune._internal.logic.frames import Frame
from shoal.tune._internal.process.current_trial import CURRENT
from shoal.tune._internal.process.old_report import answer_for_train
from shoal.tune._internal.process.trial_session import (
    END,
    GO_ON,
    SAVE,
    Assignment,
    SessionRules,
    TrialSession,
    TrialStopped,
)
from shoal.tune.exceptions import InvalidReportError, TrialError
from shoal.tune.registry import ENVIRONMENTS, Luggage
from shoal.tune.trainable.trainable import Trainable
from shoal.tune.trainable.with_parameters import SharedParameters

if TYPE_CHECKING:
    from shoal.train import Checkpoint


PATIENCE = 0.002
"""Seconds that a call waits for its trial where all run in one process, one at a time."""
QUESTIONS = "questions"
"""The concurrency group of calls that are answered while a trial runs."""


@dataclass(frozen=True)
class ExecutorSettings:
    """What is the same for all trials of a search.

    Args:
        trainable: a function of the configuration, a subclass of Trainable, or one of these with shared objects.
        rules: of what is reported.
        driver_pid: of the program that runs the search. In another process, working directory and environment are the trial's own.
        is_trainer: whether the function trains by shoal.train, and its reports are handed on.
        enter_folder: whether a trial's working directory is its folder.
        frequency: steps between checkpoints of a class; 0 for none.
        at_end: whether a class makes a checkpoint when its trial ends.
        reuse_objects: whether an object runs one trial after the other, by `reset_config`.
        log_to_file: names of files in the trial's folder for what it prints.
        environments: those that the program knows by name.
    """

    trainable: Any
    rules: SessionRules
    driver_pid: int = 0
    is_trainer: bool = False
    enter_folder: bool = True
    frequency: int = 0
    at_end: bool = False
    reuse_objects: bool = False
    log_to_file: tuple[str, str] | None = None
    environments: Luggage = field(default_factory=dict)

    @property
    def own_process(self) -> bool:
        """Whether this process is the executor's alone."""
        return os.getpid() != self.driver_pid


class TrialExecutor:
    """Runs one trial at a time.

    Args:
        settings: of the search.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._rules = settings.rules if settings.own_process else replace(settings.rules, patience=PATIENCE)
        if settings.own_process:
            ENVIRONMENTS.carry(settings.environments)
        trainable = settings.trainable
        self._trainable = trainable.bound() if isinstance(trainable, SharedParameters) else trainable
        if settings.own_process and not settings.is_trainer:
            answer_for_train(self._trainable)
        self._object: Trainable | None = None
        self._session: TrialSession | None = None
        self._thread: threading.Thread | None = None
        self._is_free = True
        """Whether the last trial has ended well, and this was said."""
        self._ticket = 0
        """The last that was held: begun, refused or given back."""
        self._hold = threading.Lock()

    def ready(self) -> bool:
        """Answers when the process is there."""
        return True

    def start(self, assignment: Assignment) -> Frame:
        """Begins a trial. Returns what it says first. Raises what the user's code raised."""
        session = self._session = TrialSession(assignment, self._rules)
        self._thread = threading.Thread(
            target=self._run, args=(session,), name=f"trial-{assignment.trial_id}", daemon=False
        )
        self._is_free = False
        self._thread.start()
        return self._said(session.frame())

    def start_next(self, assignment: Assignment, ticket: int) -> Frame | None:
        """Begins a trial if the one before has ended well. This call waits behind the one that says so, which has been answered then.

        Returns None where it does not begin.
        """
        with self._hold:
            if not self._is_free or self._ticket >= ticket:
                return None
            self._ticket = ticket
        return self.start(assignment)

    @shoal.method(concurrency_group=QUESTIONS)
    def give_back(self, ticket: int) -> bool:
        """Gives up a trial that waits in `start_next`. Returns whether it had not begun."""
        with self._hold:
            if self._ticket >= ticket:
                return False
            self._ticket = ticket
        return True

    def next(self, decision: int) -> Frame:
        """Tells the trial to go on or to end. Returns what it says then. Raises what the user's code raised."""
        assert self._session is not None
        return self._said(self._session.next(decision))

    def go_on(self) -> Frame:
        """Tells the trial to go on, as `next(GO_ON)`."""
        return self.next(GO_ON)

    def _said(self, frame: Frame) -> Frame:
        self._is_free = frame.ended and frame.reusable
        return frame

    @shoal.method(concurrency_group=QUESTIONS)
    def where(self) -> tuple[float, str]:
        """Returns for how many seconds the trial has said nothing, and where its thread is. Comes while `start` or `next` waits."""
        session, thread = self._session, self._thread
        if session is None or thread is None:
            return 0.0, ""
        frame = sys._current_frames().get(thread.ident or 0)
        stack = list(traceback.extract_stack(frame)) if frame is not None else []
        while stack and stack[0].filename != __file__:
            stack.pop(0)  # of the thread
        while len(stack) > 1 and stack[0].filename == __file__:
            stack.pop(0)
        if not stack:
            return session.silent_seconds, "Its thread has ended."
        last = stack[-1]
        at = f"It is in {last.name} ({os.path.basename(last.filename)}, line {last.lineno}):\n"
        return session.silent_seconds, at + "".join(traceback.format_list(stack))

    # --- the trial's thread -----------------------------------------------------------------------------------------------------

    def _run(self, session: TrialSession) -> None:
        error: BaseException | None = None
        reusable = True
        threads = set(threading.enumerate()) if self._settings.own_process else set()
        CURRENT.enter(session)
        try:
            with _surroundings(session.assignment, self._settings):
                if inspect.isclass(self._trainable):
                    self._run_class(session)
                else:
                    self._run_function(session)
        except TrialStopped:
            pass
        except Exception as raised:
            error = raised
        except BaseException as raised:
            error = TrialError(f"the trainable raised {type(raised).__name__}: {raised}")
            error.__cause__ = raised
        finally:
            CURRENT.leave(session)
        if self._settings.own_process:
            reusable = all(one.daemon or not one.is_alive() for one in set(threading.enumerate()) - threads)
        session.ended(error, reusable)

    def _run_function(self, session: TrialSession) -> None:
        # A copy: what the function does to its configuration is its own affair.
        config = dict(session.assignment.config)
        if self._settings.is_trainer:
            self._run_trainer(session, config)
            return
        output = self._trainable(config)
        if output is None:
            return
        if isinstance(output, Iterator):
            for metrics in output:
                session.report(_metrics(metrics, "yielded"))
                session.end_if_told()
            return
        session.report(_metrics(output, "returned"), is_last=True)

    def _run_trainer(self, session: TrialSession, config: dict[str, Any]) -> None:
        from shoal.train.forwarding import forward_to

        def hand_on(metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
            session.report(metrics, checkpoint)
            session.end_if_told()

        with forward_to(hand_on, start_from=session.checkpoint, storage_path=session.assignment.path):
            self._trainable(config)

    def _run_class(self, session: TrialSession) -> None:
        trial = self._made_object(session)
        assignment, settings = session.assignment, self._settings
        try:
            if assignment.checkpoint is not None:
                trial.restore(assignment.checkpoint)
            trial.continue_from(assignment.iteration, assignment.time_total)
            decision = 0
            while not decision & END:
                metrics = trial.make_step()
                iteration = session.iteration + 1
                saves = bool(metrics.pop("should_checkpoint", False))
                saves = saves or (settings.frequency > 0 and iteration % settings.frequency == 0)
                with _saved(trial) if saves else contextlib.nullcontext() as checkpoint:
                    decision = session.report(metrics, checkpoint)
                if not saves and (decision & SAVE or (decision & END and settings.at_end)):
                    with _saved(trial) as checkpoint:
                        session.saved(checkpoint)
        finally:
            if not settings.reuse_objects:
                self._object = None
                trial.stop()

    def _made_object(self, session: TrialSession) -> Trainable:
        config = dict(session.assignment.config)
        if self._object is not None:
            if self._object.reset(config):
                return self._object
            before, self._object = self._object, None
            before.stop()
        made: Trainable = self._trainable(config)
        self._object = made
        return made


@contextlib.contextmanager
def _saved(trial: Trainable) -> Iterator[Checkpoint]:
    """Gives a checkpoint of an object, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="shoal-checkpoint-") as folder:
        yield trial.save(folder)


def _metrics(value: Any, how: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, Number):
        return {"_metric": value}
    raise InvalidReportError(f"the trainable {how} {value!r}; metrics are a dict of names to values")


@contextlib.contextmanager
def _surroundings(assignment: Assignment, settings: ExecutorSettings) -> Iterator[None]:
    """The trial's folder is its working directory, and its environment is its own."""
    os.makedirs(assignment.local_path, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if settings.own_process:
            before = dict(os.environ)
            folder = os.getcwd()
            if settings.enter_folder:
                os.chdir(assignment.local_path)

            def restore() -> None:
                os.chdir(folder)
                if dict(os.environ) != before:
                    os.environ.clear()
                    os.environ.update(before)

            stack.callback(restore)
            if settings.log_to_file is not None:
                out, err = settings.log_to_file
                stack.enter_context(contextlib.redirect_stdout(_Tee(sys.stdout, assignment.local_path, out)))
                stack.enter_context(contextlib.redirect_stderr(_Tee(sys.stderr, assignment.local_path, err)))
        yield


class _Tee:
    """Prints to a file of the trial's folder, too."""

    def __init__(self, stream: TextIO, folder: str, name: str) -> None:
        self._stream = stream
        self._file = Path(folder, name).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._file.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
