"""The page that Prometheus reads, and what deployments record themselves."""

from __future__ import annotations

import re
from typing import Any

import httpx

from shoal import serve
from shoal.serve import metrics
from shoal.serve._internal.logic.metric_text import Sample, prometheus_text


@serve.deployment
class Counted:
    def __init__(self) -> None:
        self.misses = metrics.Counter("cache_misses", "Answers that had to be computed.", tag_keys=("cache",))

    async def __call__(self, request: Any) -> str:
        if "fail" in request.query_params:
            raise KeyError("as asked")
        self.misses.inc(tags={"cache": "first"})
        return str(await self.double(4))

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.001)
    async def double(self, numbers: list[int]) -> list[int]:
        return [2 * number for number in numbers]


def value(page: str, name: str, **tags: str) -> float:
    """The sum over all lines that have these tags."""
    found = [
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith(name + "{") and all(f'{key}="{text}"' in line for key, text in tags.items())
    ]
    assert found, f"no {name} with {tags} in:\n{page}"
    return sum(found)


def test_the_page_tells_what_happened(url: str) -> None:
    serve.run(Counted.bind(), name="counted", route_prefix="/counted")
    for _ in range(3):
        assert httpx.get(f"{url}/counted").text == "8"
    assert httpx.get(f"{url}/counted?fail").status_code == 500
    assert httpx.get(f"{url}/nowhere").status_code == 404
    answer = httpx.get(f"{url}/metrics")
    page = answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    app = {"application": "counted"}
    good = {**app, "route": "/counted", "method": "GET", "status_code": "200"}
    assert value(page, "shoal_serve_num_http_requests_total", **good) == 3
    assert value(page, "shoal_serve_http_request_latency_ms_count", **good) == 3
    assert value(page, "shoal_serve_num_http_error_requests_total", error_code="500", **app) == 1
    assert value(page, "shoal_serve_num_http_error_requests_total", error_code="404", application="") == 1
    assert value(page, "shoal_serve_num_ongoing_http_requests") == 0
    here = {**app, "deployment": "Counted"}
    assert value(page, "shoal_serve_deployment_request_counter_total", route="/counted", **here) == 4
    assert value(page, "shoal_serve_deployment_processing_latency_ms_count", **here) == 4
    assert value(page, "shoal_serve_deployment_error_counter_total", exception_type="KeyError", **here) == 1
    assert value(page, "shoal_serve_replica_processing_queries", **here) == 0
    assert value(page, "shoal_serve_actual_batch_size_count", **here) == 3
    assert value(page, "shoal_serve_deployment_queued_queries", handle="proxy", **here) == 0
    assert value(page, "shoal_serve_num_router_requests_total", handle="proxy", **here) == 4
    assert value(page, "shoal_serve_deployment_replicas", state="RUNNING", **here) == 1
    assert value(page, "shoal_serve_deployment_replica_healthy", **here) == 1
    assert value(page, "shoal_serve_deployment_replica_starts_total", **here) == 1
    assert value(page, "shoal_cache_misses_total", cache="first", route="/counted", **here) == 3
    assert httpx.get(f"{url}/-/metrics").status_code == 200
    names = re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)
    assert len(names) == len(set(names)), "each name is told once"
    serve.delete("counted")


def test_an_application_may_have_the_path_for_itself(url: str) -> None:
    @serve.deployment
    def own(request: Any) -> str:
        return "mine"

    serve.run(own.bind(), name="own", route_prefix="/metrics")
    assert httpx.get(f"{url}/metrics").text == "mine"
    assert "# TYPE" in httpx.get(f"{url}/-/metrics").text
    serve.delete("own")


def test_text_is_what_prometheus_reads() -> None:
    text = prometheus_text(
        [
            Sample("h", "histogram", "d", {"a": "x"}, 7.5, (1.0, 5.0), (1, 0, 2)),
            Sample("c", "counter", "with\nlines", {"a": 'quo"te\\'}, 3),
            Sample("c", "counter", "with\nlines", {}, 0.5),
        ]
    )
    assert text.splitlines() == [
        r"# HELP shoal_c_total with\nlines",
        "# TYPE shoal_c_total counter",
        r'shoal_c_total{a="quo\"te\\"} 3',
        "shoal_c_total 0.5",
        "# HELP shoal_h d",
        "# TYPE shoal_h histogram",
        'shoal_h_bucket{a="x",le="1"} 1',
        'shoal_h_bucket{a="x",le="5"} 1',
        'shoal_h_bucket{a="x",le="+Inf"} 3',
        'shoal_h_sum{a="x"} 7.5',
        'shoal_h_count{a="x"} 3',
    ]
