"""Workers die while a dataset runs: the answer is right all the same."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import shoal
from shoal.data import DataContext
from shoal.util.state import list_workers

ROWS = 60_000


@pytest.fixture
def kill_some(shared_session: None) -> Any:
    """Runs a function while its workers are killed, one after each of the first tasks that have begun."""

    @shoal.remote(num_cpus=0)
    class Begun:
        """Tasks report here; who asks waits for the next report."""

        def __init__(self) -> None:
            import asyncio

            self.pids: asyncio.Queue[int] = asyncio.Queue()

        async def report(self, pid: int) -> None:
            await self.pids.put(pid)

        async def next(self) -> int:
            return await self.pids.get()

    begun = Begun.remote()

    def run(function: Callable[[Any], Any], kills: int) -> Any:
        killed: list[int] = []
        over = threading.Event()

        def killer() -> None:
            while len(killed) < kills and not over.is_set():
                try:
                    pid = shoal.get(begun.next.remote(), timeout=5)
                except shoal.exceptions.GetTimeoutError:
                    continue
                if any(worker.pid == pid and worker.is_alive for worker in list_workers(limit=1000)):
                    # It may have ended since it was listed.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

        thread = threading.Thread(target=killer)
        thread.start()
        try:
            result = function(begun)
        finally:
            over.set()
            thread.join()
        assert killed, "no worker was killed: the test has shown nothing"
        return result

    yield run
    shoal.kill(begun)


def _reporting(begun: Any) -> Callable[[Any], Any]:
    def step(batch: Any) -> Any:
        begun.report.remote(os.getpid())
        return {"key": batch["id"] % 7, "id": batch["id"]}

    return step


def _in_tasks(begun: Any) -> Any:
    context = DataContext.get_current().copy()
    context.small_data_size = context.columnar_data_size = -1
    context.target_min_block_size = 1
    ds = shoal.data.range(ROWS, override_num_blocks=12).map_batches(_reporting(begun))
    ds._context = context
    return ds


def test_a_shuffle(kill_some: Any) -> None:
    expected = shoal.data.range(ROWS).random_shuffle(seed=3).take(100)
    rows = kill_some(lambda begun: _in_tasks(begun).random_shuffle(seed=3).take_all(), kills=3)
    assert [row["id"] for row in rows[:100]] == [row["id"] for row in expected]
    assert sorted(row["id"] for row in rows) == list(range(ROWS))


def test_groups(kill_some: Any) -> None:
    rows = kill_some(lambda begun: _in_tasks(begun).groupby("key").sum("id").sort("key").take_all(), kills=2)
    assert [row["sum(id)"] for row in rows] == [sum(range(key, ROWS, 7)) for key in range(7)]
