"""Datasets of torch, and what only looks like them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.data._internal.sources.torch_dataset import TorchMapSource
from shoal.data.exceptions import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("shared_session")


class Squares:
    """Map-style, as torch understands it."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> int:
        if place >= 9000:
            raise RuntimeError("no such square")
        return place**2


class Countdown:
    """Only iterated over."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(1500, 0, -1))


def test_places() -> None:
    ds = shoal.data.from_torch(Squares(2500))
    assert ds.count() == 2500
    assert [row["item"] for row in ds.take_all()] == [place**2 for place in range(2500)]
    assert shoal.data.from_torch(Squares(10**6)).take(2) == [{"item": 0}, {"item": 1}]
    assert shoal.data.from_torch(Squares(0)).take_all() == []


def test_iterated_over() -> None:
    assert [row["item"] for row in shoal.data.from_torch(Countdown(), local_read=True).take_all()] == list(
        range(1500, 0, -1)
    )


def test_errors_name_the_item() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)no such square.*item 9000"):
        shoal.data.from_torch(Squares(9001)).take_all()


def test_tasks_cover_all_places_once() -> None:
    for count in (0, 1, 7, 20):
        tasks = TorchMapSource(Squares(count)).read_tasks(6)
        items = [item for task in tasks for table in task() for item in table["item"].to_pylist()]
        assert items == [place**2 for place in range(count)]


@pytest.mark.parametrize(("given", "named"), [(5, "dataset is int"), (Squares, "class Squares")])
def test_what_is_no_dataset(given: Any, named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        shoal.data.from_torch(given)


def test_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    images = torch.arange(24, dtype=torch.float32).reshape(4, 2, 3)
    ds = shoal.data.from_torch(torch.utils.data.TensorDataset(images, torch.arange(4)))
    rows = ds.take_all()
    assert [row["item"][1] for row in rows] == [0, 1, 2, 3]
    assert np.array_equal(np.stack([row["item"][0] for row in rows]), images.numpy())
    plain = shoal.data.from_torch(torch.utils.data.Subset(images, [2, 0]))
    assert np.array_equal(plain.take_batch(2)["item"], images.numpy()[[2, 0]])
    scalars = shoal.data.from_torch(torch.utils.data.ChainDataset([]))
    assert scalars.take_all() == []
    assert shoal.data.from_torch(torch.arange(3)).take_all() == [{"item": 0}, {"item": 1}, {"item": 2}]
