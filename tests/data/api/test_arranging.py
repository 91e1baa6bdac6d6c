"""Order, blocks, groups and several datasets, in the driver and in tasks."""

from __future__ import annotations

import random
from typing import Any

import pytest

import shoal
from shoal.data.aggregate import Count, Max, Mean, Std, Sum
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError

pytestmark = pytest.mark.usefixtures("way")


def ids(dataset: Any, column: str = "id") -> list[Any]:
    return [row[column] for row in dataset.take_all()]


@pytest.fixture
def table() -> Any:
    rows = [{"k": "abc"[number % 3], "x": number, "y": (number * 7) % 10 / 2} for number in range(30)]
    random.Random(4).shuffle(rows)
    return shoal.data.from_items(rows, override_num_blocks=4)


def test_sort(table: Any) -> None:
    assert ids(table.sort("x"), "x") == list(range(30))
    assert ids(table.sort("x", descending=True), "x") == list(range(29, -1, -1))


def test_sort_by_several_keys(table: Any) -> None:
    rows = table.sort(["k", "x"], descending=[True, False]).take_all()
    assert [(row["k"], row["x"]) for row in rows] == sorted(
        ((row["k"], row["x"]) for row in rows), key=lambda pair: (-ord(pair[0]), pair[1])
    )


def test_shuffle_is_a_function_of_the_seed() -> None:
    one = ids(shoal.data.range(500).random_shuffle(seed=9))
    many = ids(shoal.data.range(500, override_num_blocks=7).random_shuffle(seed=9, num_blocks=3))
    assert one == many
    assert one != ids(shoal.data.range(500).random_shuffle(seed=10))
    assert sorted(one) == list(range(500))


def test_repartition_keeps_rows_and_order() -> None:
    made = shoal.data.range(100, override_num_blocks=3).repartition(7).materialize()
    assert made.num_blocks() == 7
    assert ids(made) == list(range(100))
    sized = shoal.data.range(100, override_num_blocks=3).repartition(target_num_rows_per_block=30)
    assert [len(batch["id"]) for batch in sized.iter_batches(batch_size=None)] == [30, 30, 30, 10]


def test_repartition_by_keys(table: Any) -> None:
    blocks = table.repartition(3, keys="k").iter_batches(batch_size=None, batch_format="pandas")
    homes = [set(block["k"]) for block in blocks if len(block)]
    assert sorted(key for home in homes for key in home) == ["a", "b", "c"], "each key is in one block"


def test_groupby(table: Any) -> None:
    rows = table.groupby("k").aggregate(Count(), Sum("x"), Max("x"), Mean("x")).sort("k").take_all()
    assert [row["k"] for row in rows] == ["a", "b", "c"]
    assert rows[0] == {"k": "a", "count()": 10, "sum(x)": 135, "max(x)": 27, "mean(x)": 13.5}


def test_map_groups(table: Any) -> None:
    made = table.groupby("k").map_groups(lambda group: {"k": group["k"][:1], "n": [len(group["x"])]})
    assert made.sort("k").take_all() == [{"k": "a", "n": 10}, {"k": "b", "n": 10}, {"k": "c", "n": 10}]


def test_aggregations_of_all_rows(table: Any) -> None:
    assert table.sum("x") == 435
    assert table.min(["x", "y"]) == {"min(x)": 0, "min(y)": 0.0}
    assert table.mean("x") == 14.5
    assert table.std("x") == pytest.approx(8.803408430829505, abs=1e-12)
    assert table.aggregate(Count(), Std("x", ddof=0))["count()"] == 30
    assert sorted(table.unique("k")) == ["a", "b", "c"]


def test_aggregations_of_nothing() -> None:
    empty = shoal.data.range(5).filter(expr="id > 10")
    assert empty.count() == 0
    assert empty.sum("id") is None
    assert empty.groupby("id").count().take_all() == []
    assert empty.sort("id").take_all() == []
    assert empty.random_shuffle(seed=1).take_all() == []
    assert empty.repartition(3).count() == 0


def test_union_and_zip() -> None:
    left, right = shoal.data.range(5, override_num_blocks=2), shoal.data.range(5, override_num_blocks=3)
    assert ids(left.union(right)) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert left.zip(right.rename_columns({"id": "other"})).take(2) == [{"id": 0, "other": 0}, {"id": 1, "other": 1}]
    with pytest.raises(ValueError, match="different numbers of rows"):
        left.zip(shoal.data.range(4)).take_all()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("inner", [2, 3]),
        ("left_outer", [0, 1, 2, 3]),
        ("left_semi", [2, 3]),
        ("left_anti", [0, 1]),
        ("full_outer", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_join(how: str, expected: list[int]) -> None:
    left = shoal.data.range(4, override_num_blocks=2)
    right = shoal.data.from_items([{"id": number, "y": number * 10} for number in range(2, 6)])
    rows = left.join(right, how, on="id").take_all()
    assert sorted(row["id"] for row in rows) == expected


def test_splits() -> None:
    numbers = shoal.data.range(10, override_num_blocks=3)
    assert [part.count() for part in numbers.split(3)] == [3, 3, 4]
    assert [part.count() for part in numbers.split(3, equal=True)] == [3, 3, 3]
    assert [ids(part) for part in numbers.split_at_indices([2, 5])] == [[0, 1], [2, 3, 4], [5, 6, 7, 8, 9]]
    assert [part.count() for part in numbers.split_proportionately([0.2, 0.5])] == [2, 5, 3]
    train, test = numbers.train_test_split(0.3)
    assert (ids(train), ids(test)) == (list(range(7)), [7, 8, 9])
    train, test = numbers.train_test_split(0.3, shuffle=True, seed=1)
    assert sorted(ids(train) + ids(test)) == list(range(10))


def test_streaming_split_shares_one_pass() -> None:
    @shoal.remote(num_cpus=0)
    def read(iterator: Any) -> list[int]:
        return [int(value) for batch in iterator.iter_batches(batch_size=3) for value in batch["id"]]

    shards = shoal.data.range(20, override_num_blocks=5).streaming_split(2, equal=True)
    for _ in range(2):
        parts = shoal.get([read.remote(shard) for shard in shards])
        assert sorted(parts[0] + parts[1]) == list(range(20))
        assert [len(part) for part in parts] == [10, 10]


def test_bad_arguments(table: Any) -> None:
    with pytest.raises(ColumnNotFoundError, match="sort"):
        table.sort("z")
    with pytest.raises(InvalidArgumentError, match="join_type is 'outer'"):
        table.join(table, "outer", on="k")
    with pytest.raises(InvalidArgumentError, match="descending"):
        table.sort(["k", "x"], descending=[True])
    with pytest.raises(InvalidArgumentError, match="num_blocks"):
        table.repartition(0)
    with pytest.raises(InvalidArgumentError, match="proportions"):
        table.split_proportionately([0.7, 0.7])
