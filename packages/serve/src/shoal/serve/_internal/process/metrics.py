"""What a process counts of its requests: plain increments, turned into samples when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from shoal.serve._internal.logic.metric_text import Sample

LATENCIES_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 60000.0)
"""Upper ends of the ranges of latencies."""
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Upper ends of the ranges of batch sizes."""


class Counts:
    """Counters by their labels' values."""

    def __init__(self, name: str, description: str, labels: Sequence[str]) -> None:
        self.name = name
        self._description = description
        self._labels = tuple(labels)
        self.values: dict[tuple[str, ...], int] = {}

    def add(self, *values: str) -> None:
        """Counts one."""
        self.values[values] = self.values.get(values, 0) + 1

    def samples(self, tags: Mapping[str, str]) -> list[Sample]:
        """Returns what was counted, with more tags."""
        return [
            Sample(
                self.name,
                "counter",
                self._description,
                {**tags, **dict(zip(self._labels, values, strict=True))},
                number,
            )
            for values, number in self.values.items()
        ]


class _Ranges:
    __slots__ = ("counts", "total")

    def __init__(self, number: int) -> None:
        self.counts = [0] * number
        self.total = 0.0


class Distribution:
    """Histograms by their labels' values."""

    def __init__(self, name: str, description: str, labels: Sequence[str], boundaries: tuple[float, ...]) -> None:
        self._name = name
        self._description = description
        self._labels = tuple(labels)
        self._boundaries = boundaries
        self._series: dict[tuple[str, ...], _Ranges] = {}

    def observe(self, value: float, *values: str) -> None:
        """Counts a value."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = _Ranges(len(self._boundaries) + 1)
        series.counts[bisect_left(self._boundaries, value)] += 1
        series.total += value

    def numbers(self) -> dict[tuple[str, ...], int]:
        """Returns how many values there were."""
        return {values: sum(series.counts) for values, series in self._series.items()}

    def samples(self, tags: Mapping[str, str]) -> list[Sample]:
        """Returns the histograms, with more tags."""
        return [
            Sample(
                self._name,
                "histogram",
                self._description,
                {**tags, **dict(zip(self._labels, values, strict=True))},
                series.total,
                self._boundaries,
                tuple(series.counts),
            )
            for values, series in self._series.items()
        ]


class IngressMetrics:
    """What a proxy counts. One observation a request: the other numbers follow from it.

    Args:
        protocol: 'http' or 'grpc'.
        good: codes that are no errors.
    """

    def __init__(self, protocol: str, good: Sequence[str] = ()) -> None:
        self._protocol = protocol
        self._good = frozenset(good)
        self.ongoing = 0
        self._latency = Distribution(
            f"serve_{protocol}_request_latency_ms",
            "Milliseconds from a request's head to the end of its answer.",
            ("route", "method", "application", "status_code"),
            LATENCIES_MS,
        )

    def ended(self, route: str, method: str, app: str, status: str, milliseconds: float) -> None:
        """A request is over."""
        self._latency.observe(milliseconds, route, method, app, status)

    def _is_error(self, status: str) -> bool:
        return status not in self._good if self._good else status >= "400"

    def samples(self, tags: Mapping[str, str]) -> list[Sample]:
        """Returns what was counted, with more tags."""
        found = self._latency.samples(tags)
        protocol = self._protocol
        for (route, method, app, status), number in self._latency.numbers().items():
            labels = {**tags, "route": route, "method": method, "application": app}
            found.append(
                Sample(
                    f"serve_num_{protocol}_requests",
                    "counter",
                    "Requests that were answered.",
                    {**labels, "status_code": status},
                    number,
                )
            )
            if self._is_error(status):
                found.append(
                    Sample(
                        f"serve_num_{protocol}_error_requests",
                        "counter",
                        "Requests that were answered with an error.",
                        {**labels, "error_code": status},
                        number,
                    )
                )
        what = "Requests that are being answered."
        return [*found, Sample(f"serve_num_ongoing_{protocol}_requests", "gauge", what, dict(tags), self.ongoing)]


class ReplicaMetrics:
    """What a replica counts.

    Args:
        tags: that name it.
    """

    def __init__(self, tags: Mapping[str, str]) -> None:
        self._tags = dict(tags)
        self._latency = Distribution(
            "serve_deployment_processing_latency_ms",
            "Milliseconds that a replica took for a request.",
            ("route",),
            LATENCIES_MS,
        )
        self._errors = Counts(
            "serve_deployment_error_counter", "Requests whose code raised.", ("route", "exception_type")
        )

    def ended(self, route: str, milliseconds: float) -> None:
        """A request is over."""
        self._latency.observe(milliseconds, route)

    def failed(self, route: str, error: BaseException) -> None:
        """Its code raised."""
        self._errors.add(route, type(error).__name__)

    def samples(self, ongoing: int) -> list[Sample]:
        """Returns what was counted; of the process's batches, too."""
        tags = self._tags
        found = self._latency.samples(tags) + self._errors.samples(tags)
        for (route,), number in self._latency.numbers().items():
            what = "Requests that a replica has answered."
            labels = {**tags, "route": route}
            found.append(Sample("serve_deployment_request_counter", "counter", what, labels, number))
        what = "Requests that a replica works on."
        found.append(Sample("serve_replica_processing_queries", "gauge", what, tags, ongoing))
        return found + BATCHES.samples(tags)


class BatchMetrics:
    """What a process counts of its batches."""

    def __init__(self) -> None:
        self._sizes = Distribution("serve_actual_batch_size", "Items in a batch.", ("function",), SIZES)
        self._times = Distribution(
            "serve_batch_execution_time_ms", "Milliseconds that a batch took.", ("function",), LATENCIES_MS
        )

    def ended(self, function: str, size: int, milliseconds: float) -> None:
        """A batch is over."""
        self._sizes.observe(size, function)
        self._times.observe(milliseconds, function)

    def samples(self, tags: Mapping[str, str]) -> list[Sample]:
        """Returns what was counted."""
        return self._sizes.samples(tags) + self._times.samples(tags)


BATCHES = BatchMetrics()
