"""Progress of loops in tasks and actors. Bars of many processes would overwrite one another, so here every state is a line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any


class tqdm:
    """Counts and reports progress on standard error, which the driver shows.

    Args:
        iterable: what to count while it is iterated over.
        desc: what is counted, for people.
        total: how many there will be; the length of the iterable by default.
        unit: what one of them is.
        position: kept for programs that give it.
        flush_interval_s: seconds between two reports at least.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        position: int | None = None,
        flush_interval_s: float = 1.0,
    ) -> None:
        self._iterable = iterable
        self._desc = desc or ""
        if total is None and iterable is not None:
            total = len(iterable) if isinstance(iterable, Sized) else None
        self.total = total
        self.n = 0
        self._unit = unit or "it"
        self._interval = flush_interval_s
        self._started = time.monotonic()
        self._reported = float("-inf")
        self._shown = -1
        self._closed = False

    def set_description(self, desc: str) -> None:
        """Changes what is counted."""
        self._desc = desc
        self._report(force=False)

    def update(self, n: int = 1) -> None:
        """Counts further ones."""
        self.n += n
        self._report(force=False)

    def refresh(self) -> None:
        """Reports at once."""
        self._report(force=True)

    def close(self) -> None:
        """Reports the end."""
        if not self._closed:
            self._closed = True
            if self._shown != self.n:
                self._report(force=True)

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise TypeError("this tqdm was made without an iterable; call update(n) instead")
        for item in self._iterable:
            yield item
            self.update(1)
        self.close()

    def _report(self, *, force: bool) -> None:
        now = time.monotonic()
        if not force and now - self._reported < self._interval:
            return
        self._reported = now
        self._shown = self.n
        rate = self.n / max(now - self._started, 1e-9)
        of_all = f"/{self.total} ({100 * self.n / self.total:.0f} %)" if self.total else ""
        prefix = f"{self._desc}: " if self._desc else ""
        sys.stderr.write(f"{prefix}{self.n}{of_all} {self._unit}, {rate:.4g} {self._unit}/s\n")
        sys.stderr.flush()


def safe_print(*args: Any, **kwargs: Any) -> None:
    """Prints, as `print`; there are no bars to stay clear of."""
    print(*args, **kwargs)  # noqa: T201 - what it is for
