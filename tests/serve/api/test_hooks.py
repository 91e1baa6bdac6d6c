"""What a class may define besides its methods: how it begins, whether it is well, and how it ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from shoal import serve
from shoal.serve.exceptions import DeployFailedError

SMALL: dict[str, Any] = {"num_cpus": 0.1}


@serve.deployment(ray_actor_options=SMALL, health_check_period_s=0.05)
class Patient:
    def __init__(self) -> None:
        self.ill = False

    async def check_health(self) -> None:
        if self.ill:
            raise RuntimeError("a fever")

    def fall_ill(self) -> None:
        self.ill = True

    def __call__(self) -> int:
        return os.getpid()


def test_who_is_unwell_is_replaced() -> None:
    handle = serve.run(Patient.bind(), name="patient", route_prefix=None)
    before = handle.remote().result()
    handle.fall_ill.remote().result()
    while handle.remote().result() == before:
        pass
    serve.delete("patient")


@serve.deployment(ray_actor_options=SMALL)
class Leaves:
    async def __init__(self, file: str) -> None:
        await asyncio.sleep(0)
        self.file = file

    async def __call__(self) -> str:
        return self.file

    async def __del__(self) -> None:
        await asyncio.sleep(0)
        await asyncio.to_thread(Path(self.file).write_text, "async")


@serve.deployment(ray_actor_options=SMALL)
class LeavesPlainly:
    def __init__(self, file: str) -> None:
        self.file = file

    def __del__(self) -> None:
        Path(self.file).write_text("plain")


@pytest.mark.parametrize(("kind", "expected"), [(Leaves, "async"), (LeavesPlainly, "plain")])
def test_who_ends_cleans_up(kind: Any, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "left"
    serve.run(kind.bind(str(file)), name="leaves", route_prefix=None)
    assert not file.exists()
    serve.delete("leaves")
    assert file.read_text() == expected


@serve.deployment(ray_actor_options=SMALL, graceful_shutdown_timeout_s=0.2)
class Stubborn:
    async def __call__(self) -> None:
        await asyncio.Event().wait()


def test_who_does_not_finish_is_ended() -> None:
    response = serve.run(Stubborn.bind(), name="stubborn", route_prefix=None).remote()
    while not serve.status().applications["stubborn"].deployments["Stubborn"].replica_states:
        pass
    serve.delete("stubborn")
    with pytest.raises((serve.exceptions.ReplicaUnavailableError, serve.exceptions.DeploymentUnavailableError)):
        response.result(timeout_s=30)


@serve.deployment(ray_actor_options=SMALL, num_replicas=3)
class Ranked:
    def __call__(self) -> tuple[int, int, str]:
        context = serve.get_replica_context()
        assert context.rank is not None
        assert context.world_size is not None
        return context.rank.rank, context.world_size, context.app_name


def test_replicas_know_their_places() -> None:
    handle = serve.run(Ranked.bind(), name="ranked", route_prefix=None)
    found: set[tuple[int, int, str]] = set()
    while len(found) < 3:
        found |= {response.result() for response in [handle.remote() for _ in range(6)]}
    assert found == {(0, 3, "ranked"), (1, 3, "ranked"), (2, 3, "ranked")}
    serve.delete("ranked")


@serve.deployment(ray_actor_options=SMALL, max_constructor_retry_count=1)
class Broken:
    async def __init__(self) -> None:
        raise RuntimeError("no weights")


def test_an_async_constructor_that_raises_is_told() -> None:
    with pytest.raises(DeployFailedError, match="no weights"):
        serve.run(Broken.bind(), name="broken", route_prefix=None)
    serve.delete("broken")
