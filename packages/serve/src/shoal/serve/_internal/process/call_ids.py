"""Ids of calls: a part that no other process has, and a count. A random one for each call costs a system call."""

from __future__ import annotations

import itertools
import os


class CallIds:
    """Makes ids. The process's part is drawn when the first one is made, so forked processes have their own."""

    def __init__(self) -> None:
        self._prefix = ""
        self._count = itertools.count()

    def next(self) -> str:
        """Returns an id that no other call has."""
        if not self._prefix:
            self._prefix = os.urandom(8).hex()
        return f"{self._prefix}{next(self._count):08x}"


CALL_IDS = CallIds()
