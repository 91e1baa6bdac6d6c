"""What cannot be pickled is found and named."""

from __future__ import annotations

import functools
import io
import threading
from typing import Any

import pytest

from shoal._core.system.serializability import (
    FailureTuple,
    argument_error,
    explain_unserializable,
    find_culprit,
    inspect_serializability,
    refusal,
)
from shoal.exceptions import SerializationError

LOCK = threading.Lock()


class Holder:
    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = LOCK


class Stateful:
    def __getstate__(self) -> Any:
        return [1, LOCK]


class Reducing:
    def __reduce__(self) -> Any:
        return Holder, (LOCK,)


class ListKind(list[Any]):
    pass


class DictKind(dict[Any, Any]):
    pass


def uses_global_lock() -> Any:
    def nested() -> Any:
        return LOCK

    return nested


def local_users() -> Any:
    lock = threading.Lock()

    def uses_closure() -> Any:
        return lock

    def uses_default(x: int, lock: Any = lock, *, other: Any = lock) -> Any:
        return x

    class LocalClass:
        attribute = lock

        def method(self) -> Any:
            return lock

    return uses_closure, uses_default, LocalClass


USES_CLOSURE, USES_DEFAULT, LOCAL_CLASS = local_users()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, "model"),
        ([1, LOCK], "model[1]"),
        ((1, (2, LOCK)), "model[1][1]"),
        ({"a": {"b": LOCK}}, "model['a']['b']"),
        ({1, LOCK}, "an item of model"),
        ({LOCK: 1}, "a key of model"),
        (Holder(deep=Holder(lock=LOCK)), "model.deep.lock"),
        (Slotted(), "model.lock"),
        (Stateful(), "the state of model[1]"),
        (Reducing(), "an argument that Holder makes model from"),
        (ListKind([1, LOCK]), "model[1]"),
        (DictKind(a=LOCK), "model['a']"),
        (functools.partial(print, 1, LOCK, end=""), "model.args[1]"),
        (functools.partial(print, end=LOCK), "model.keywords['end']"),
        (Holder(lock=LOCK).method, "model.__self__.lock"),
        (USES_CLOSURE, "model -> lock (a variable of the enclosing function that model uses)"),
        (USES_DEFAULT, "model -> lock (the default of a parameter that model uses)"),
        (LOCAL_CLASS, "model -> attribute (an attribute of class local_users.<locals>.LocalClass that model uses)"),
        (LOCAL_CLASS(), "lock"),
        ([*range(1000), LOCK, *range(1000)], "model[1000]"),
    ],
    ids=str,
)
def test_path_to_the_culprit(value: Any, path: str) -> None:
    text = explain_unserializable(value, "model")
    assert path in text
    assert "_thread.lock" in text
    assert "Locks belong to one process" in text


def test_global_of_a_function_of_main() -> None:
    space: dict[str, Any] = {"LOCK": LOCK, "__name__": "__main__"}
    exec("def outer():\n    def inner():\n        return LOCK\n    return inner", space)
    text = explain_unserializable(space["outer"], "outer")
    assert text.startswith("outer -> LOCK (a global variable that outer uses) is a _thread.lock")


def test_what_can_be_pickled_has_no_explanation() -> None:
    for value in (1, [Holder(a=1)], lambda: 1, uses_global_lock):
        assert explain_unserializable(value, "x") == ""
        assert refusal(value) is None


def test_search_is_bounded() -> None:
    value: Any = LOCK
    for _ in range(200):
        value = [value]
    culprit = find_culprit(value, "x", TypeError("no"))
    assert len(culprit.path) <= 41
    many = {f"key {place}": Holder(a=1) for place in range(2000)}
    many["last"] = LOCK
    assert find_culprit(many, "x", TypeError("no")).path == ("x",)


def test_loop_in_the_value() -> None:
    value = Holder(lock=LOCK)
    value.itself = value
    assert "value.lock" in explain_unserializable(value, "value")


class TestArguments:
    def test_names_the_parameter_and_the_function(self) -> None:
        error = argument_error((1, Holder(lock=LOCK)), {}, "train", ["data", "model"])
        assert isinstance(error, SerializationError)
        assert str(error).startswith("cannot serialize argument 'model' of train(): model.lock is a _thread.lock")
        assert error.path == ("model", "model.lock")

    def test_keyword_argument(self) -> None:
        error = argument_error((1,), {"x": 2, "lock": LOCK}, "train", ["a"])
        assert "argument 'lock' of train()" in str(error)

    def test_more_arguments_than_parameters(self) -> None:
        error = argument_error((1, 2, LOCK), {}, "train", ["a"])
        assert "argument 'args[2]' of train()" in str(error)

    def test_nothing_wrong(self) -> None:
        assert argument_error((1,), {"a": 2}, "train", ["x"]) is None


class TestInspection:
    def test_good_object(self) -> None:
        out = io.StringIO()
        assert inspect_serializability([1], name="numbers", print_file=out) == (True, set())
        assert out.getvalue() == "numbers can be serialized.\n"

    def test_names_all_failures(self) -> None:
        other = threading.Lock()
        value = Holder(one=LOCK, two={"deep": other}, good=1)
        out = io.StringIO()
        good, failures = inspect_serializability(value, name="value", print_file=out)
        assert not good
        assert {failure.name for failure in failures} == {"one", "['deep']"}
        by_name = {failure.name: failure for failure in failures}
        assert by_name["one"].obj is LOCK
        assert by_name["one"].parent is value
        assert by_name["['deep']"].obj is other
        assert "value.one" in out.getvalue()
        assert "Locks belong to one process" in out.getvalue()

    def test_function(self, capsys: pytest.CaptureFixture[str]) -> None:
        good, failures = inspect_serializability(USES_CLOSURE)
        assert not good
        [failure] = failures
        assert failure.obj is not None
        assert failure.parent is USES_CLOSURE
        assert "FailureTuple(lock" in repr(failure)
        assert "local_users.<locals>.uses_closure cannot be serialized" in capsys.readouterr().out

    def test_depth(self) -> None:
        value = Holder(a=Holder(b=Holder(c=LOCK)))
        out = io.StringIO()
        _, failures = inspect_serializability(value, name="value", depth=1, print_file=out)
        assert [failure.name for failure in failures] == ["a"]

    def test_the_object_itself(self) -> None:
        _, failures = inspect_serializability(LOCK, name="lock", print_file=io.StringIO())
        [failure] = failures
        assert isinstance(failure, FailureTuple)
        assert (failure.obj, failure.name, failure.parent) == (LOCK, "lock", None)
