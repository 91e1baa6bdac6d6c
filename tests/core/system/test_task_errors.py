"""Errors of tasks come back as themselves, whatever class they are of."""

from __future__ import annotations

import abc
import asyncio
import builtins
import concurrent.futures
import configparser
import copy
import csv
import dataclasses
import decimal
import http.client
import json
import os
import pickle
import re
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tarfile
import textwrap
import threading
import traceback
import urllib.error
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import cloudpickle
import numpy as np
import pytest

from shoal._core.errors import remote_frames
from shoal._core.system.task_errors import (
    capture_task_error,
    dump_cause,
    dump_error,
    error_text,
    load_cause,
    load_error,
)
from shoal.exceptions import (
    ActorDiedError,
    DeathCause,
    GetTimeoutError,
    ShoalError,
    ShoalSystemError,
    TaskError,
    UnserializableException,
)

T = TypeVar("T")


# --- The users' classes --------------------------------------------------------------------------------------------------


class PlainError(Exception):
    pass


class KeywordError(Exception):
    def __init__(self, *, code: int, reason: str = "none") -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.reason = reason


class OtherArgsError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.sum = first + second


class CountingError(Exception):
    made: ClassVar[int] = 0

    def __init__(self, text: str) -> None:
        super().__init__(text)
        type(self).made += 1


class SlotsError(Exception):
    __slots__ = ("_SlotsError__private", "code", "unset")

    def __init__(self, code: int) -> None:
        super().__init__("slots", code)
        self.code = code
        self.__private = code * 2


class SlotsChildError(SlotsError):
    __slots__ = ("more",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.more = None


class ReducingError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first}/{second}")
        self.first, self.second = first, second

    def __reduce__(self) -> Any:
        return ReducingError, (self.first, self.second)


