"""Errors in tasks reach the caller as themselves."""

from __future__ import annotations

import pytest

import shoal
from shoal.exceptions import RayError, RayTaskError


@pytest.mark.short
def test_error_has_its_own_type_and_that_of_a_task_error() -> None:
    @shoal.remote
    def fail():
        raise ValueError("wrong", 3)

    for kind in (ValueError, RayTaskError, RayError):
        with pytest.raises(kind) as caught:
            shoal.get(fail.remote())
    assert isinstance(caught.value.cause, ValueError)
    assert caught.value.cause.args == ("wrong", 3)


def test_message_and_traceback_name_the_place() -> None:
    @shoal.remote
    def outer_function():
        def inner_function():
            raise KeyError("the key")

        inner_function()

    with pytest.raises(KeyError) as caught:
        shoal.get(outer_function.remote())
    text = str(caught.value)
    assert "the key" in text
    assert "inner_function" in text
    assert "outer_function" in text


@pytest.mark.short
def test_class_of_the_users_own() -> None:
    class Mine(Exception):
        def __init__(self, code):
            super().__init__(f"code {code}")
            self.code = code

        def __reduce__(self):
            return Mine, (self.code,)

    @shoal.remote
    def fail():
        raise Mine(7)

    with pytest.raises(RayTaskError) as caught:
        shoal.get(fail.remote())
    assert type(caught.value.cause).__name__ == "Mine"
    assert caught.value.cause.code == 7


def test_error_that_cannot_be_pickled_keeps_its_text() -> None:
    import threading

    class Unpicklable(Exception):
        def __init__(self):
            super().__init__("text to keep")
            self.lock = threading.Lock()

    @shoal.remote
    def fail():
        raise Unpicklable

    with pytest.raises(RayError, match="text to keep"):
        shoal.get(fail.remote())


def test_cause_in_the_users_code_is_shown() -> None:
    @shoal.remote
    def fail():
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    with pytest.raises(ValueError) as caught:
        shoal.get(fail.remote())
    assert "first" in str(caught.value)
    assert "second" in str(caught.value)


@pytest.mark.short
def test_error_of_an_argument_is_the_error_of_the_task(counter) -> None:
    @shoal.remote
    def fail():
        raise ValueError("upstream")

    @shoal.remote
    def use(x, counter):
        shoal.get(counter.add.remote())

    for ref in (use.remote(fail.remote(), counter), use.remote(use.remote(fail.remote(), counter), counter)):
        with pytest.raises(ValueError, match="upstream"):
            shoal.get(ref)
    assert shoal.get(counter.read.remote()) == 0


def test_error_of_an_argument_of_a_method(counter) -> None:
    @shoal.remote
    def fail():
        raise ValueError("upstream")

    with pytest.raises(ValueError, match="upstream"):
        shoal.get(counter.add.remote(fail.remote()))
    assert shoal.get(counter.add.remote()) == 1


def test_error_in_a_nested_task_can_be_caught_there() -> None:
    @shoal.remote
    def fail():
        raise ZeroDivisionError("inner")

    @shoal.remote
    def careful():
        try:
            shoal.get(fail.remote())
        except ZeroDivisionError:
            return "caught"

    assert shoal.get(careful.remote()) == "caught"


def test_error_in_a_nested_task_passes_through() -> None:
    @shoal.remote
    def fail():
        raise ZeroDivisionError("inner")

    @shoal.remote
    def careless():
        shoal.get(fail.remote())

    with pytest.raises(ZeroDivisionError, match="inner"):
        shoal.get(careless.remote())


def test_every_result_of_a_failed_task_is_the_error() -> None:
    @shoal.remote(num_returns=2)
    def fail():
        raise ValueError("both")

    for ref in fail.remote():
        with pytest.raises(ValueError, match="both"):
            shoal.get(ref)


def test_error_can_be_had_many_times() -> None:
    @shoal.remote
    def fail():
        raise ValueError("again")

    ref = fail.remote()
    for _ in range(3):
        with pytest.raises(ValueError, match="again"):
            shoal.get(ref)


def test_returned_exception_is_a_value() -> None:
    @shoal.remote
    def give():
        return ValueError("a value")

    value = shoal.get(give.remote())
    assert isinstance(value, ValueError)
    assert value.args == ("a value",)


def test_stop_iteration_in_a_task() -> None:
    @shoal.remote
    def fail():
        raise StopIteration("over")

    with pytest.raises(RayTaskError):
        shoal.get(fail.remote())


def test_nothing_is_lost_when_nobody_gets_the_error() -> None:
    @shoal.remote
    def fail():
        raise ValueError("unseen")

    @shoal.remote
    def one():
        return 1

    ref = fail.remote()
    assert shoal.get(one.remote()) == 1
    del ref
    assert shoal.get(one.remote()) == 1


@pytest.mark.shoal_only  # Ray loses the notes
def test_notes_and_groups_are_kept() -> None:
    @shoal.remote
    def fail():
        error = ExceptionGroup("several", [ValueError("one"), TypeError("two")])
        error.add_note("look here")
        raise error

    with pytest.raises(RayTaskError) as caught:
        shoal.get(fail.remote())
    cause = caught.value.cause
    assert [type(part) for part in cause.exceptions] == [ValueError, TypeError]
    assert cause.__notes__ == ["look here"]
