"""Functions that work on lists, called with single items."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shoal import cloudpickle, serve
from shoal.serve import batching
from shoal.serve._internal.process.request_context import CURRENT, RequestContext
from shoal.serve.exceptions import InvalidArgumentError


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is needed."""


def test_calls_at_the_same_time_share_a_list() -> None:
    sizes = []

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=10)
    async def double(numbers: list[int]) -> list[int]:
        sizes.append(len(numbers))
        return [2 * number for number in numbers]

    async def main() -> list[int]:
        return await asyncio.gather(*(double(number) for number in range(8)))

    assert asyncio.run(main()) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert sizes == [4, 4]


def test_a_lone_call_does_not_wait_longer_than_it_has_to() -> None:
    @serve.batch(max_batch_size=100, batch_wait_timeout_s=0.001)
    async def echo(items: list[str]) -> list[str]:
        return items

    assert asyncio.run(asyncio.wait_for(echo("a"), 30)) == "a"


def test_each_object_has_batches_of_its_own() -> None:
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

        @serve.batch(max_batch_size=2, batch_wait_timeout_s=10)
        async def tag(self, items: list[int]) -> list[str]:
            return [f"{self.name}{item}/{len(items)}" for item in items]

    async def main() -> list[list[str]]:
        a, b = Model("a"), Model("b")
        return await asyncio.gather(a.tag(1), b.tag(2), a.tag(3), b.tag(4))

    assert asyncio.run(main()) == ["a1/2", "b2/2", "a3/2", "b4/2"]


def test_errors_of_single_items_and_of_all() -> None:
    @serve.batch(max_batch_size=3, batch_wait_timeout_s=10)
    async def invert(numbers: list[int]) -> list[float]:
        if any(number < 0 for number in numbers):
            raise ValueError("negative")
        return [1 / number if number else ZeroDivisionError("item 0") for number in numbers]

    async def main(*numbers: int) -> list[object]:
        return await asyncio.gather(*(invert(number) for number in numbers), return_exceptions=True)

    one, zero, two = asyncio.run(main(1, 0, 2))
    assert (one, two) == (1.0, 0.5)
    assert isinstance(zero, ZeroDivisionError)
    assert [str(error) for error in asyncio.run(main(1, -1, 2))] == ["negative"] * 3


def test_a_wrong_number_of_results_is_told() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=10)
    async def short(items: list[int]) -> list[int]:
        return items[:1]

    async def main() -> None:
        await asyncio.gather(short(1), short(2))

    with pytest.raises(TypeError, match="got a list of 2 and gave 1 results"):
        asyncio.run(main())


def test_generators_give_each_caller_its_own_parts() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=10)
    async def count(starts: list[int]) -> AsyncIterator[list[int]]:
        for step in range(3):
            yield [start + step for start in starts]

    async def parts(start: int) -> list[int]:
        return [part async for part in count(start)]

    async def main() -> list[list[int]]:
        return await asyncio.gather(parts(10), parts(20))

    assert asyncio.run(main()) == [[10, 11, 12], [20, 21, 22]]


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_stream_may_end_before_those_of_others(is_sent: bool) -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=10)
    async def count(lengths: list[int]) -> AsyncIterator[list[Any]]:
        for step in range(max(lengths)):
            yield [step if step < length else StopIteration for length in lengths]

    # As in a deployment of a program: the function arrives in copy.
    stream: Any = cloudpickle.loads(cloudpickle.dumps(count)) if is_sent else count

    async def parts(length: int) -> list[int]:
        return [part async for part in stream(length)]

    async def main() -> list[list[int]]:
        return await asyncio.wait_for(asyncio.gather(parts(1), parts(3)), 30)

    assert asyncio.run(main()) == [[0], [0, 1, 2]]


