"""A process hears from its controller until there is none any more, and then says so."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from shoal.exceptions import ActorDiedError
from shoal.serve._internal.process.controller_link import ControllerLink


class FakeMethod:
    """Questions that are answered when the test says so."""

    def __init__(self) -> None:
        self.open: list[Future[Any]] = []

    def remote(self, *args: Any) -> Any:
        self.open.append(Future())
        return self

    def future(self) -> Future[Any]:
        return self.open[-1]


class FakeController:
    def __init__(self) -> None:
        self.listen, self.value_of = FakeMethod(), FakeMethod()


def test_values_are_told_until_the_controller_is_gone() -> None:
    controller = FakeController()
    link = ControllerLink(controller)
    told: list[Any] = []
    lost: list[BaseException] = []
    link.listen("key", told.append, lost.append)
    controller.listen.open[0].set_result({"key": (1, "first")})
    controller.listen.open[1].set_result({"key": (2, "second")})
    assert told == ["first", "second"]
    assert not lost
    error = ActorDiedError("killed")
    controller.listen.open[2].set_exception(error)
    assert lost == [error]
    assert link.is_lost
    assert len(controller.listen.open) == 3


def test_who_looks_again_hears_that_it_is_gone() -> None:
    controller = FakeController()
    link = ControllerLink(controller)
    lost: list[BaseException] = []
    link.listen("key", lambda value: None, lost.append)
    link.look_again("key")
    error = ActorDiedError("killed")
    controller.value_of.open[0].set_exception(error)
    assert lost == [error]
    assert link.is_lost


def test_a_controller_that_cannot_take_over_is_still_there() -> None:
    controller = FakeController()
    link = ControllerLink(controller)
    lost: list[BaseException] = []
    link.listen("key", lambda value: None, lost.append)
    controller.listen.open[0].set_exception(OSError("its port is in use"))
    assert len(lost) == 1
    assert not link.is_lost
