"""What a replica tells those who wait for room, and those who have lost their line."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import replace
from typing import Any

import pytest

from shoal import cloudpickle, serve
from shoal.serve._internal.process.line_server import LineServer
from shoal.serve._internal.process.replica import Replica
from shoal.serve._internal.schema.deployments import NOWHERE, DeploymentId, DeploymentSpec
from shoal.serve._internal.schema.requests import Busy, Lost, RequestMeta
from shoal.serve.deployment import checked_config


def spec_of(function: Any, limit: int) -> DeploymentSpec:
    config = checked_config("One", {"max_ongoing_requests": limit})
    return DeploymentSpec(
        DeploymentId("app", "One"), cloudpickle.dumps(function), cloudpickle.dumps(((), {})), config, "1"
    )


async def until(event: asyncio.Event) -> None:
    await event.wait()


def call(replica: Replica, number: int, event: asyncio.Event) -> asyncio.Task[Any]:
    return asyncio.ensure_future(replica.call(RequestMeta("request", f"call{number}", "app"), (event,), {}))


async def begun(*waiting: asyncio.Task[Any]) -> None:
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)


def test_all_hear_of_room_where_nothing_is_worked_on() -> None:
    """The first to hear may have nothing to send any more, and would not say so."""

    async def main() -> None:
        replica = Replica(spec_of(until, 1), "app#One#0", is_local=True)
        await replica.start()
        done = asyncio.Event()
        working = call(replica, 1, done)
        await begun(working)
        assert await call(replica, 2, done) == Busy(False)
        waiting = [asyncio.ensure_future(replica.room()) for _ in range(3)]
        await begun(*waiting)
        done.set()
        await working
        await asyncio.gather(*waiting)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_one_hears_of_each_place_and_of_those_that_new_options_add() -> None:
    async def main() -> None:
        spec = spec_of(until, 2)
        replica = Replica(spec, "app#One#0", is_local=True)
        await replica.start()
        first, others = asyncio.Event(), asyncio.Event()
        working = [call(replica, 1, first), call(replica, 2, others)]
        await begun(*working)
        waiting = [asyncio.ensure_future(replica.room()) for _ in range(3)]
        await begun(*waiting)
        first.set()
        await waiting[0]
        await begun(*waiting[1:])
        working.append(call(replica, 3, others))
        await begun(working[-1])
        await replica.reconfigure(replace(spec, config=spec_of(until, 3).config))
        await waiting[1]
        await begun(waiting[2])
        others.set()
        await asyncio.gather(*working, *waiting)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_what_comes_of_a_call_whose_line_was_lost() -> None:
    async def main() -> None:
        replica = Replica(spec_of(until, 2), "app#One#0", is_local=True)
        assert await replica.start() == NOWHERE
        done = asyncio.Event()
        working = [call(replica, 1, done), call(replica, 2, done)]
        await begun(*working)
        asked = [asyncio.ensure_future(replica.recover(f"call{number}")) for number in (1, 2)]
        await begun(*asked)
        done.set()
        await asyncio.gather(*working)
        replica.recovered("call1", "value", None)
        replica.recovered("call2", None, KeyError("as asked"))
        assert await asked[0] == "value"
        with pytest.raises(KeyError):
            await asked[1]
        # It is over, or never came.
        assert await replica.recover("call1") == Lost()
        assert await replica.fetch("call1", True) == Lost()
        replica.recovered("call1", "value", None)
        await replica.drain()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_replica_serves_where_no_socket_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_socket(self: LineServer) -> str:
        raise OSError("no such names here")

    monkeypatch.setattr(LineServer, "start", no_socket)
    said: list[str] = []
    replica = Replica(spec_of(until, 2), "app#One#0")
    monkeypatch.setattr(replica, "_say", said.append)
    assert asyncio.run(replica._address()) == ""
    assert "no such names here" in said[0]


class Looks:
    """Asks where it is in each of its hooks."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def look(self) -> None:
        self.seen.append(serve.get_replica_context().replica_id)

    def reconfigure(self, user_config: Any, rank: Any) -> None:
        self.look()
        self.rank = rank

    async def check_health(self) -> None:
        self.look()

    def record_routing_stats(self) -> dict[str, int]:
        self.look()
        return {"seen": len(self.seen)}


def test_hooks_know_where_they_are() -> None:
    async def main() -> None:
        first = spec_of(Looks, 2)
        replica = Replica(first, "app#One#0", rank=3, is_local=True)
        await replica.start()
        changed = replace(first, config=first.config.model_copy(update={"user_config": {"a": 1}}))
        # The controller's calls are made by tasks that have nothing to do with the one in which it was started.
        for call in (replica.reconfigure(changed), replica.check_health(), replica.stats("record_routing_stats")):
            await asyncio.get_running_loop().create_task(call, context=contextvars.Context())
        looks = replica._code.instance
        assert looks.seen == ["app#One#0"] * 3
        assert looks.rank.rank == 3
        assert await replica.stats("record_nothing") is None

    asyncio.run(asyncio.wait_for(main(), 30))
