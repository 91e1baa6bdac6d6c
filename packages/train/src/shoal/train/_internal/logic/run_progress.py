"""How a training run stands: what its observers were told, in numbers. Times come in, from any clock that does not go back; in seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RECENT = 20
"""Reports that a rate is of."""


@dataclass
class RankProgress:
    """Of one rank, in this attempt."""

    reports: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def seconds_per_report(self) -> float | None:
        """Of late; None before the second report."""
        if len(self.times) < 2:
            return None
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)

    @property
    def reports_per_second(self) -> float | None:
        seconds = self.seconds_per_report
        return 1 / seconds if seconds else None


class RunProgress:
    """Of one run.

    Args:
        name: of the run.
        now: the time at which it begins.
    """

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.state = "starting"
        self.ranks: list[RankProgress] = []
        self.restarts = 0
        self.resizes = 0
        self.checkpoints = 0
        """Whole ones, of this `fit`."""
        self.latest_checkpoint = ""
        self.last_failure = ""
        self._begun = now
        self._over: float | None = None
        self._waiting: set[int] = set()
        """Reports with a checkpoint that is not whole."""

    def started(self, attempt: int, world_size: int) -> None:
        if self.ranks and len(self.ranks) != world_size:
            self.resizes += 1
        self.ranks = [RankProgress() for _ in range(world_size)]
        self._waiting.clear()
        self.state = "running"

    def reported(self, rank: int, metrics: Mapping[str, Any], has_checkpoint: bool, now: float) -> None:
        one = self.ranks[rank]
        if has_checkpoint:
            self._waiting.add(one.reports)
        one.reports += 1
        one.metrics.update(metrics)
        one.times.append(now)

    def committed(self, path: str) -> None:
        self.checkpoints += 1
        self.latest_checkpoint = path
        whole = min((rank.reports for rank in self.ranks), default=0)
        self._waiting = {number for number in self._waiting if number >= whole}

    def failed(self, failures: Mapping[int, BaseException], restarting: bool) -> None:
        self.last_failure = "; ".join(f"rank {rank}: {type(error).__name__}" for rank, error in failures.items())
        self.restarts += restarting
        self.state = "restarting" if restarting else "failed"

    def ended(self, error: BaseException | None, now: float) -> None:
        self.state = "failed" if error is not None else "finished"
        self._over = now
        self._waiting.clear()

    @property
    def waiting(self) -> int:
        """Checkpoints that some ranks have reported, and not all."""
        return len(self._waiting)

    def seconds(self, now: float) -> float:
        """Returns how long it runs, or has run."""
        return (self._over if self._over is not None else now) - self._begun

    def metric_names(self, most: int) -> list[str]:
        """Returns the first metrics that are numbers, as rank 0 or the first rank with any has them."""
        for rank in self.ranks:
            names = [name for name, value in rank.metrics.items() if _is_number(value)]
            if names:
                return names[:most]
        return []


def shown(value: Any) -> str:
    """Returns a metric's value in four digits."""
    if isinstance(value, bool) or not _is_number(value):
        return "" if value is None else str(value)[:12]
    return f"{float(value):.4g}" if not isinstance(value, int) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (hasattr(value, "item") and getattr(value, "ndim", 0) == 0)