class LossyReducingError(Exception):
    """Leaves out what cannot be pickled."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        return LossyReducingError, (self.code,)


class BaseKindError(BaseException):
    pass


class ExitKindError(SystemExit):
    pass


@dataclasses.dataclass
class DataError(Exception):
    code: int
    tags: list[str]


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class GenericError(Exception, Generic[T]):
    def __init__(self, item: T) -> None:
        super().__init__(item)
        self.item = item


class AbstractError(Exception, abc.ABC):
    @property
    @abc.abstractmethod
    def code(self) -> int: ...


class ConcreteError(AbstractError):
    code = 3


class Mixin:
    mixed = "in"

    def describe(self) -> str:
        return f"{type(self).__mro__[-1].__name__} described"


class MixedError(Mixin, ValueError):
    pass


class MixedLastError(KeyError, Mixin):
    pass


class TwoBasesError(KeyError, AttributeError):
    pass


class PropertyError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__()
        self._code = code

    @property
    def code(self) -> int:
        return self._code

    def __str__(self) -> str:
        return f"the code is {self._code}"


class NamesLikeOursError(Exception):
    """Has attributes with the names that TaskError uses."""

    def __init__(self) -> None:
        super().__init__("clash")
        self.pid = "mine"
        self.cause = "mine, too"
        self.attempt = 99


class GetattrError(Exception):
    def __getattr__(self, name: str) -> str:
        if name.startswith("made_"):
            return f"value of {name}"
        raise AttributeError(name)


class SetattrError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        object.__setattr__(self, "code", code)

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError("read-only")


class NewError(Exception):
    def __new__(cls, *, code: int) -> NewError:
        self = super().__new__(cls, code)
        self.code = code
        return self

    def __init__(self, *, code: int) -> None:
        super().__init__(code)

    code: int


class OsKindError(OSError):
    def __init__(self, number: int, path: str) -> None:
        super().__init__(number, os.strerror(number), path)
        self.path = path


class OsSlotsError(OSError):
    __slots__ = ("extra",)


class HttpLikeError(Exception):
    def __init__(self, message: str, response: dict[str, Any]) -> None:
        super().__init__(message)
        self.response = response


class WrapperError(Exception):
    def __init__(self, inner: BaseException) -> None:
        super().__init__(f"wrapped {inner}")
        self.inner = inner


class RegistryBase(Exception):
    known: ClassVar[list[type]] = []

    def __init_subclass__(cls, *, code: int, **others: Any) -> None:
        super().__init_subclass__(**others)
        RegistryBase.known.append(cls)
        cls.code = code

    code: int


class RegisteredError(RegistryBase, code=7):
    pass


class MetaKind(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class MetaError(Exception, metaclass=MetaKind):
    pass


class FinalMeta(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        for base in bases:
            if isinstance(base, FinalMeta):
                raise TypeError(f"{base.__name__} is final")
        return super().__new__(mcs, name, bases, namespace)


class FinalError(Exception, metaclass=FinalMeta):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class BadStrError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class BadReprError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class UsersGroup(ExceptionGroup[Exception]):
    def __new__(cls, members: list[Exception], code: int) -> UsersGroup:
        self = super().__new__(cls, f"group {code}", members)
        self.code = code
        return self

    code: int

    def derive(self, members: Any) -> UsersGroup:
        return UsersGroup(list(members), self.code)


class UsersShoalError(ShoalError):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def local_class() -> type[Exception]:
    class LocalError(Exception):
        def __init__(self, *, code: int) -> None:
            super().__init__(code)
            self.code = code

    return LocalError


def raised_by(action: Callable[[], Any]) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def with_attributes(error: BaseException, **attributes: Any) -> BaseException:
    error.__dict__.update(attributes)
    return error


BUILTINS: list[BaseException] = [
    ValueError("bad", 3),
    ValueError(),
    TypeError("bad"),
    KeyError("k"),
    KeyError(("a", 1)),
    IndexError("i"),
    LookupError("l"),
    AttributeError("no attribute", name="x"),
    raised_by(lambda: np.nothing),  # type: ignore[attr-defined]
    NameError("no name", name="y"),
    UnboundLocalError("local"),
    ImportError("no module", name="m", path="/p"),
    ModuleNotFoundError("no module named 'm'", name="m"),
    ZeroDivisionError("division"),
    OverflowError(34, "too large"),
    FloatingPointError("float"),
    ArithmeticError("arithmetic"),
    AssertionError("assert"),
    BufferError("buffer"),
    EOFError("eof"),
    MemoryError("memory"),
    RecursionError("recursion"),
    RuntimeError("runtime"),
    NotImplementedError("todo"),
    ReferenceError("reference"),
    SyntaxError("bad syntax", ("file.py", 3, 5, "x = = 1\n", 3, 6)),
    IndentationError("indent", ("file.py", 1, 1, "  x", 1, 2)),
    SystemError("system"),
    StopIteration("value"),
    StopAsyncIteration("value"),
    SystemExit(3),
    SystemExit("text"),
    KeyboardInterrupt(),
    GeneratorExit(),
    UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "invalid"),
    UnicodeEncodeError("ascii", "é", 0, 1, "ordinal"),
    UnicodeTranslateError("é", 0, 1, "no"),
    OSError(2, "No such file", "name"),
    OSError("only text"),
    OSError(),
    FileNotFoundError(2, "No such file", "one", None, "two"),
    PermissionError(13, "denied", b"bytes name"),
    BlockingIOError(11, "again", 5),
    ConnectionResetError(104, "reset"),
    TimeoutError("late"),
    ChildProcessError(10, "child"),
    UserWarning("warn"),
    DeprecationWarning("old"),
    Exception(),
    BaseException("base"),
    ExceptionGroup("several", [ValueError("one"), ExceptionGroup("inner", [TypeError("two"), OSError(2, "x", "f")])]),
    UsersGroup([ValueError("one"), KeywordError(code=4)], 5),
]

LIBRARIES: list[BaseException] = [
    json.JSONDecodeError("expecting", "{bad", 1),
    subprocess.CalledProcessError(3, ["cmd"], b"out", b"err"),
    subprocess.TimeoutExpired("cmd", 3.0, b"out"),
    socket.gaierror(-2, "unknown host"),
    ssl.SSLError(1, "ssl"),
    sqlite3.OperationalError("no such table"),
    urllib.error.URLError("refused"),
    http.client.IncompleteRead(b"part", 10),
    zlib.error("zlib"),
    struct.error("struct"),
    csv.Error("csv"),
    re.error("bad pattern", "(", 0),
    decimal.InvalidOperation([decimal.ConversionSyntax]),
    zipfile.BadZipFile("zip"),
    tarfile.ReadError("tar"),
    configparser.NoOptionError("option", "section"),
    asyncio.CancelledError("cancel"),
    asyncio.IncompleteReadError(b"p", 3),
    concurrent.futures.BrokenExecutor("broken"),
    pickle.PicklingError("pickle"),
    np.linalg.LinAlgError("singular"),
    np.exceptions.AxisError(3, 2, "axis"),
    raised_by(lambda: np.zeros(3) + np.zeros(4)),
    raised_by(lambda: np.add("a", 1)),
    raised_by(lambda: np.zeros((2**60, 2**10))),
    GetTimeoutError("not ready"),
    ActorDiedError(ValueError("x"), actor_id="ab"),
]

USERS: list[BaseException] = [
    PlainError("text", [1, {"a": 2}]),
    with_attributes(PlainError("text"), detail={"rows": [1, 2]}, array=[1.5]),
    KeywordError(code=5, reason="why"),
    OtherArgsError(2, 3),
    CountingError("counted"),
    SlotsError(3),
    SlotsChildError(4),
    ReducingError(1, 2),
    BaseKindError("base"),
    ExitKindError(4),
    DataError(3, ["a"]),
    FrozenError(3),
    GenericError("item"),
    ConcreteError("c"),
    MixedError("m"),
    MixedLastError("m"),
    TwoBasesError("t"),
    PropertyError(3),
    GetattrError("g"),
    SetattrError(3),
    NewError(code=3),
    OsKindError(2, "/path"),
    with_attributes(OsSlotsError(2, "x"), extra_in_dict=1),
    HttpLikeError("404", {"status": 404, "body": b"none"}),
    RegisteredError("r"),
    MetaError("m"),
    BadStrError("s"),
    BadReprError("r"),
    UsersShoalError(code=3),
    local_class()(code=6),
]

ALL = BUILTINS + LIBRARIES + USERS


def state_of(error: BaseException) -> dict[str, Any]:
    """All that tells one exception from another."""
    state: dict[str, Any] = {"args": error.args, "dict": dict(vars(error))}
    state["dict"].pop("_task_error", None)
    for base in type(error).__mro__:
        if base in (BaseException, object):
            continue
        for name, member in vars(base).items():
            if name not in ("__weakref__", "__dict__", "obj", "exceptions", "message") and (
                type(member).__name__ in ("member_descriptor", "getset_descriptor")
            ):
                state[name] = getattr(error, name, "unset")
    if isinstance(error, BaseExceptionGroup):
        state["args"] = error.message
        state["members"] = [(type(member), state_of(member)) for member in error.exceptions]
    return {name: comparable(value) for name, value in state.items()}


def comparable(value: Any) -> Any:
    """Exceptions compare by identity; here by what they are."""
    if isinstance(value, BaseException):
        return type(value), state_of(value)
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, np.ufunc):
        return str(value)
    return value


def captured(error: BaseException, function_name: str = "train", **facts: Any) -> bytes:
    """What a worker makes of an error that a task raised."""
    try:
        raise error
    except BaseException as raised:
        try:
            return capture_task_error(raised, function_name, **facts)
        finally:
            BaseException.__setattr__(error, "__traceback__", None)


def name_of(error: BaseException) -> str:
    return type(error).__name__


def test_there_are_enough_classes() -> None:
    assert len({type(error) for error in ALL}) >= 90


@pytest.mark.parametrize("error", ALL, ids=name_of)
def test_comes_back_as_itself(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        raise load_error(captured(error))
    raised = caught.value
    assert isinstance(raised, TaskError)
    assert isinstance(raised, type(error))
    assert type(raised.cause) is type(error)
    assert state_of(raised.cause) == state_of(error)
    assert state_of(raised) == state_of(error)
    assert str(raised).startswith("shoal::train()")


@pytest.mark.parametrize("error", ALL, ids=name_of)
def test_passes_through_more_processes_unchanged(error: BaseException) -> None:
    once = captured(load_error(captured(error)), "outer")
    raised = load_error(captured(load_error(once), "outermost"))
    assert type(raised) is type(load_error(captured(error)))
    assert isinstance(raised, TaskError)
    assert type(raised.cause) is type(error)
    assert state_of(raised) == state_of(error)
    assert raised.function_name == "outermost" or hasattr(error, "function_name")
    hops = [line for line in str(raised).splitlines() if line.startswith("shoal::")]
    assert hops == ["shoal::outermost()", "shoal::outer()", "shoal::train()"]


@pytest.mark.parametrize("error", ALL, ids=name_of)
def test_raised_error_is_picklable_itself(error: BaseException) -> None:
    raised = load_error(captured(error, pid=3, attempt=1))
    vars(raised)["__notes__"] = ["a note"]
    for copied in (pickle_by_value(raised), load_error(dump_error(raised)), copy.copy(raised)):
        assert type(copied) is type(raised)
        assert isinstance(copied, TaskError)
        assert state_of(copied) == state_of(raised)
        assert str(copied) == str(raised)
        assert copied.__notes__ == ["a note"]


def pickle_by_value(error: BaseException) -> Any:
    return pickle.loads(cloudpickle.dumps(error))


SPECIAL_BUILTINS = (BaseExceptionGroup, UnicodeError, SyntaxError)
"""These take arguments of their own; see BUILTINS."""


@pytest.mark.parametrize(
    "kind",
    sorted(
        {
            value
            for value in vars(builtins).values()
            if isinstance(value, type) and issubclass(value, BaseException) and not issubclass(value, SPECIAL_BUILTINS)
        },
        key=lambda kind: kind.__name__,
    ),
)
def test_every_builtin_exception_is_covered(kind: type[BaseException]) -> None:
    raised = load_error(captured(kind("a", "b")))
    assert isinstance(raised, kind)
    assert isinstance(raised, TaskError)
    assert raised.args == kind("a", "b").args


def test_init_is_not_called_again() -> None:
    error = CountingError("once")
    made = CountingError.made
    load_error(captured(error))
    assert CountingError.made == made


def test_subclass_hooks_of_users_do_not_run() -> None:
    known = list(RegistryBase.known)
    raised = load_error(captured(RegisteredError("r")))
    assert isinstance(raised, RegisteredError)
    assert raised.code == 7
    assert RegistryBase.known == known


def test_class_of_what_is_raised_is_the_same_each_time() -> None:
    assert type(load_error(captured(PlainError(1)))) is type(load_error(captured(PlainError(2))))


def test_each_load_makes_a_new_error() -> None:
    data = captured(PlainError("x"))
    first, second = load_error(data), load_error(data)
    assert first is not second
    assert first.__traceback__ is None


def test_own_reduce_may_leave_things_out() -> None:
    error = LossyReducingError(5)
    error.add_note("a note")
    raised = load_error(captured(error))
    assert isinstance(raised, LossyReducingError)
    assert raised.code == 5
    assert raised.__notes__ == ["a note"]


def test_class_that_refuses_subclasses_is_in_cause() -> None:
    error = FinalError(3)
    error.add_note("a note")
    error.__cause__ = ValueError("first")
    raised = load_error(captured(error))
    assert type(raised) is TaskError
    assert isinstance(raised.cause, FinalError)
    assert raised.cause.code == 3
    assert raised.__notes__ == ["a note"]
    assert isinstance(raised.__cause__, ValueError)
    again = load_error(captured(raised, "outer"))
    assert type(again) is TaskError
    assert isinstance(again.cause, FinalError)
    assert again.cause.code == 3
    assert "FinalError: 3" in str(again)


def test_group_of_base_exceptions_is_in_cause() -> None:
    raised = load_error(captured(BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError(1)])))
    assert type(raised) is TaskError
    assert isinstance(raised.cause, BaseExceptionGroup)
    assert [type(member) for member in raised.cause.exceptions] == [KeyboardInterrupt, ValueError]


def test_attributes_of_the_user_come_before_ours() -> None:
    raised = load_error(captured(NamesLikeOursError(), pid=7))
    assert isinstance(raised, NamesLikeOursError)
    assert raised.pid == "mine"
    assert raised.attempt == 99
    assert isinstance(raised.cause, NamesLikeOursError)
    assert raised.cause.cause == "mine, too"
    assert raised.function_name == "train"


def test_facts_of_the_task() -> None:
    raised = load_error(
        captured(ValueError("x"), "A.step", pid=7, ip="10.0.0.1", actor_repr="<A>", actor_id="ab", attempt=2)
    )
    assert isinstance(raised, TaskError)
    facts = (raised.function_name, raised.pid, raised.ip, raised.actor_repr, raised.actor_id, raised.attempt)
    assert facts == ("A.step", 7, "10.0.0.1", "<A>", "ab", 2)
    assert str(raised).splitlines()[0] == "shoal::A.step() (pid=7, ip=10.0.0.1, actor_id=ab, repr=<A>, attempt=2)"


def test_name_of_the_task_is_told() -> None:
    assert "shoal::nightly = train()" in str(load_error(captured(ValueError("x"), task_name="nightly")))


def test_users_getattr_still_works() -> None:
    raised = load_error(captured(GetattrError("x")))
    assert raised.made_up == "value of made_up"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = raised.other  # type: ignore[attr-defined]


def test_missing_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = load_error(captured(ValueError("x"))).missing  # type: ignore[attr-defined]


class TestChain:
    def test_cause_context_and_notes(self) -> None:
        def fail() -> None:
            try:
                try:
                    raise KeyError("first")
                except KeyError as error:
                    raise KeywordError(code=2) from error
            except KeywordError:
                last = ValueError("third")
                last.add_note("look here")
                raise last  # noqa: B904

        raised = load_error(captured(raised_by(fail)))
        assert raised.__notes__ == ["look here"]
        assert raised.__cause__ is None
        second = raised.__context__
        assert isinstance(second, KeywordError)
        assert not isinstance(second, TaskError)
        assert second.code == 2
        assert isinstance(second.__cause__, KeyError)
        assert second.__cause__.args == ("first",)
        assert second.__context__ is second.__cause__
        assert second.__suppress_context__
        assert not raised.__suppress_context__

    def test_raise_from_none(self) -> None:
        def fail() -> None:
            try:
                raise KeyError("hidden")
            except KeyError:
                raise ValueError("shown") from None

        raised = load_error(captured(raised_by(fail)))
        assert raised.__suppress_context__
        assert "hidden" not in "".join(traceback.format_exception(raised))
        assert "hidden" not in str(raised)

    def test_loop_ends(self) -> None:
        one, two = ValueError("one"), ValueError("two")
        one.__cause__, two.__cause__ = two, one
        raised = load_error(captured(one))
        assert isinstance(raised.__cause__, ValueError)
        assert raised.__cause__.args == ("two",)

    def test_very_long_chain(self) -> None:
        error = ValueError(0)
        for number in range(1, 2000):
            following = ValueError(number)
            following.__cause__ = error
            error = following
        raised = load_error(captured(error))
        assert raised.args == (1999,)
        assert isinstance(raised.__cause__, ValueError)

    def test_error_of_another_task_as_a_cause(self) -> None:
        def fail() -> None:
            try:
                raise load_error(captured(KeywordError(code=1), "inner", pid=5))
            except KeywordError as error:
                raise RuntimeError("outer") from error

        raised = load_error(captured(raised_by(fail), "outer"))
        assert isinstance(raised, RuntimeError)
        assert isinstance(raised.__cause__, TaskError)
        assert isinstance(raised.__cause__, KeywordError)
        assert raised.__cause__.function_name == "inner"
        assert raised.__cause__.code == 1

    def test_chain_of_task_errors_stays_small(self) -> None:
        error: BaseException = ValueError("x" * 100)
        sizes = []
        for _ in range(12):
            data = captured(error, "again")
            sizes.append(len(data))
            error = RuntimeError("next")
            error.__cause__ = load_error(data)
        assert sizes[-1] < 12 * 12 * sizes[0]

    def test_unpicklable_cause_costs_only_itself(self) -> None:
        error = ValueError("main")
        error.__cause__ = with_attributes(KeyError("with lock"), lock=threading.Lock())
        raised = load_error(captured(error))
        assert isinstance(raised, ValueError)
        assert isinstance(raised.__cause__, UnserializableException)
        assert "with lock" in str(raised.__cause__)
        assert "KeyError.lock" in str(raised.__cause__)

    def test_members_of_groups(self) -> None:
        member = KeywordError(code=3)
        member.add_note("of the member")
        member.__cause__ = OSError(2, "x", "file")
        raised = load_error(captured(ExceptionGroup("several", [ValueError(1), ExceptionGroup("in", [member])])))
        assert isinstance(raised, ExceptionGroup)
        assert isinstance(raised, TaskError)
        matched, rest = raised.split(KeywordError)
        assert matched is not None
        assert rest is not None
        [inner] = matched.exceptions
        assert isinstance(inner, ExceptionGroup)
        [found] = inner.exceptions
        assert isinstance(found, KeywordError)
        assert found.code == 3
        assert found.__notes__ == ["of the member"]
        assert isinstance(found.__cause__, OSError)
        assert found.__cause__.filename == "file"

    def test_except_star(self) -> None:
        seen: list[type] = []
        try:
            raise load_error(captured(UsersGroup([ValueError("one"), KeywordError(code=4)], 5)))
        except* ValueError as group:
            seen += [type(member) for member in group.exceptions]
        except* KeywordError as group:
            seen += [type(member) for member in group.exceptions]
        assert seen == [ValueError, KeywordError]

    def test_unpicklable_member(self) -> None:
        bad = with_attributes(KeyError("bad member"), lock=threading.Lock())
        raised = load_error(captured(ExceptionGroup("several", [ValueError(1), bad])))  # type: ignore[list-item]
        assert isinstance(raised, ExceptionGroup)
        assert isinstance(raised.exceptions[1], UnserializableException)


class TestWhatCannotBePickled:
    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (
                with_attributes(PlainError("keep"), lock=threading.Lock()),
                ["PlainError: keep", "PlainError.lock", "lock"],
            ),
            (PlainError("keep", threading.Lock()), ["PlainError.args[1]"]),
            (with_attributes(PlainError("keep"), deep={"a": [1, threading.Lock()]}), ["PlainError.deep['a'][1]"]),
            (with_attributes(PlainError("keep"), items=(x for x in "ab")), ["PlainError.items", "generator"]),
            (with_attributes(local_class()(code=1), lock=threading.Lock()), ["LocalError.lock"]),
        ],
        ids=["attribute", "argument", "deep", "generator", "local class"],
    )
    def test_comes_back_as_text(self, error: BaseException, words: list[str]) -> None:
        error.add_note("kept note")
        error.__cause__ = ValueError("kept cause")
        raised = load_error(captured(error, pid=3))
        assert type(raised) is TaskError
        assert raised.cause is None
        assert raised.pid == 3
        assert raised.__notes__ == ["kept note"]
        assert isinstance(raised.__cause__, ValueError)
        for word in words:
            assert word in str(raised)
        again = load_error(captured(raised, "outer"))
        assert type(again) is TaskError
        assert str(again).count("could not be brought over") == 1
        assert again.__notes__ == ["kept note"]
        assert isinstance(again.__cause__, ValueError)
        copied = pickle.loads(pickle.dumps(raised))
        assert (type(copied), str(copied), copied.__notes__) == (TaskError, str(raised), ["kept note"])

    def test_fails_while_loading(self) -> None:
        raised = load_error(captured(FailsLater("keep this")))
        assert type(raised) is TaskError
        assert "keep this" in str(raised)
        assert "RuntimeError while unpickling it: not here" in str(raised)

    def test_class_that_cannot_be_examined(self) -> None:
        raised = load_error(captured(Hostile("x")))
        assert isinstance(raised, TaskError)
        assert "Hostile" in str(raised)
        assert isinstance(load_error(dump_error(Hostile("x"))), ShoalError)

    def test_garbage_is_an_error_that_can_be_raised(self) -> None:
        raised = load_error(b"\x80\x05garbage")
        assert isinstance(raised, ShoalSystemError)
        assert isinstance(load_error(b""), ShoalSystemError)

    def test_what_is_not_asked_for_is_not_sent(self) -> None:
        class Huge:
            def __reduce__(self) -> Any:
                raise AssertionError("the object without the attribute is not sent")

        error = raised_by(lambda: Huge().nothing)  # type: ignore[attr-defined]
        raised = load_error(captured(error))
        assert isinstance(raised, AttributeError)
        assert raised.name == "nothing"


class FailsLater(Exception):
    def __reduce__(self) -> Any:
        return fail_here, ()


def fail_here() -> None:
    raise RuntimeError("not here")


class Hostile(Exception):
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("hands off")

    def __str__(self) -> str:
        raise RuntimeError("hands off")


class TestTraceback:
    @staticmethod
    def failing_user_code() -> None:
        def innermost() -> None:
            raise ValueError("bad value")

        try:
            innermost()
        except ValueError as error:
            raise KeyError("the key") from error

    def text(self, error: BaseException) -> str:
        return "".join(traceback.format_exception(error))

    def test_users_frames_are_shown_once(self) -> None:
        raised = load_error(captured(raised_by(self.failing_user_code), pid=3))
        text = self.text(raised_by(lambda: raise_(raised)))
        assert text.count('raise KeyError("the key") from error') == 1
        assert text.count('raise ValueError("bad value")') == 1
        assert text.count("in innermost") == 2  # the frame, and the line that names the cause
        assert text.index("bad value") < text.index("shoal::train() (pid=3)") < text.index("KeyError: 'the key'")
        assert text.count("shoal::train()") == 1
        assert text.endswith("KeyError: 'the key'\n")

    def test_str_tells_the_cause_in_a_line(self) -> None:
        text = str(load_error(captured(raised_by(self.failing_user_code))))
        [line] = [line for line in text.splitlines() if "caused by" in line]
        assert re.fullmatch(r"  caused by ValueError: bad value \(.*test_task_errors.py:\d+, in innermost\)", line)
        assert text.endswith("\nKeyError: 'the key'")

    def test_full_traceback_is_kept(self) -> None:
        raised = load_error(captured(raised_by(self.failing_user_code)))
        assert isinstance(raised, TaskError)
        assert "direct cause of the following" in raised.traceback_str
        assert 'raise ValueError("bad value")' in raised.traceback_str

    def test_notes_are_printed_once(self) -> None:
        error = ValueError("bad")
        error.add_note("look here")
        raised = load_error(captured(error))
        assert self.text(raised).count("look here") == 1

    def test_hops_read_from_outside_in(self) -> None:
        inner = captured(raised_by(self.failing_user_code), "inner", pid=1)
        raised = load_error(captured(load_error(inner), "outer", pid=2))
        text = self.text(raised)
        assert text.index("shoal::outer() (pid=2)") < text.index("shoal::inner() (pid=1)")
        assert text.count('raise KeyError("the key") from error') == 1
        assert text.count('raise ValueError("bad value")') == 1

    def test_frames_of_the_runtime_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = str(Path(__file__).parent) + os.sep
        monkeypatch.setattr(remote_frames, "_RUNTIME_FOLDER", folder)
        text = str(load_error(captured(raised_by(self.failing_user_code))))
        assert "File" not in text
        assert text.endswith("KeyError: 'the key'")

    def test_remade_traceback_is_like_the_real_one(self) -> None:
        def fail() -> None:
            values: dict[str, dict[str, int]] = {"a": {}}
            return values["a"]["b"]

        first = raised_by(fail)
        error = ValueError("x")
        error.__cause__ = first
        remade = load_error(captured(error)).__cause__
        assert remade is not None
        assert traceback.format_exception(remade) == traceback.format_exception(first)

    def test_deep_recursion(self) -> None:
        def down(depth: int) -> None:
            down(depth + 1)

        error = raised_by(lambda: down(0))
        assert isinstance(error, RecursionError)
        raised = load_error(captured(error))
        assert isinstance(raised, RecursionError)
        assert "Previous line repeated" in str(raised)
        wrapped = ValueError("x")
        wrapped.__cause__ = error
        assert isinstance(load_error(captured(wrapped)).__cause__, RecursionError)

    def test_very_long_message_is_cut_in_the_text_only(self) -> None:
        raised = load_error(captured(ValueError("x" * 1_000_000)))
        assert len(raised.args[0]) == 1_000_000
        assert len(str(raised)) < 30_000

    def test_syntax_error_shows_its_line(self) -> None:
        raised = load_error(captured(raised_by(lambda: compile("x = = 1", "user.py", "exec"))))
        assert "x = = 1" in str(raised)

    def test_frames_without_source(self) -> None:
        error = raised_by(lambda: exec(compile("1/0", "<made up>", "exec")))
        wrapped = ValueError("x")
        wrapped.__cause__ = error
        raised = load_error(captured(wrapped))
        assert "<made up>" in self.text(raised)


def raise_(error: BaseException) -> None:
    raise error


class TestDumpError:
    def test_runtime_error_is_no_task_error(self) -> None:
        cause = DeathCause("gone", pid=3, signal="SIGKILL", stderr_tail=["bye"])
        error = ActorDiedError(actor_id="ab", death=cause)
        loaded = load_error(dump_error(error))
        assert type(loaded) is ActorDiedError
        assert loaded.death == cause
        assert str(loaded) == str(error)

    def test_actor_death_carries_the_error_of_the_constructor(self) -> None:
        inner = load_error(captured(KeywordError(code=3), "A.__init__"))
        loaded = load_error(dump_error(ActorDiedError(inner, actor_name="A")))
        assert type(loaded) is ActorDiedError
        assert isinstance(loaded.cause, KeywordError)
        assert isinstance(loaded.cause, TaskError)
        assert loaded.cause.code == 3
        assert "shoal::A.__init__()" in str(loaded)

    def test_plain_error_with_chain(self) -> None:
        error = ValueError("x")
        error.__cause__ = KeyError("k")
        loaded = load_error(dump_error(error))
        assert type(loaded) is ValueError
        assert isinstance(loaded.__cause__, KeyError)

    def test_unpicklable(self) -> None:
        loaded = load_error(dump_error(with_attributes(PlainError("keep"), lock=threading.Lock())))
        assert isinstance(loaded, UnserializableException)
        assert "keep" in str(loaded)

    def test_text_of_an_error(self) -> None:
        data = captured(ValueError("x"))
        assert error_text(data) == str(load_error(data))
        assert error_text(dump_error(ValueError("x"))) == "x"

    def test_cause(self) -> None:
        cause = DeathCause("gone", pid=3)
        assert load_cause(dump_cause(cause)) == cause
        assert load_cause(b"") == DeathCause()


def test_as_instanceof_cause_of_an_error_made_by_hand() -> None:
    error = TaskError("f", "ValueError: bad", KeywordError(code=1)).as_instanceof_cause()
    assert isinstance(error, KeywordError)
    assert (error.code, error.function_name) == (1, "f")
    plain = TaskError("f", "text")
    assert plain.as_instanceof_cause() is plain


def test_threads_capture_in_parallel() -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(30):
                raised = load_error(captured(KeywordError(code=number * 100 + turn)))
                assert isinstance(raised, KeywordError)
                assert raised.code == number * 100 + turn
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_class_of_main_travels_by_value(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from shoal._core.system.task_errors import capture_task_error

            class MainError(ValueError):
                def __init__(self, *, code):
                    super().__init__(f"code {code}")
                    self.code = code

                def doubled(self):
                    return self.code * 2

            try:
                raise MainError(code=21)
            except MainError as error:
                sys.stdout.buffer.write(capture_task_error(error, "f"))
            """
        )
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, check=True)
    raised = load_error(done.stdout)
    assert isinstance(raised, TaskError)
    assert isinstance(raised, ValueError)
    assert raised.doubled() == 42  # type: ignore[attr-defined]
    assert type(raised.cause).__name__ == "MainError"


def test_signals_name() -> None:
    assert DeathCause(signal=signal.Signals.SIGKILL.name).summary() == "The process was ended by signal SIGKILL."
