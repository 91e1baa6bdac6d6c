"""`shoal.util.metrics`: what may be recorded, and what the session makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal
from shoal._common.test_utils import wait_for_condition
from shoal._core.process.metric_registry import MetricRegistry
from shoal._core.process.metric_registry import prometheus_text as prometheus
from shoal._core.schema.messages import MetricRecorded
from shoal.exceptions import InvalidOptionError
from shoal.util.metrics import Counter, Gauge, Histogram, list_metrics, prometheus_text


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


def test_a_record_of_no_number_is_an_error() -> None:
    with pytest.raises(InvalidOptionError, match="nan"):
        Histogram("seconds", boundaries=[1.0]).observe(float("nan"))
    with pytest.raises(InvalidOptionError, match="nan"):
        Counter("requests").inc(float("nan"))
    with pytest.raises(TypeError, match="name="):
        Gauge(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tag_keys="):
        Gauge("depth", tag_keys=("the route",))


def test_a_gauge_has_a_value_for_each_process_that_lives(session: None) -> None:
    @shoal.remote(num_cpus=0)
    class Holder:
        def hold(self, depth: Gauge, value: float) -> None:
            depth.set(value)

    depth = Gauge("depth")
    depth.set(1)
    holder = Holder.remote()
    shoal.get(holder.hold.remote(depth, 2))
    rows = list_metrics()
    assert sorted(row["value"] for row in rows) == [1, 2]
    assert len({row["worker_id"] for row in rows}) == 2
    shoal.kill(holder)
    wait_for_condition(lambda: [row["value"] for row in list_metrics()] == [1])


def test_all_of_the_session_in_the_text_format(session: None) -> None:
    Gauge("depth", "jobs that wait").set(2.5)
    lines = prometheus_text().splitlines()
    assert lines[:2] == ["# HELP shoal_depth jobs that wait", "# TYPE shoal_depth gauge"]
    assert lines[2].startswith('shoal_depth{NodeAddress="')
    assert lines[2].endswith('"} 2.5')


def test_a_name_of_two_kinds_is_told_once_and_the_first_kind_stays() -> None:
    registry = MetricRegistry()
    registry.record(b"a", MetricRecorded("counter", "requests", "", {}, 2.0, []))
    assert "is a counter already" in registry.record(b"b", MetricRecorded("gauge", "requests", "", {}, 9.0, []))
    assert registry.record(b"b", MetricRecorded("gauge", "requests", "", {}, 9.0, [])) == ""
    assert [row["value"] for row in registry.rows()] == [2.0]


def test_histograms_of_one_name_have_the_same_boundaries() -> None:
    registry = MetricRegistry()
    registry.record(b"a", MetricRecorded("histogram", "seconds", "", {}, 0.5, [1.0]))
    assert "boundaries [1.0]" in registry.record(b"a", MetricRecorded("histogram", "seconds", "", {}, 0.5, [2.0]))


def test_the_user_is_told_of_a_name_of_two_kinds(capfd: pytest.CaptureFixture[str]) -> None:
    shoal.init(local_mode=True)
    Counter("requests").inc()
    Gauge("requests").set(1)
    shoal.shutdown()
    assert "metric 'requests' is a counter already" in capfd.readouterr().err


def test_the_text_format_of_prometheus() -> None:
    registry = MetricRegistry()
    registry.record(b"a", MetricRecorded("counter", "requests", "served", {"route": 'a"b'}, 2.0, []))
    registry.record(b"a", MetricRecorded("gauge", "depth", "", {}, float("inf"), []))
    registry.record(b"a", MetricRecorded("histogram", "seconds", "", {}, 0.5, [0.1, 1.0]))
    assert prometheus(registry.rows(), {"SessionName": "s"}) == (
        "# HELP shoal_depth\n"
        "# TYPE shoal_depth gauge\n"
        'shoal_depth{SessionName="s",WorkerId="61"} +Inf\n'
        "# HELP shoal_requests_total served\n"
        "# TYPE shoal_requests_total counter\n"
        'shoal_requests_total{route="a\\"b",SessionName="s"} 2\n'
        "# HELP shoal_seconds\n"
        "# TYPE shoal_seconds histogram\n"
        'shoal_seconds_bucket{SessionName="s",le="0.1"} 0\n'
        'shoal_seconds_bucket{SessionName="s",le="1"} 1\n'
        'shoal_seconds_bucket{SessionName="s",le="+Inf"} 1\n'
        'shoal_seconds_sum{SessionName="s"} 0.5\n'
        'shoal_seconds_count{SessionName="s"} 1\n'
    )