def test_who_has_gone_is_left_out() -> None:
    seen: list[list[int]] = []

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=10)
    async def echo(items: list[int]) -> list[int]:
        seen.append(items)
        return items

    async def main() -> list[int]:
        gone = asyncio.ensure_future(echo(1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        return await asyncio.gather(echo(2), echo(3))

    assert asyncio.run(main()) == [2, 3]
    assert seen == [[2, 3]]


def test_limits_change_while_calls_wait() -> None:
    @serve.batch(max_batch_size=100, batch_wait_timeout_s=1000)
    async def echo(items: list[int]) -> list[int]:
        return items

    async def main() -> list[int]:
        calls = [asyncio.ensure_future(echo(n)) for n in range(3)]
        await asyncio.sleep(0)
        echo.set_max_batch_size(3)
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == [0, 1, 2]


def test_no_more_lists_at_a_time_than_allowed() -> None:
    running, most = 0, 0

    @serve.batch(max_batch_size=1, max_concurrent_batches=2)
    async def work(items: list[int]) -> list[int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return items

    async def main() -> list[int]:
        return await asyncio.gather(*(work(n) for n in range(10)))

    assert asyncio.run(main()) == list(range(10))
    assert most == 2


def test_misuse_is_told_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match="max_batch_size is 0"):
        serve.batch(max_batch_size=0)(lambda items: items)
    with pytest.raises(InvalidArgumentError, match="not async"):

        @serve.batch
        def plain(items: list[int]) -> list[int]:
            return items


def orders(monkeypatch: pytest.MonkeyPatch, at_once: float) -> list[str]:
    """Returns in which order three lists of one begin, and their callers have their results."""
    monkeypatch.setattr(batching, "AT_ONCE", at_once)
    found: list[str] = []

    @serve.batch(max_batch_size=1)
    async def work(items: list[int]) -> list[int]:
        found.append(f"begins {items[0]}")
        for _ in range(5):
            await asyncio.sleep(0)
        return items

    async def call(number: int) -> None:
        await work(number)
        found.append(f"has {number}")

    async def main() -> None:
        await asyncio.gather(*(call(number) for number in range(3)))

    asyncio.run(main())
    return found


def test_the_next_list_begins_before_results_go_out_where_it_works_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert orders(monkeypatch, at_once=float("inf")) == ["begins 0", "begins 1", "has 0", "begins 2", "has 1", "has 2"]


def test_results_go_out_before_the_next_list_holds_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert orders(monkeypatch, at_once=0.0) == ["begins 0", "has 0", "begins 1", "has 1", "begins 2", "has 2"]


def test_an_item_whose_size_cannot_be_told_bothers_nobody_else() -> None:
    @serve.batch(
        max_batch_size=10, batch_wait_timeout_s=0.001, batch_size_fn=lambda items: sum(len(item) for item in items)
    )
    async def echo(items: list[str]) -> list[str]:
        return items

    async def main() -> list[object]:
        return await asyncio.gather(*(echo(item) for item in ("a", None, "b")), return_exceptions=True)

    first, wrong, last = asyncio.run(asyncio.wait_for(main(), 30))
    assert (first, last) == ("a", "b")
    assert isinstance(wrong, TypeError)


def test_who_goes_while_a_list_is_worked_on_bothers_nobody_else() -> None:
    """Neither those of the same list nor those of the next one."""

    async def main() -> list[object]:
        begun, go_on = asyncio.Event(), asyncio.Event()

        @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.001)
        async def echo(items: list[int]) -> list[int]:
            begun.set()
            await go_on.wait()
            return items

        calls = [asyncio.ensure_future(echo(number)) for number in range(3)]
        await begun.wait()
        calls[0].cancel()
        go_on.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    gone, *others = asyncio.run(asyncio.wait_for(main(), 30))
    assert isinstance(gone, asyncio.CancelledError)
    assert others == [1, 2]


def test_batches_that_can_never_be_full_are_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("shoal.serve"), "propagate", True)

    @serve.deployment
    class Model:
        @serve.batch(max_batch_size=8)
        async def __call__(self, items: list[int]) -> list[int]:
            return items

    with caplog.at_level("WARNING", "shoal.serve"):
        serve.run(Model.options(max_ongoing_requests=8).bind(), name="fits", local_testing_mode=True)
        assert not caplog.text
        serve.run(Model.bind(), name="never", local_testing_mode=True)
    assert "Model.__call__ gathers 8 requests" in caplog.text
    assert "a max_ongoing_requests of 16 or more" in caplog.text
    serve.delete("fits")
    serve.delete("never")


def test_a_list_is_for_one_model() -> None:
    seen: list[tuple[str, list[int]]] = []

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=600)
    async def work(items: list[int]) -> list[str]:
        model = serve.get_multiplexed_model_id()
        seen.append((model, items))
        return [f"{model}{item}" for item in items]

    async def call(model: str, number: int) -> str:
        CURRENT.set(RequestContext(model_id=model))
        answer: str = await work(number)
        return answer

    async def main() -> list[str]:
        return await asyncio.gather(*(call("ab"[number % 2], number) for number in range(8)))

    assert asyncio.run(main()) == ["a0", "b1", "a2", "b3", "a4", "b5", "a6", "b7"]
    assert sorted(seen) == [("a", [0, 2]), ("a", [4, 6]), ("b", [1, 3]), ("b", [5, 7])]


def test_options_may_change_on_another_thread() -> None:
    """As they do in a `reconfigure` that is not async."""

    @serve.batch(max_batch_size=10, batch_wait_timeout_s=600)
    async def echo(items: list[int]) -> list[int]:
        return items

    async def main() -> int:
        asyncio.get_running_loop().set_debug(True)
        waits = asyncio.ensure_future(echo(1))
        await asyncio.sleep(0)
        await asyncio.to_thread(echo.set_max_batch_size, 1)
        return await waits

    assert asyncio.run(asyncio.wait_for(main(), 30)) == 1


def test_an_object_goes_though_it_has_had_batches() -> None:
    """A multiplexed model does, for another one."""

    class Model:
        @serve.batch(max_batch_size=1)
        async def echo(self, items: list[int]) -> list[int]:
            return items

    async def main() -> weakref.ref[Model]:
        model = Model()
        assert await model.echo(1) == 1
        return weakref.ref(model)

    found = asyncio.run(main())
    gc.collect()
    assert found() is None


def test_what_has_had_batches_can_be_deployed() -> None:
    @serve.batch(max_batch_size=1)
    async def echo(items: list[int]) -> list[int]:
        return items

    class Model:
        @serve.batch(max_batch_size=1)
        async def echo(self, items: list[int]) -> list[int]:
            return items

    model = Model()

    async def main(echo: Any, model: Any) -> list[int]:
        return [await echo(1), await model.echo(2)]

    assert asyncio.run(main(echo, model)) == [1, 2]
    copies = cloudpickle.loads(cloudpickle.dumps((echo, model)))
    assert asyncio.run(main(*copies)) == [1, 2]
