"""A function as a class: each step is one of its reports."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from shoal.tune._internal.process.current_trial import CURRENT
from shoal.tune._internal.process.trial_session import END, GO_ON, Assignment, SessionRules, TrialSession, TrialStopped
from shoal.tune.trainable.trainable import Trainable


class FunctionTrainable(Trainable):
    """What `wrap_function` makes classes of. A search runs the function itself."""

    _function: ClassVar[Callable[[dict[str, Any]], Any]]

    def setup(self, config: dict[str, Any]) -> None:
        folder = tempfile.mkdtemp(prefix="shoal-trainable-")
        self._own_folder = folder
        assignment = Assignment("default", "default", "default", config, [{"CPU": 1.0}], folder, folder)
        self._run = TrialSession(assignment, SessionRules(lock_step=True))
        self._thread: threading.Thread | None = None
        self._last: dict[str, Any] = {}

    def step(self) -> dict[str, Any]:
        """Returns the function's next report; its last one with `done` when it has returned. Raises what it raised."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._call, name="trial-default", daemon=True)
            self._thread.start()
            frame = self._run.frame()
        else:
            frame = self._run.next(GO_ON)
        for report in frame.reports:
            self._last = report.metrics
        return {**self._last, "done": True} if frame.ended else dict(self._last)

    def cleanup(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._run.next(END)

    def _call(self) -> None:
        error: BaseException | None = None
        CURRENT.enter(self._run)
        try:
            output = type(self)._function(self.config)
            if isinstance(output, Mapping):
                self._run.report(output, is_last=True)
            elif isinstance(output, Iterator):
                for metrics in output:
                    self._run.report(metrics)
                    self._run.end_if_told()
        except TrialStopped:
            pass
        except BaseException as raised:
            error = raised
        CURRENT.leave(self._run)
        self._run.ended(error)


def wrap_function(train_func: Callable[[dict[str, Any]], Any], name: str | None = None) -> type[FunctionTrainable]:
    """Returns a class whose steps are a function's reports.

    Args:
        train_func: a function of a configuration.
        name: of the class; None for the function's.

    Example:
        >>> from shoal.tune.trainable.function_trainable import wrap_function
        >>> wrap_function(lambda config: {"score": config["x"]})({"x": 2}).train()["score"]
        2
    """
    made = name or getattr(train_func, "__name__", "func")
    return type(str(made), (FunctionTrainable,), {"_function": staticmethod(train_func)})
