"""What is made of reports."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tune._internal.logic.metrics import MetricAnalysis, check_metrics, flat_result
from shoal.tune.exceptions import MetricNotReportedError


def test_nested_metrics_are_found_by_path() -> None:
    flat = flat_result({"a": {"b": 1, "c": {"d": 2}}, "config": {"x": 1}})
    assert flat == {"a/b": 1, "a/c/d": 2, "config": {"x": 1}}


def test_a_flat_result_stays_what_it_is() -> None:
    result = {"loss": 1, "config": {"x": 1}}
    assert flat_result(result) is result


def test_a_missing_metric_is_told_with_what_was_reported() -> None:
    with pytest.raises(MetricNotReportedError, match=r"'acuracy'.*Did you mean 'accuracy'.*'loss'"):
        check_metrics("t", ["acuracy"], {"accuracy": 1, "loss": 2})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_the_analysis_is_that_of_all_values(values: list[float]) -> None:
    analysis = MetricAnalysis({})
    for value in values:
        analysis.add({"m": value})
    found = analysis.table["m"]
    assert (found["max"], found["min"], found["last"]) == (max(values), min(values), values[-1])
    assert found["avg"] == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert found["last-5-avg"] == pytest.approx(statistics.fmean(values[-5:]), abs=1e-6)
    assert found["last-10-avg"] == pytest.approx(statistics.fmean(values[-10:]), abs=1e-6)


def test_nan_is_no_extreme() -> None:
    analysis = MetricAnalysis({})
    for value in (math.nan, 1.0, math.nan, 3.0):
        analysis.add({"m": value})
    assert (analysis.table["m"]["min"], analysis.table["m"]["max"]) == (1.0, 3.0)


def test_what_is_no_number_is_left_out() -> None:
    analysis = MetricAnalysis({})
    analysis.add({"name": "x", "flag": True, "trial_id": "1", "pid": 3, "training_iteration": 1, "list": [1]})
    assert set(analysis.table) == {"training_iteration"}
