"""What runs a simulated program: a generator that yields what it waits for, and gets the answer sent."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from shoal.testing.simulation.agenda import Agenda, Happening
from shoal.testing.simulation.objects import Objects, Ref, Waiting
from shoal.testing.simulation.values import Failure, Value


class Pause:
    """The program works for so long."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Get:
    """The program waits for these."""

    __slots__ = ("refs",)

    def __init__(self, refs: Sequence[Ref]) -> None:
        self.refs = refs


class Raised(Exception):
    """The program raises an error of its own."""


class Crash(Exception):
    """The program takes its process down."""


Got = list[tuple[Ref, Value | Failure, list[Ref]]]
"""What was asked for and is there, each with the references that came inside it."""
Program = Generator[Pause | Get, Got, list[Ref]]


class Fiber:
    """One running program. `ended` is called with the references that it returns, or with its error."""

    def __init__(
        self,
        program: Program,
        objects: Objects,
        agenda: Agenda,
        is_alive: Callable[[], bool],
        blocked: Callable[[], None],
        unblocked: Callable[[], None],
        ended: Callable[[list[Ref] | Raised | Crash], None],
        wake_delay: Callable[[], float],
    ) -> None:
        self._program = program
        self._objects = objects
        self._agenda = agenda
        self._is_alive = is_alive
        self._blocked = blocked
        self._unblocked = unblocked
        self._ended = ended
        self._wake_delay = wake_delay
        self._waits: Get | None = None
        self._waiting: Waiting | None = None
        self._planned: Happening | None = None
        self.over = False

    def start(self) -> None:
        self._resume([])

    @property
    def waits_for(self) -> list[bytes]:
        return [ref.object_id for ref in self._waits.refs] if self._waits is not None else []

    def interrupt(self) -> None:
        """Ends the program where it is."""
        if self._planned is not None:
            self._planned.cancel()
        if self._waits is not None:
            assert self._waiting is not None
            self._objects.stop_waiting(self._waits.refs, self._waiting)
            self._waits = None
            self._unblocked()
        self.over = True
        self._program.close()

    def _resume(self, got: Got) -> None:
        self._planned = None
        try:
            action = self._program.send(got) if got else next(self._program)
            while isinstance(action, Get):
                waiting = self._objects.wait_for_all(action.refs, self._woken)
                if waiting is not None:
                    self._waits, self._waiting = action, waiting
                    self._blocked()
                    return
                action = self._program.send(self._load(action))
        except StopIteration as stop:
            self.over = True
            self._ended(stop.value)
            return
        except (Raised, Crash) as error:
            self.over = True
            self._ended(error)
            return
        self._planned = self._agenda.after(action.seconds, self._after_pause)

    def _after_pause(self) -> None:
        if self._is_alive():
            self._resume([])

    def _woken(self) -> None:
        self._planned = self._agenda.after(self._wake_delay(), self._after_wait)

    def _after_wait(self) -> None:
        if not self._is_alive() or self._waits is None:
            return
        waits, self._waits = self._waits, None
        assert self._waiting is not None
        self._objects.stop_waiting(waits.refs, self._waiting)
        self._unblocked()
        self._resume(self._load(waits))

    def _load(self, get: Get) -> Got:
        """As get: all values; or, where some have failed, one of the failures."""
        failed = next((ref for ref in get.refs if self._objects.has_failed(ref)), None)
        refs = get.refs if failed is None else [failed]
        return [(ref, *self._objects.load(ref)) for ref in refs]
