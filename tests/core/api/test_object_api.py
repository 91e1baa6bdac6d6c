"""`get`, `put`, `wait` and `cancel`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import shoal
from shoal._core.api.runtime import SESSION
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, ObjectLostError, SessionEndedError


@pytest.fixture
def refs(engine: Any) -> list[Any]:
    return [shoal.put(value) for value in ("a", "b", "c")]


def test_get(refs: list[Any]) -> None:
    assert shoal.get(refs[1]) == "b"
    assert shoal.get(refs) == ["a", "b", "c"]
    assert shoal.get([]) == []


def test_generators_are_returned_as_they_are(engine: Any) -> None:
    generator = shoal.remote(lambda: (yield 1)).remote()
    assert shoal.get(generator) is generator


@pytest.mark.parametrize("wrong", [1, None, "text", {}, set(), (), object()], ids=str)
def test_get_takes_a_reference_or_a_list(engine: Any, wrong: Any) -> None:
    with pytest.raises(InvalidOptionError, match="object_refs"):
        shoal.get(wrong)


def test_get_names_the_item_that_is_no_reference(refs: list[Any]) -> None:
    with pytest.raises(InvalidOptionTypeError, match=r"object_refs\[1\]=1 has the wrong type \(int\)"):
        shoal.get([refs[0], 1])
    with pytest.raises(InvalidOptionTypeError):
        shoal.get([refs])


@pytest.mark.parametrize(("timeout", "passed_on"), [(None, None), (0, 0), (1, 1), (1.5, 1.5), (-1, None)])
def test_time_limits(engine: Any, refs: list[Any], timeout: Any, passed_on: Any) -> None:
    shoal.get(refs, timeout=timeout)
    assert engine.other_calls[-1] == ("get", 3, passed_on)


@pytest.mark.parametrize(("timeout", "error"), [(-2, ValueError), (float("nan"), ValueError), ("1", TypeError)])
def test_time_limits_that_cannot_be(refs: list[Any], timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout"):
        shoal.get(refs, timeout=timeout)
    with pytest.raises(error, match="timeout"):
        shoal.wait(refs, timeout=timeout)


def test_put_refuses_references(refs: list[Any]) -> None:
    with pytest.raises(InvalidOptionTypeError, match="put it in a list"):
        shoal.put(refs[0])
    assert shoal.get(shoal.put(refs)) == refs


def test_wait_keeps_the_order(engine: Any, refs: list[Any]) -> None:
    engine.pending.add(refs[1].binary())
    assert shoal.wait(refs, num_returns=2) == ([refs[0], refs[2]], [refs[1]])
    assert shoal.wait(refs) == ([refs[0]], [refs[1], refs[2]])
    assert shoal.wait([]) == ([], [])


def test_wait_for_generators(engine: Any, refs: list[Any], new_stream: Callable[..., Any]) -> None:
    ready, waiting = (shoal.ObjectRefGenerator(stream) for stream in (new_stream(1), new_stream(ended=False)))
    assert shoal.wait([waiting, ready, refs[0]], num_returns=2) == ([ready, refs[0]], [waiting])


@pytest.mark.parametrize("wrong", [1, None, set(), ()], ids=str)
def test_wait_takes_a_list(engine: Any, wrong: Any) -> None:
    with pytest.raises(InvalidOptionTypeError):
        shoal.wait(wrong)


def test_wait_refuses_what_is_not_a_reference(refs: list[Any]) -> None:
    with pytest.raises(InvalidOptionTypeError):
        shoal.wait(refs[0])  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionTypeError, match=r"ray_waitables\[1\]"):
        shoal.wait([refs[0], 1])  # type: ignore[list-item]


@pytest.mark.parametrize("number", [0, -1, 4])
def test_wait_for_a_number_that_cannot_be(refs: list[Any], number: int) -> None:
    with pytest.raises(InvalidOptionError, match="num_returns"):
        shoal.wait(refs, num_returns=number)


def test_wait_refuses_duplicates(refs: list[Any]) -> None:
    with pytest.raises(InvalidOptionError, match="twice"):
        shoal.wait([refs[0], refs[0]])


def test_wait_takes_the_rest_by_name(refs: list[Any]) -> None:
    with pytest.raises(TypeError):
        shoal.wait(refs, 2)  # type: ignore[misc]


def test_cancel(engine: Any, refs: list[Any], new_stream: Callable[..., Any]) -> None:
    shoal.cancel(refs[0], force=True, recursive=False)
    stream = new_stream()
    shoal.cancel(shoal.ObjectRefGenerator(stream))
    assert engine.other_calls == [("cancel", refs[0], True, False), ("cancel", stream, False, True)]
    for wrong in (1, None, refs):
        with pytest.raises(InvalidOptionTypeError, match=r"shoal\.kill"):
            shoal.cancel(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="force"):
        shoal.cancel(refs[0], force=1)  # type: ignore[arg-type]


def test_references_do_not_begin_a_session(refs: list[Any]) -> None:
    SESSION.end()
    for use in (shoal.get, shoal.cancel, lambda ref: shoal.get([ref]), lambda ref: shoal.wait([ref])):
        with pytest.raises(SessionEndedError):
            use(refs[0])
    assert not shoal.is_initialized()


def test_references_to_nothing() -> None:
    assert shoal.ObjectRef.nil().is_nil()
    assert shoal.ObjectRef.nil() == shoal.ObjectRef.nil()
    random = shoal.ObjectRef.from_random()
    assert random != shoal.ObjectRef.from_random()
    assert len(random.binary()) == shoal.ObjectRef.size()
    assert (random.owner_address(), random.call_site()) == ("", "")
    with pytest.raises(ObjectLostError):
        random.future()


def test_blocking_an_event_loop_is_warned_about(refs: list[Any]) -> None:
    import asyncio

    SESSION.runs_tasks = True

    async def block() -> Any:
        return shoal.get(refs[0])

    with pytest.warns(RuntimeWarning, match="await"):
        assert asyncio.run(block()) == "a"
    assert shoal.get(refs[0]) == "a"
