"""Applications in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

import shoal
from shoal import serve


@pytest.fixture(autouse=True)
def without_a_session() -> Iterator[None]:
    shoal.shutdown()
    yield
    serve.delete("default")
    assert not shoal.is_initialized()


@serve.deployment
class Adder:
    def __init__(self, increment: int) -> None:
        self.increment = increment

    def __call__(self, x: int) -> int:
        return x + self.increment

    async def forever(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.increment = -1
            raise

    async def count(self, n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number


@serve.deployment
class Twice:
    def __init__(self, inner: serve.DeploymentHandle) -> None:
        self.inner = inner

    async def __call__(self, x: int) -> int:
        return await self.inner.remote(self.inner.remote(x))


def run(application: serve.Application) -> serve.DeploymentHandle:
    return serve.run(application, local_testing_mode=True)


def test_calls_and_composition() -> None:
    assert run(Adder.bind(1)).remote(1).result() == 2
    assert run(Twice.bind(Adder.bind(10))).remote(1).result() == 21


def test_streams() -> None:
    handle = run(Adder.bind(1))
    assert list(handle.options(method_name="count", stream=True).remote(1000)) == list(range(1000))


def test_cancel() -> None:
    handle = run(Adder.bind(1))
    response = handle.forever.remote()
    response.cancel()
    with pytest.raises(serve.exceptions.RequestCancelledError):
        response.result()
    assert response.cancelled()


def test_what_a_constructor_raises_is_raised_here() -> None:
    @serve.deployment
    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("no model here")

    with pytest.raises(RuntimeError, match="no model here"):
        run(Broken.bind())


def test_where_the_code_runs() -> None:
    @serve.deployment(name="here")
    def here(x: int) -> str:
        return serve.get_replica_context().deployment

    assert run(here.bind()).remote(1).result() == "here"
    with pytest.raises(serve.exceptions.ServeError, match="inside of a deployment"):
        serve.get_replica_context()
