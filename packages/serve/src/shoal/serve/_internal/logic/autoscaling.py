"""How many replicas a deployment should have, by how much there is to do.

What is wanted follows from the requests, averaged over a while; it counts once it has been wanted for the whole of a delay. On the way down
the most that was wanted during the delay counts, so a saw-tooth keeps what its peaks need.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.serve.config import AutoscalingConfig, AutoscalingContext


def replicas_for(load: float, replicas: int, config: AutoscalingConfig) -> float:
    """Returns how many replicas so many requests ask for, where there are `replicas`; with no regard to limits."""
    if replicas == 0:
        return float(math.ceil(load / config.target_ongoing_requests))
    error = load / replicas / config.target_ongoing_requests - 1
    factor = (config.upscaling_factor if error > 0 else config.downscaling_factor) or 1.0
    return replicas * (1 + factor * error)


class Autoscaling:
    """Decides for one deployment. Times are in seconds, of any clock that does not go back.

    Args:
        config: its limits, target and delays.
        deployment: which, for a policy of the user's: its application and its name.
        max_ongoing: requests that one replica works on at a time.
    """

    def __init__(self, config: AutoscalingConfig, deployment: tuple[str, str] = ("", ""), max_ongoing: int = 1) -> None:
        self.problem = ""
        """What a policy of the user's raised, the last time that it was asked; empty for nothing."""
        self._config = config
        self._deployment = deployment
        self._max_ongoing = max_ongoing
        self._policy: Callable[[AutoscalingContext], tuple[float, Mapping[str, Any]]] | None = None
        """What the policy decides by, made when it is first asked."""
        self._policy_state: Mapping[str, Any] = {}
        self._own: dict[str, dict[str, deque[tuple[float, float]]]] = {}
        """What replicas told of themselves, and when: by name and replica."""
        self._went_up_at: float | None = None
        self._went_down_at: float | None = None
        self._samples: deque[tuple[float, float]] = deque()
        self._up_since: float | None = None
        self._down_since: float | None = None
        self._down_to = 0

    def told(self, replica_id: str, stats: Mapping[str, float], now: float) -> None:
        """A replica has numbers of its own for the policy."""
        for name, value in stats.items():
            self._own.setdefault(name, {}).setdefault(replica_id, deque()).append((now, float(value)))

    def _own_since(self, since: float) -> dict[str, dict[str, list[float]]]:
        """Returns these numbers, by name and replica, and forgets those before."""
        found: dict[str, dict[str, list[float]]] = {}
        for name, by_replica in self._own.items():
            for replica_id, values in list(by_replica.items()):
                while values and values[0][0] < since:
                    values.popleft()
                if values:
                    found.setdefault(name, {})[replica_id] = [value for _, value in values]
                else:
                    del by_replica[replica_id]
        return found

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
        return self._as_one(values)

    def _as_one(self, values: Sequence[float]) -> float:
        if self._config.aggregation_function == "max":
            return max(values)
        return min(values) if self._config.aggregation_function == "min" else sum(values) / len(values)

    def desired(self, replicas: int, now: float) -> int:
        """Returns how many replicas the load asks for, whatever the delays."""
        config = self._config
        if config.policy is not None:
            wanted = self._by_policy(replicas, now)
        else:
            wanted = replicas_for(self.load(now), replicas, config)
        # What comes out of dividing and multiplying again may be a hair above a whole number.
        return min(max(math.ceil(wanted - 1e-9), config.min_replicas), config.max_replicas)

    def _by_policy(self, replicas: int, now: float) -> float:
        config, load = self._config, self.load(now)
        assert config.policy is not None
        app, name = self._deployment
        own = self._own_since(now - config.look_back_period_s)
        context = AutoscalingContext(
            deployment_id=self._deployment,
            deployment_name=name,
            app_name=app,
            current_num_replicas=replicas,
            target_num_replicas=replicas,
            total_num_requests=load,
            total_queued_requests=max(0.0, load - replicas * self._max_ongoing),
            capacity_adjusted_min_replicas=config.min_replicas,
            capacity_adjusted_max_replicas=config.max_replicas,
            policy_state=self._policy_state,
            last_scale_up_time=self._went_up_at,
            last_scale_down_time=self._went_down_at,
            current_time=now,
            config=config,
            aggregated_metrics={
                metric: {replica_id: self._as_one(values) for replica_id, values in by_replica.items()}
                for metric, by_replica in own.items()
            },
            raw_metrics=own,
        )
        try:
            if self._policy is None:
                self._policy = config.policy.made()
            wanted, state = self._policy(context)
            wanted = float(wanted)
            if not math.isfinite(wanted):
                raise ValueError(f"it returned {wanted} replicas")
        except Exception as error:
            # It is the user's code, and everything else goes on.
            self.problem = f"{type(error).__name__}: {error}"
            return replicas
        self.problem = ""
        self._policy_state = state or {}
        return wanted

    def decide(self, replicas: int, now: float) -> int:
        """Returns how many replicas there are to be now, where there are to be `replicas`."""
        decided = self._after_delays(replicas, now)
        if decided > replicas:
            self._went_up_at = now
        elif decided < replicas:
            self._went_down_at = now
        return decided

    def _after_delays(self, replicas: int, now: float) -> int:
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
        # A policy of the user's may go by the time of day, or by what it is told elsewhere.
        if not self._samples and replicas <= self._config.min_replicas and self._config.policy is None:
            return None
        return now + self._config.metrics_interval_s
