"""The rows about serving: titles, which case measures them, and what shoal's figure is held against."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: stable key, for `--only` and the JSON file.
        title: what is measured.
        unit: of the figures.
        case: of serve_program.py, which measures it.
        limit: that shoal's figure has to keep: at most where less is better, else at least.
        shares: by peer, the share of its figure that shoal's has to reach.
        lower_is_better: for times.
        is_difference: of two times, each with its noise: it may come out below 0.
    """

    name: str
    title: str
    unit: str
    case: str
    limit: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    lower_is_better: bool = False
    is_difference: bool = False

    def goal(self, figures: Mapping[str, Sequence[float]]) -> float | None:
        """The bound by what was measured; None where there is none, or its peer was not measured."""
        bounds = [share * statistics.median(figures[peer]) for peer, share in self.shares.items() if figures.get(peer)]
        bounds += [self.limit] if self.limit is not None else []
        return (min if self.lower_is_better else max)(bounds, default=None)

    def is_met(self, figures: Mapping[str, Sequence[float]]) -> bool | None:
        """Whether shoal reaches the goal; None where that is not known."""
        goal, ours = self.goal(figures), figures.get("shoal")
        if goal is None or not ours:
            return None
        median = statistics.median(ours)
        return median <= goal if self.lower_is_better else median >= goal


BARE = {"uvicorn": 0.7}
"""The share of bare FastAPI on uvicorn, on the same cores."""

ROWS = (
    Row("noop", "no-op over HTTP, 32 connections", "/s", "noop", shares=BARE),
    Row("noop_p50", "no-op over HTTP, 1 connection: p50", "ms", "noop", 0.8, lower_is_better=True),
    Row("fastapi", "FastAPI ingress, 32 connections", "/s", "fastapi", shares=BARE),
    Row("fastapi_p50", "FastAPI ingress, 1 connection: p50", "ms", "fastapi", 0.8, lower_is_better=True),
    Row("chain", "chain of two deployments over HTTP, 32 connections", "/s", "chain", 1500),
    Row(
        "hop_p99",
        "what a deployment more adds, 1 connection: p99",
        "ms",
        "chain",
        0.5,
        lower_is_better=True,
        is_difference=True,
    ),
    Row("body_1", "bodies of 1 MB taken in, 8 connections", "/s", "bodies"),
    Row("body_10", "bodies of 10 MB taken in, 8 connections", "/s", "bodies"),
    Row("answer_10", "answers of 10 MB, 8 connections", "/s", "bodies"),
    Row("chunks", "chunks streamed over HTTP, 8 streams", "/s", "chunks", 50_000),
    Row("first_chunk", "first chunk while 128 streams are open: p50", "ms", "first_chunk", 5, lower_is_better=True),
    Row("handles", "handle calls of a program, 128 at a time", "/s", "handles", 8000),
    Row("handles_inside", "handle calls of a replica, 128 at a time", "/s", "handles", 8000),
    Row("limit_1", "limit 1, handler of 100 ms: 1 user", "/s", "limit", 9.8),
    Row("limit_5", "limit 1, handler of 100 ms: 5 users", "/s", "limit", 9.8),
    Row("limit_50", "limit 1, handler of 100 ms: 50 users", "/s", "limit", 9.8),
    Row("overload", "served at 10 times the load that fits, of the peak", "%", "overload", 90),
    Row("batched", "model of 10 ms for 16 at once: share of what is possible", "%", "batched", 95),
    Row(
        "batched_http", "the same over HTTP, 64 connections", "/s", "batched", shares={"uvicorn": 0.9, "litserve": 0.9}
    ),
    Row("deploy", "serve.run of a no-op", "s", "deploy", 0.3, lower_is_better=True),
    Row("from_zero", "first answer from no replicas", "s", "from_zero", 0.3, lower_is_better=True),
)
