"""What a worker keeps for a moment, so that it travels together, is kept no longer, whatever the worker does."""

from __future__ import annotations

import os

import pytest

import shoal

LIMIT = 20


@pytest.fixture
def pipe(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    return path


class Producer:
    def items(self, count, path):
        yield from range(count)
        with open(path, "rb") as pipe:
            yield pipe.read()

    def small(self, number):
        return number

    def wait(self, path):
        with open(path, "rb") as pipe:
            return pipe.read()


def test_items_arrive_while_their_call_lasts_and_others_queue(pipe) -> None:
    actor = shoal.remote(Producer).remote()
    items = actor.items.options(num_returns="streaming").remote(50, pipe)
    queued = [actor.small.remote(number) for number in range(3)]
    assert [shoal.get(next(items), timeout=LIMIT) for _ in range(50)] == list(range(50))
    with open(pipe, "wb") as gate:
        gate.write(b"end")
    assert shoal.get(next(items), timeout=LIMIT) == b"end"
    assert list(items) == []
    assert shoal.get(queued, timeout=LIMIT) == [0, 1, 2]


def test_results_arrive_while_the_next_call_lasts(pipe) -> None:
    actor = shoal.remote(Producer).remote()
    small = [actor.small.remote(number) for number in range(50)]
    lasting = actor.wait.remote(pipe)
    queued = actor.small.remote(50)
    assert shoal.get(small, timeout=LIMIT) == list(range(50))
    with open(pipe, "wb"):
        pass
    assert shoal.get([lasting, queued], timeout=LIMIT) == [b"", 50]


def test_items_of_many_streams_come_in_the_order_of_each() -> None:
    class Streams:
        def items(self, number):
            for index in range(20):
                yield (number, index) if index % 5 else (number, index, bytes(200_000))

    actor = shoal.remote(Streams).remote()
    streams = [actor.items.options(num_returns="streaming").remote(number) for number in range(20)]
    for number, stream in enumerate(streams):
        assert [shoal.get(ref, timeout=LIMIT)[:2] for ref in stream] == [(number, index) for index in range(20)]
