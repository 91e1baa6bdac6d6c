"""Arguments are refused where and as Python would."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._core.api.signature import constructor_signature, signature_of


def plain(a: Any, b: Any = 1) -> None: ...


def all_kinds(a: Any, b: Any = 1, /, c: Any = 2, *more: Any, d: Any, e: Any = 5, **named: Any) -> None: ...


def positional_only(a: Any, /, b: Any) -> None: ...


def keyword_only(*, a: Any, b: Any = 2) -> None: ...


def nothing() -> None: ...


FUNCTIONS = [plain, all_kinds, positional_only, keyword_only, nothing, lambda x: None]


def outcome(function: Callable[..., Any], args: Any, kwargs: Any) -> str:
    try:
        function(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return "accepted"


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e", "z"]), st.integers(), max_size=4),
)
def test_same_answer_as_python(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    signature = signature_of(function)
    assert signature is not None
    assert outcome(signature.check, args, kwargs) == outcome(function, args, kwargs)


class Example:
    def __init__(self, a: Any) -> None: ...

    def method(self, x: Any, y: Any = 1) -> None: ...

    def closure(self, x: Any) -> Any:
        return lambda: (self, x)

    def anything(*args: Any) -> None: ...

    @classmethod
    def of_class(cls, x: Any) -> None: ...


@pytest.mark.parametrize("name", ["method", "closure", "anything"])
@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1,), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((), {"x": 1})])
def test_methods_do_not_count_self(name: str, args: Any, kwargs: Any) -> None:
    signature = signature_of(vars(Example)[name], bound=True)
    assert signature is not None
    assert outcome(signature.check, args, kwargs) == outcome(getattr(Example(1), name), args, kwargs)


def test_survives_pickling() -> None:
    signature = pickle.loads(pickle.dumps(signature_of(Example.method, bound=True)))
    with pytest.raises(TypeError, match=r"Example.method\(\) missing 1 required positional argument: 'x'"):
        signature.check()
    signature.check(1, y=2)


def test_constructors() -> None:
    signature = constructor_signature(Example)
    assert signature is not None
    with pytest.raises(TypeError, match=r"Example.__init__\(\) missing 1 required positional argument: 'a'"):
        signature.check()


def test_class_without_constructor_takes_nothing() -> None:
    class Plain:
        pass

    signature = constructor_signature(Plain)
    assert signature is not None
    signature.check()
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        signature.check(1)


def test_class_with_new_alone() -> None:
    class Made:
        def __new__(cls, a: int) -> Made:
            return object.__new__(cls)

    signature = constructor_signature(Made)
    assert signature is not None
    signature.check(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        signature.check()


def test_callables_that_do_not_say() -> None:
    assert signature_of(len) is None
    assert constructor_signature(dict) is None
