"""Calls that wait for their turn at an actor."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Protocol

from shoal._core.process.inline.calls import Call


class Mailbox(Protocol):
    """Where an actor's calls wait. A call is *ready* when its arguments are there."""

    def add(self, call: Call) -> None: ...

    def add_first(self, call: Call) -> None:
        """The call was taken already, and is to be tried again."""

    def remove(self, call: Call) -> bool:
        """Returns False where the call is not here."""

    def take(self, group: str) -> Call | None:
        """Takes the next ready call of a concurrency group."""

    def __len__(self) -> int: ...


class OrderedMailbox:
    """One line a caller; whose line is served next, chance says. A call that is not ready holds up those behind it.

    Args:
        random: the session's source of chance.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._lines: dict[bytes, deque[Call]] = {}

    def add(self, call: Call) -> None:
        self._lines.setdefault(call.caller, deque()).append(call)

    def add_first(self, call: Call) -> None:
        self._lines.setdefault(call.caller, deque()).appendleft(call)

    def remove(self, call: Call) -> bool:
        caller = call.caller
        line = self._lines.get(caller)
        if line is None or call not in line:
            return False
        line.remove(call)
        if not line:
            del self._lines[caller]
        return True

    def take(self, group: str) -> Call | None:
        ready = [line[0] for line in self._lines.values() if line[0].waiting == 0]
        if not ready:
            return None
        call = ready[self._random.randrange(len(ready))]
        self.remove(call)
        return call

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())


class UnorderedMailbox:
    """Calls are served as they become ready.

    Args:
        groups: the actor's concurrency groups.
    """

    def __init__(self, groups: dict[str, int]) -> None:
        self._calls: dict[str, deque[Call]] = {group: deque() for group in groups}

    def add(self, call: Call) -> None:
        self._calls[call.group].append(call)

    def add_first(self, call: Call) -> None:
        self._calls[call.group].appendleft(call)

    def remove(self, call: Call) -> bool:
        calls = self._calls[call.group]
        if call not in calls:
            return False
        calls.remove(call)
        return True

    def take(self, group: str) -> Call | None:
        calls = self._calls[group]
        for call in calls:
            if call.waiting == 0:
                calls.remove(call)
                return call
        return None

    def __len__(self) -> int:
        return sum(len(calls) for calls in self._calls.values())
