"""Coroutines and asynchronous generators as functions of batches: several at a time, in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import shoal


class Together:
    """Each call waits until three are there: alone none would end."""

    def __init__(self) -> None:
        self.arrived = 0
        self.all_there: asyncio.Event | None = None

    async def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.all_there = self.all_there or asyncio.Event()
        self.arrived += 1
        if self.arrived == 3:
            self.all_there.set()
        await asyncio.wait_for(self.all_there.wait(), 20)
        return batch


def test_batches_run_at_the_same_time(way: str) -> None:
    ds = shoal.data.range(12, override_num_blocks=1).materialize().map_batches(Together, batch_size=4)
    assert [row["id"] for row in ds.take_all()] == list(range(12))


def test_a_generator_yields_several(way: str) -> None:
    async def doubled(batch: dict[str, Any]) -> Any:
        for value in batch["id"]:
            yield {"id": [value, value]}

    ds = shoal.data.range(3, override_num_blocks=1).map_batches(doubled, batch_size=2)
    assert [row["id"] for row in ds.take_all()] == [0, 0, 1, 1, 2, 2]


class SameLoop:
    def __init__(self) -> None:
        self.loop: Any = None

    async def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.loop = self.loop or asyncio.get_running_loop()
        return {"same": [self.loop is asyncio.get_running_loop()]}


def test_an_object_stays_on_its_loop(way: str) -> None:
    ds = shoal.data.range(8, override_num_blocks=4).map_batches(SameLoop, concurrency=1, batch_size=1)
    assert all(row["same"] for row in ds.take_all())


def test_an_error_says_which_rows(way: str) -> None:
    async def refuse(batch: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        if 5 in batch["id"]:
            raise ValueError("five")
        return batch

    with pytest.raises(ValueError, match="five") as caught:
        shoal.data.range(12, override_num_blocks=1).map_batches(refuse, batch_size=4).take_all()
    assert "in MapBatches(refuse), rows 4 to 7 of the block" in getattr(caught.value, "__notes__", [])


def test_what_is_left_early_is_cancelled(shared_session: None) -> None:
    async def slow(batch: dict[str, Any]) -> dict[str, Any]:
        if batch["id"][0] > 0:
            await asyncio.Event().wait()
        return batch

    ds = shoal.data.range(12, override_num_blocks=1).map_batches(slow, batch_size=1)
    assert ds.take(1) == [{"id": 0}]
