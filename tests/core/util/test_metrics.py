"""`shoal.util.metrics`: what may be recorded, and what the session makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal
from shoal._core.process.metric_registry import MetricRegistry
from shoal._core.schema.messages import MetricRecorded
from shoal.util.metrics import Counter, Gauge, Histogram, list_metrics


@pytest.fixture
def session() -> Iterator[None]:
    shoal.init(num_cpus=1)
    yield
    shoal.shutdown()


def test_records_of_tasks_and_driver_are_added_up(session: None) -> None:
    requests = Counter("requests", "served", tag_keys=("route",))
    depth = Gauge("depth")
    seconds = Histogram("seconds", boundaries=[0.1, 1.0])

    @shoal.remote
    def serve(requests: Counter, seconds: Histogram) -> None:
        requests.inc(2, tags={"route": "/"})
        seconds.observe(0.5)

    requests.inc(tags={"route": "/"})
    depth.set(3)
    depth.set(2)
    depth.set(None)
    shoal.get(serve.remote(requests, seconds))
    rows = {row["name"]: row for row in list_metrics()}
    assert rows["requests"]["value"] == 3
    assert rows["requests"]["tags"] == {"route": "/"}
    assert rows["depth"]["value"] == 2
    assert rows["seconds"]["counts"] == [0, 1, 0]


def test_wrong_use_is_an_error_that_names_it() -> None:
    counter = Counter("requests", tag_keys=("route",))
    with pytest.raises(ValueError, match="value=0"):
        counter.inc(0)
    with pytest.raises(ValueError, match="colour"):
        counter.inc(tags={"colour": "red"})
    with pytest.raises(ValueError, match="needs also route"):
        counter.inc()
    with pytest.raises(ValueError, match="name="):
        Counter("")
    with pytest.raises(ValueError, match="boundaries="):
        Histogram("seconds", boundaries=[])
    with pytest.raises(TypeError, match="tag_keys="):
        Gauge("depth", tag_keys="route")
    with pytest.raises(TypeError, match="value="):
        Gauge("depth").set("high")  # type: ignore[arg-type]


def test_the_text_format_of_prometheus() -> None:
    registry = MetricRegistry()
    registry.record(MetricRecorded("counter", "requests", "served", {"route": 'a"b'}, 2.0, []))
    registry.record(MetricRecorded("histogram", "seconds", "", {}, 0.5, [0.1, 1.0]))
    assert registry.prometheus() == (
        "# HELP shoal_requests_total served\n"
        "# TYPE shoal_requests_total counter\n"
        'shoal_requests_total{route="a\\"b"} 2\n'
        "# HELP shoal_seconds \n"
        "# TYPE shoal_seconds histogram\n"
        'shoal_seconds_bucket{le="0.1"} 0\n'
        'shoal_seconds_bucket{le="1"} 1\n'
        'shoal_seconds_bucket{le="+Inf"} 1\n'
        "shoal_seconds_sum 0.5\n"
        "shoal_seconds_count 1\n"
    )
