"""shoal's session in processes that Ray has started: it is the ray engine again."""

from __future__ import annotations

import threading

import ray

import shoal
from shoal import engines
from shoal.exceptions import SessionEndedError
from shoal.integrations.ray.joining import is_worker

_FIRST = threading.Lock()
"""Threaded actors get their first calls at once."""


def ensure_session() -> None:
    """Makes the Ray of this process shoal's session, if it has none yet: in workers, at the first task or reference that arrives."""
    if shoal.is_initialized() or not ray.is_initialized():
        return
    if not is_worker():
        shoal.init("ray", configure_logging=False, ignore_reinit_error=True)
        return
    with _FIRST:
        if not shoal.is_initialized():
            from shoal.integrations.ray.engine import RayEngine  # it knows those who call this

            engines.adopt(RayEngine(engines.SessionRequest(kind="adapter", scheme="ray", address="ray")))


def check_not_ended() -> None:
    """Raises SessionEndedError where the session has ended: Ray lets those go who wait then, with SystemExit."""
    if not shoal.is_initialized():
        raise SessionEndedError("the session ended while this waited") from None


class Arrival:
    """Travels before what needs a session where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return arrive, ()


def arrive() -> Arrival:
    """What an Arrival becomes where it arrives."""
    ensure_session()
    return Arrival()
