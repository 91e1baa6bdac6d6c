"""Sockets that are this process's alone: a copy of it that is forked would keep them open after its death, which nobody would hear of."""

from __future__ import annotations

import os


class OwnSockets:
    """Those of this process, by their file descriptors."""

    def __init__(self) -> None:
        self._descriptors: set[int] = set()
        os.register_at_fork(after_in_child=self._let_go)

    def add(self, descriptor: int) -> None:
        """A socket is open."""
        self._descriptors.add(descriptor)

    def discard(self, descriptor: int) -> None:
        """A socket is about to be closed."""
        self._descriptors.discard(descriptor)

    def _let_go(self) -> None:
        """The copy has something else under the same numbers: objects that it has copied, too, may close them yet."""
        if not self._descriptors:
            return
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for descriptor in self._descriptors:
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)
        self._descriptors.clear()


OWN_SOCKETS = OwnSockets()
"""Of this process."""
