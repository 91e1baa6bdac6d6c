"""Saying things once: for messages of libraries that would come again and again."""

from __future__ import annotations

import time

_INTERVAL_SECONDS = 60.0


class _Said:
    """What was said in this process, and when."""

    def __init__(self) -> None:
        self.keys: dict[str, float] = {}
        self.is_off = False
        self.repeats = False


_said = _Said()


def log_once(key: str) -> bool:
    """Returns True the first time it is called with a key, in this process; with periodic logging, once a minute."""
    if _said.is_off:
        return False
    now = time.monotonic()
    last = _said.keys.get(key)
    if last is None or (_said.repeats and now - last > _INTERVAL_SECONDS):
        _said.keys[key] = now
        return True
    return False


def disable_log_once_globally() -> None:
    """From now on `log_once` returns False."""
    _said.is_off = True


def enable_periodic_logging() -> None:
    """From now on `log_once` returns True once a minute for each key."""
    _said.is_off = False
    _said.repeats = True


def reset_log_once(key: str | None = None) -> None:
    """Forgets a key, or all."""
    if key is None:
        _said.keys.clear()
    else:
        _said.keys.pop(key, None)
