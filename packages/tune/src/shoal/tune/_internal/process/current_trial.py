"""Which trial runs here: what `tune.report` and the like speak to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.tune._internal.process.trial_session import TrialSession


class CurrentTrial:
    """The trial of this thread; else the only one of this process, for threads that a trial has started."""

    def __init__(self) -> None:
        self._thread = threading.local()
        self._live: list[TrialSession] = []

    @property
    def session(self) -> TrialSession | None:
        """None outside of a trial."""
        own: TrialSession | None = getattr(self._thread, "session", None)
        if own is not None:
            return own
        return self._live[0] if len(self._live) == 1 else None

    def enter(self, session: TrialSession) -> None:
        """A trial begins in this thread."""
        self._thread.session = session
        self._live.append(session)

    def leave(self, session: TrialSession) -> None:
        """It has ended."""
        self._thread.session = None
        self._live.remove(session)

    def running(self, function: str) -> TrialSession:
        """Returns the trial. Raises RuntimeError outside of one."""
        session = self.session
        if session is None:
            raise RuntimeError(f"shoal.tune.{function}() works inside of a trial only, which Tuner.fit() runs")
        return session


CURRENT = CurrentTrial()
