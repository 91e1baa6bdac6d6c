"""How a process learns what the controller says: one question is always open, and is answered when something has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import shoal
from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.process.load_reports import LoadReports
from shoal.serve.exceptions import ServeError

CONTROLLER, REST_SERVER, NAMESPACE = "SERVE_CONTROLLER_ACTOR", "SERVE_REST_ACTOR", "serve"

Listener = Callable[[Any], None]
Lost = Callable[[BaseException], None]


def find_controller() -> Any:
    """Returns the controller's handle. Raises ServeError where nothing is served."""
    try:
        return shoal.get_actor(CONTROLLER, namespace=NAMESPACE)
    except ValueError:
        raise ServeError("nothing is served in this session; start with serve.run(...) or serve.start()") from None


class ControllerLink:
    """Tells listeners what is new of what they listen to, on a thread of the core's: they return quickly, and take locks of their own.

    Args:
        controller: the controller's handle.
        name: by which the controller tells listeners apart; empty for any that nobody else has.
    """

    def __init__(self, controller: Any, name: str = "") -> None:
        self.controller = controller
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._to_tell_of_loss: list[Lost] = []
        self.is_lost = False
        """There is no such controller any more: serving was ended, maybe by another process."""
        self._asking = 0
        self._name = name or CALL_IDS.next()
        self.load_reports = LoadReports(controller)

    def listen(self, key: str, listener: Listener, lost: Lost | None = None) -> None:
        """`listener` is told the value of `key` now and whenever it changes; `lost`, maybe more than once, why it will hear no more."""
        with self._lock:
            if lost is not None:
                self._to_tell_of_loss.append(lost)
            self._listeners.setdefault(key, []).append(listener)
            self._versions[key] = -1
            self._asking += 1
        self._ask()

    def look_again(self, key: str) -> None:
        """The listeners of `key` are told what it is now, also where that is not new."""
        future: Future[Any] = self.controller.value_of.remote(key).future()
        future.add_done_callback(lambda done: self._seen_again(key, done))

    def _seen_again(self, key: str, done: Future[Any]) -> None:
        error = done.exception()
        if error is not None:
            self._lose(error)
            return
        version, value = done.result()
        with self._lock:
            current = version >= self._versions.get(key, -1)
            if current:
                self._versions[key] = version
            listeners = list(self._listeners.get(key, ())) if current else []
        for listener in listeners:
            listener(value)

    def _ask(self) -> None:
        with self._lock:
            asking, versions = self._asking, dict(self._versions)
        future: Future[Any] = self.controller.listen.remote(self._name, versions).future()
        future.add_done_callback(lambda done: self._answered(asking, done))

    def _answered(self, asking: int, done: Future[Any]) -> None:
        error = done.exception()
        if error is not None:
            # One that was to be made again has been: serving was ended, or the session was. There is nothing more to hear.
            self._lose(error)
            return
        told = []
        with self._lock:
            for key, (version, value) in done.result().items():
                if version > self._versions.get(key, -1):
                    self._versions[key] = version
                    told += [(listener, value) for listener in self._listeners.get(key, ())]
            current = asking == self._asking
        for listener, value in told:
            listener(value)
        if current:
            self._ask()

    def _lose(self, error: BaseException) -> None:
        if isinstance(error, shoal.exceptions.ActorError):
            self.is_lost = True
        with self._lock:
            told = list(self._to_tell_of_loss)
        for lost in told:
            lost(error)
