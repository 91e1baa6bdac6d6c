"""How a replica calls the user's class or function."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shoal import cloudpickle
from shoal.serve._internal.process.request_context import HERE
from shoal.serve._internal.process.user_code import UserCode
from shoal.serve._internal.schema.deployments import DeploymentId, DeploymentSpec
from shoal.serve.context import ReplicaContext, ReplicaRank
from shoal.serve.deployment import checked_config


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is needed."""


def code_of(kind: Any) -> UserCode:
    spec = DeploymentSpec(
        DeploymentId("app", "One"),
        cloudpickle.dumps(kind),
        cloudpickle.dumps(((), {})),
        checked_config("One", {}),
        "1",
    )
    return UserCode(spec)


class Method:
    def __call__(self) -> str:
        return "hello"


def function() -> str:
    return "hello"


async def with_request(request: Any) -> str:
    return str(request.url.path)


@pytest.mark.parametrize(("kind", "said"), [(Method, b"hello"), (function, b"hello"), (with_request, b"/a")])
def test_who_takes_no_request_gets_none(kind: Any, said: bytes) -> None:
    async def main() -> list[Any]:
        code = code_of(kind)
        await code.start()
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {"type": "http", "method": "GET", "path": "/a", "headers": [], "query_string": b"", "server": ("a", 80)}
        for _ in range(2):
            await code.asgi(dict(scope), None, send)  # type: ignore[arg-type]
        return messages

    messages = asyncio.run(main())
    assert [one["body"] for one in messages if one["type"] == "http.response.body"] == [said, said]


class Ranked:
    def reconfigure(self, user_config: Any, rank: Any) -> None:
        self.taken = user_config, rank


class Unranked:
    async def reconfigure(self, user_config: Any) -> None:
        self.taken = user_config


@pytest.mark.parametrize(("kind", "taken"), [(Ranked, ("a", ReplicaRank(2))), (Unranked, "a")])
def test_reconfigure_gets_the_rank_where_it_takes_one(kind: Any, taken: Any) -> None:
    async def main() -> Any:
        HERE.set(ReplicaContext("app", "One", "r2", None, ReplicaRank(2), 3))
        code = code_of(kind)
        await code.start()
        await code.reconfigure("a")
        return code.instance.taken

    assert asyncio.run(main()) == taken
