"""How many replicas a deployment should have, by how much there is to do.

What is wanted follows from the requests, averaged over a while; it counts once it has been wanted for the whole of a delay. On the way down
the most that was wanted during the delay counts, so a saw-tooth keeps what its peaks need.
"""

from __future__ import annotations

import math
from collections import deque

from shoal.serve.config import AutoscalingConfig


class Autoscaling:
    """Decides for one deployment. Times are in seconds, of any clock that does not go back.

    Args:
        config: its limits, target and delays.
    """

    def __init__(self, config: AutoscalingConfig) -> None:
        self._config = config
        self._samples: deque[tuple[float, float]] = deque()
        self._up_since: float | None = None
        self._down_since: float | None = None
        self._down_to = 0

    def record(self, requests: float, now: float) -> None:
        """So many requests are being worked on or wait."""
        self._samples.append((now, requests))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._samples and self._samples[0][0] < now - self._config.look_back_period_s:
            self._samples.popleft()

    def load(self, now: float) -> float:
        """Returns the requests of the look-back period, as one number."""
        self._forget(now)
        values = [value for _, value in self._samples]
        if not values:
            return 0.0
        if self._config.aggregation_function == "max":
            return max(values)
        return min(values) if self._config.aggregation_function == "min" else sum(values) / len(values)

    def desired(self, replicas: int, now: float) -> int:
        """Returns how many replicas the load asks for, whatever the delays."""
        config = self._config
        load = self.load(now)
        if replicas == 0:
            wanted = float(math.ceil(load / config.target_ongoing_requests))
        else:
            error = load / replicas / config.target_ongoing_requests - 1
            factor = (config.upscaling_factor if error > 0 else config.downscaling_factor) or 1.0
            wanted = replicas * (1 + factor * error)
        # What comes out of dividing and multiplying again may be a hair above a whole number.
        return min(max(math.ceil(wanted - 1e-9), config.min_replicas), config.max_replicas)

    def decide(self, replicas: int, now: float) -> int:
        """Returns how many replicas there are to be now, where there are to be `replicas`."""
        config = self._config
        desired = self.desired(replicas, now)
        if desired > replicas:
            self._down_since = None
            if self._up_since is None:
                self._up_since = now
            if replicas > 0 and now - self._up_since < config.upscale_delay_s:
                return replicas
            self._up_since = None
            return desired
        self._up_since = None
        if desired == replicas:
            self._down_since = None
            return replicas
        if self._down_since is None:
            self._down_since, self._down_to = now, desired
        self._down_to = max(self._down_to, desired)
        delay = config.downscale_delay_s
        if self._down_to == 0:
            if replicas > 1 and now - self._down_since >= delay:
                # The last one goes by a delay of its own.
                self._down_since = now
                return 1
            if config.downscale_to_zero_delay_s is not None:
                delay = config.downscale_to_zero_delay_s
        if now - self._down_since < delay:
            return replicas
        self._down_since = None
        return self._down_to

    def asked(self, replicas: int) -> int:
        """A request waits, and there is no replica at all. Returns how many there are to be."""
        return max(replicas, min(1, self._config.max_replicas))

    def deadline(self, replicas: int, now: float) -> float | None:
        """Returns when to decide again, with no word from anybody; None for not before there is one."""
        self._forget(now)
        if not self._samples and replicas <= self._config.min_replicas:
            return None
        return now + self._config.metrics_interval_s
