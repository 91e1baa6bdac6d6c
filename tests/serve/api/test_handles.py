"""Responses as object refs of the core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import shoal
from shoal import serve
from shoal.serve.exceptions import DeploymentUnavailableError, InvalidArgumentError, ServeError


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Doubled:
    def __call__(self, value: int) -> int:
        return 2 * value


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Chained:
    def __init__(self, doubled: serve.DeploymentHandle) -> None:
        self.doubled = doubled

    async def __call__(self, value: int) -> int:
        ref = await self.doubled.remote(value)._to_object_ref()
        return int(await ref)


@shoal.remote(num_cpus=0)
def plus_one(value: int) -> int:
    return value + 1


def test_values_go_to_tasks_as_references() -> None:
    handle = serve.run(Chained.bind(Doubled.bind()), name="refs", route_prefix=None)
    assert handle.is_initialized
    assert shoal.get(plus_one.remote(handle.remote(4)._to_object_ref_sync())) == 9
    serve.delete("refs")


def test_a_handle_without_an_application_says_what_it_needs() -> None:
    with pytest.raises(ServeError, match="app_name="):
        serve.get_deployment_handle("Doubled")


def test_a_deployment_that_never_was_is_told_and_found_once_it_is() -> None:
    serve.start(http_options={"port": 0})
    handle = serve.get_deployment_handle("Doubled", "later")
    with pytest.raises(DeploymentUnavailableError, match="Doubled of later is not there: there never was one"):
        handle.remote(4).result(timeout_s=30)
    serve.run(Doubled.bind(), name="later", route_prefix=None)
    assert handle.remote(4).result() == 8
    serve.delete("later")


@serve.deployment(max_ongoing_requests=1, ray_actor_options={"num_cpus": 0})
class Yields:
    async def numbers(self) -> AsyncIterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    def plain(self) -> Iterator[int]:
        yield 1

    async def list(self) -> list[int]:
        return [1, 2]

    def text(self) -> str:
        return "no stream"

    def first(self) -> int:
        return next(iter(list[int]()))

    async def __call__(self) -> int:
        return 5


def test_who_stops_reading_a_stream_leaves_its_place_to_others() -> None:
    handle = serve.run(Yields.bind(), name="yields", route_prefix=None)
    streams = handle.options(method_name="numbers", stream=True)
    for number in streams.remote():
        if number == 3:
            break
    streams.remote()  # Nobody reads this one at all.

    async def reads() -> None:
        async for number in streams.remote():
            if number == 3:
                break

    asyncio.run(reads())
    assert handle.remote().result(timeout_s=30) == 5
    serve.delete("yields")


def test_what_yields_is_called_with_stream_and_nothing_else_is() -> None:
    handle = serve.run(Yields.bind(), name="yields", route_prefix=None)
    for name in ("numbers", "plain"):
        with pytest.raises(
            TypeError, match=rf"the method {name} yields its answer; call it with handle\.options\(stream=True\)"
        ):
            handle.options(method_name=name).remote().result()
    assert list(handle.options(method_name="list", stream=True).remote()) == [1, 2]
    with pytest.raises(TypeError, match="gave 5, which has no items"):
        next(handle.options(stream=True).remote())
    with pytest.raises(TypeError, match="gave 'no stream', which has no items"):
        next(handle.options(stream=True).text.remote())
    # A future cannot hold a StopIteration.
    with pytest.raises(RuntimeError, match="first raised StopIteration"):
        handle.first.remote().result(timeout_s=30)
    with pytest.raises(InvalidArgumentError, match="timeout_s is '5'"):
        handle.remote().result(timeout_s="5")  # type: ignore[arg-type]
    serve.delete("yields")


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Forgetful:
    def __init__(self, doubled: serve.DeploymentHandle) -> None:
        self.doubled = doubled

    async def __call__(self, inside: bool) -> Any:
        response = self.doubled.remote(4)
        return await self.doubled.remote([response]) if inside else response


@pytest.mark.parametrize("inside", [False, True])
def test_a_response_that_nobody_awaits_is_told_where_it_cannot_go(inside: bool) -> None:
    handle = serve.run(Forgetful.bind(Doubled.bind()), name="forgetful", route_prefix=None)
    with pytest.raises(Exception, match=r"its value is not here yet> cannot be sent .* await it, or call result\(\)"):
        handle.remote(inside).result()
    serve.delete("forgetful")


def test_at_last_a_handle_whose_session_has_ended_says_so_and_starts_none() -> None:
    handle = serve.run(Doubled.bind(), name="ends", route_prefix=None)
    assert handle.remote(4).result() == 8
    shoal.shutdown()
    with pytest.raises(ServeError, match="the session in which this was served has ended"):
        handle.remote(4)
    serve.shutdown()
    assert not shoal.is_initialized()
