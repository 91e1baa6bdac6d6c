"""What ranks tell one another before the loop begins."""

from __future__ import annotations

from typing import Any

import pytest

import shoal
from shoal.train._internal.process.gathering import gather
from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Meeting
from shoal.train.exceptions import TrainingFailedError


@shoal.remote
def come(rank: int, size: int, port: int, seconds: float = 60) -> list[Any]:
    return gather(Rank(rank, size, rank, size, 0), Meeting("here", port), f"from {rank}", seconds)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_all_hear_what_each_brought(size: int) -> None:
    found = shoal.get([come.remote(rank, size, 100 + size) for rank in reversed(range(size))])
    assert found == [[f"from {rank}" for rank in range(size)]] * size


def test_groups_do_not_hear_each_other() -> None:
    found = shoal.get([come.remote(rank, 2, port) for rank, port in ((0, 2), (0, 3), (1, 3), (1, 2))])
    assert found == [["from 0", "from 1"]] * 4


def test_who_does_not_come_is_named() -> None:
    with pytest.raises(TrainingFailedError, match=r"rank 1 waited 0.1 s for the others .* did not come: 0, 2"):
        shoal.get(come.remote(1, 3, 4, 0.1))
