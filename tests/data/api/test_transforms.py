"""Rows, batches and columns, in the driver and in tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import shoal
from shoal.data.exceptions import BatchTypeError, ColumnNotFoundError, InvalidArgumentError
from shoal.data.expressions import col

pytestmark = pytest.mark.usefixtures("way")


def ids(dataset: Any, column: str = "id") -> list[Any]:
    return [row[column] for row in dataset.take_all()]


@pytest.fixture
def numbers() -> Any:
    return shoal.data.range(10, override_num_blocks=3)


def test_map(numbers: Any) -> None:
    assert ids(numbers.map(lambda row: {"id": row["id"] + 1})) == list(range(1, 11))


def test_map_with_further_arguments(numbers: Any) -> None:
    def add(row: dict[str, Any], much: int, *, factor: int) -> dict[str, Any]:
        return {"id": (row["id"] + much) * factor}

    assert ids(numbers.map(add, fn_args=[1], fn_kwargs={"factor": 10}))[:2] == [10, 20]


def test_flat_map_and_filter(numbers: Any) -> None:
    twice = numbers.flat_map(lambda row: [row, row]).filter(lambda row: row["id"] < 2)
    assert ids(twice) == [0, 0, 1, 1]


def test_flat_map_to_nothing(numbers: Any) -> None:
    assert numbers.flat_map(lambda row: []).take_all() == []
    assert numbers.flat_map(lambda row: []).count() == 0


@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_batches_come_in_the_format_asked_for(numbers: Any, batch_format: Any) -> None:
    kinds = {"numpy": dict, "pandas": pd.DataFrame, "pyarrow": pa.Table}

    def check(batch: Any) -> Any:
        assert isinstance(batch, kinds[batch_format])
        return batch

    assert ids(numbers.map_batches(check, batch_format=batch_format)) == list(range(10))


def test_batch_size(numbers: Any) -> None:
    sizes = numbers.map_batches(lambda batch: {"n": [len(batch["id"])]}, batch_size=4).take_all()
    assert sum(row["n"] for row in sizes) == 10
    assert max(row["n"] for row in sizes) == 4


def test_a_generator_gives_several_batches(numbers: Any) -> None:
    def halves(batch: dict[str, Any]) -> Any:
        for value in batch["id"]:
            yield {"id": [value, value]}

    assert numbers.map_batches(halves).count() == 20


def test_a_class_keeps_its_state(numbers: Any) -> None:
    class Counting:
        def __init__(self, start: int) -> None:
            self.calls = start

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            self.calls += 1
            return {"calls": np.full(len(batch["id"]), self.calls)}

    calls = ids(numbers.map_batches(Counting, fn_constructor_args=[100], concurrency=1, batch_size=2), "calls")
    assert calls == sorted(calls)
    assert calls[0] == 101
    assert calls[-1] > 101


def test_columns(numbers: Any) -> None:
    wide = numbers.add_column("double", lambda df: df["id"] * 2).with_column("next", col("id") + 1)
    assert wide.columns() == ["id", "double", "next"]
    assert wide.select_columns(["next", "id"]).take(1) == [{"next": 1, "id": 0}]
    assert wide.drop_columns(["id"]).take(1) == [{"double": 0, "next": 1}]
    assert wide.rename_columns({"id": "number"}).columns() == ["number", "double", "next"]
    assert wide.rename_columns(["a", "b", "c"]).take(1) == [{"a": 0, "b": 0, "c": 1}]


def test_filter_by_expression(numbers: Any) -> None:
    assert ids(numbers.filter(expr=col("id") >= 8)) == [8, 9]
    assert ids(numbers.filter(expr="id < 2 or id == 5")) == [0, 1, 5]


def test_limit_takes_no_more_than_it_needs(numbers: Any) -> None:
    assert ids(numbers.limit(4)) == [0, 1, 2, 3]
    assert ids(numbers.map(lambda row: row).limit(4).limit(2)) == [0, 1]
    assert numbers.limit(0).take_all() == []
    assert numbers.limit(100).count() == 10


def test_sample_does_not_depend_on_blocks() -> None:
    one = ids(shoal.data.range(1000).random_sample(0.2, seed=3))
    many = ids(shoal.data.range(1000, override_num_blocks=7).random_sample(0.2, seed=3))
    assert one == many
    assert 120 < len(one) < 280


def test_an_error_of_the_users_says_where(numbers: Any) -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        return {"id": 1 // (row["id"] - 1)}

    with pytest.raises(ZeroDivisionError) as caught:
        numbers.map(fail).take_all()
    assert any("Map(fail), row 1" in note for note in caught.value.__notes__)


def test_wrong_results_of_functions(numbers: Any) -> None:
    with pytest.raises(BatchTypeError, match=r"Map\(<lambda>\).*int"):
        numbers.map(lambda row: 5).take_all()
    with pytest.raises(BatchTypeError, match="MapBatches"):
        numbers.map_batches(lambda batch: 5).take_all()


def test_bad_arguments(numbers: Any) -> None:
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'id'"):
        numbers.select_columns(["idd"])
    with pytest.raises(InvalidArgumentError, match="batch_size"):
        numbers.map_batches(lambda batch: batch, batch_size=0)
    with pytest.raises(InvalidArgumentError, match="batch_format"):
        numbers.map_batches(lambda batch: batch, batch_format="panda")
    with pytest.raises(InvalidArgumentError, match="num_cpu'; did you mean"):
        numbers.map(lambda row: row, num_cpu=1)
    with pytest.raises(InvalidArgumentError, match="limit is -1"):
        numbers.limit(-1)
    with pytest.raises(InvalidArgumentError, match="fn is 5"):
        numbers.map(5)
    with pytest.raises(InvalidArgumentError, match="not both"):
        numbers.filter(lambda row: True, expr="id > 1")
    with pytest.raises(TypeError, match="iter_rows"):
        iter(numbers)
    with pytest.raises(AttributeError):
        numbers.__len__()


def test_a_dataset_is_neither_a_list_nor_empty(numbers: Any) -> None:
    with pytest.raises(AttributeError, match="count"):
        len(numbers)
    with pytest.raises(TypeError, match="iter_rows"):
        iter(numbers)
    assert bool(numbers)
