"""Sketches: near to what exact aggregations give, in the driver and merged from tasks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import shoal
from shoal.data.aggregate import ApproximateQuantile, ApproximateTopK
from shoal.data.exceptions import BatchTypeError, InvalidArgumentError

pytest.importorskip("datasketches", reason="needs datasketches")


def test_quantiles_of_few_values_are_exact(way: str) -> None:
    ds = shoal.data.from_items([{"x": value} for value in (10, 0, 30, None, 0, 50)], override_num_blocks=3)
    assert ds.aggregate(ApproximateQuantile(on="x", quantiles=[0.1, 0.5, 0.9])) == {
        "approx_quantile(x)": [0.0, 10.0, 50.0]
    }


def test_quantiles_of_many_values_are_near(way: str) -> None:
    ds = shoal.data.range(100_000, override_num_blocks=4).random_shuffle(seed=1)
    (found,) = ds.aggregate(ApproximateQuantile("id", [0.01, 0.5, 0.99], alias_name="q")).values()
    assert np.allclose(found, [1_000, 50_000, 99_000], atol=1_500)


def test_quantiles_of_groups_and_of_nothing(way: str) -> None:
    rows = [{"g": "a", "x": 1.0}, {"g": "b", "x": None}, {"g": "a", "x": 3.0}, {"g": "a", "x": 2.0}]
    grouped = shoal.data.from_items(rows).groupby("g").aggregate(ApproximateQuantile("x", [0.5]))
    assert {row["g"]: row["approx_quantile(x)"] for row in grouped.take_all()} == {"a": [2.0], "b": None}


def test_quantiles_of_text(way: str) -> None:
    with pytest.raises(BatchTypeError, match="'x' has values of type string; it needs numbers"):
        shoal.data.from_items([{"x": "one"}]).aggregate(ApproximateQuantile("x", [0.5]))


def test_the_most_frequent_values(way: str) -> None:
    words = ["apple"] * 5 + [None] * 10 + ["cherry"] * 2 + ["größe"] * 3
    ds = shoal.data.from_arrow(pa.table({"word": words})).repartition(3)
    assert ds.aggregate(ApproximateTopK(on="word", k=2)) == {
        "approx_topk(word)": [{"word": "apple", "count": 5}, {"word": "größe", "count": 3}]
    }


def test_the_most_frequent_numbers_and_lists_of_groups(way: str) -> None:
    rows = [{"g": value % 2, "n": value % 4, "l": [value % 4]} for value in range(40)] + [{"g": 0, "n": 2, "l": [2]}]
    found = shoal.data.from_items(rows).groupby("g").aggregate(ApproximateTopK("n", 1), ApproximateTopK("l", 1))
    assert {row["g"]: (row["approx_topk(n)"], row["approx_topk(l)"]) for row in found.take_all()} == {
        0: ([{"n": 2, "count": 11}], [{"l": [2], "count": 11}]),
        1: ([{"n": 1, "count": 10}], [{"l": [1], "count": 10}]),
    }


def test_more_different_values_than_a_sketch_has_room_for(shared_session: None) -> None:
    values = np.concatenate([np.arange(20_000), np.full(9_000, 7), np.full(5_000, 9)])
    (found,) = shoal.data.from_numpy(values).aggregate(ApproximateTopK("data", 2, log_capacity=10)).values()
    assert [one["data"] for one in found] == [7, 9]
    assert all(abs(one["count"] - exact) < 200 for one, exact in zip(found, (9_001, 5_001), strict=True))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ApproximateQuantile("x", []), "quantiles"),
        (lambda: ApproximateQuantile("x", [1.5]), "quantiles"),
        (lambda: ApproximateQuantile("x", [0.5], quantile_precision=1), "quantile_precision"),
        (lambda: ApproximateTopK("x", 0), "k is 0"),
        (lambda: ApproximateTopK("x", 1, log_capacity=99), "log_capacity"),
        (lambda: ApproximateTopK("", 1), "on"),
    ],
)
def test_bad_arguments(make: object, named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        make()  # type: ignore[operator]
