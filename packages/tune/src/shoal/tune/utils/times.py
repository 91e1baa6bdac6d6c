"""When it is, and what takes long."""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)


def date_str() -> str:
    """Returns the time as names of folders have it: '2026-01-02_03-04-05'."""
    return f"{dt.datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"


class warn_if_slow:
    """Warns where what is done inside of it takes long.

    Args:
        name: of what is done.
        threshold: seconds; None for TUNE_WARN_THRESHOLD_S of the environment, 0.5 without.
        message: with places for `name` and `duration`; None for one that says both.
        disable: never warn.

    Example:
        >>> from shoal.tune.utils import warn_if_slow
        >>> with warn_if_slow("reading"):
        ...     pass
    """

    def __init__(
        self, name: str, threshold: float | None = None, message: str | None = None, disable: bool = False
    ) -> None:
        self._name = name
        self._threshold = threshold if threshold is not None else float(os.environ.get("TUNE_WARN_THRESHOLD_S", "0.5"))
        self._message = message or "{name} took {duration:.3f} s, which may hold the search up"
        self._is_quiet = disable
        self._start = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._start
        if seconds > self._threshold and not self._is_quiet:
            logger.warning("%s", self._message.format(name=self._name, duration=seconds))
