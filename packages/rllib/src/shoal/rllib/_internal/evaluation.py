"""Runs of a policy that nothing is learned from."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.config.values import differs
from shoal.rllib.env.env_runner_group import EnvRunnerGroup
from shoal.rllib.utils.error import ConfigError, EnvRunnerLostError
from shoal.rllib.utils.metrics import ENV_RUNNER_RESULTS, FAULT_TOLERANCE_STATS
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger

logger = logging.getLogger(__name__)

_PIECES = 4
"""In how many pieces a runner's part comes, at most: what has come counts where the deadline finds the rest unfinished."""


class Evaluation:
    """Evaluates with env runners of its own. What it finds is of one evaluation alone; sums over the lifetime go on.

    An evaluation has one deadline, `evaluation_sample_timeout_s` after it began. A runner that has not answered by then is ended, and
    another one takes its place in the next evaluation.

    Args:
        config: the algorithm's configuration.
        spaces: of the environments and modules.
    """

    def __init__(self, config: Any, spaces: Any) -> None:
        own = config.get_evaluation_config_object()
        if own.env is None:
            raise ConfigError('there is no environment to evaluate in: call environment("CartPole-v1")')
        own.freeze()
        self._config, self._own = config, own
        alike = own.env is config.env and not differs(own.env_config, config.env_config)
        self.group = EnvRunnerGroup(own, local_env_runner=True, spaces=spaces if alike else None)
        try:
            _check_spaces(self.group.spaces or {}, {} if alike else spaces or {})
        except BaseException:
            self.group.stop()
            raise
        self._is_wanted = True
        self._metrics = MetricsLogger(stats_cls_lookup=config.custom_stats_cls_lookup)

    def reconfigure(self, config: Any) -> None:
        """Goes by another configuration from now on: its modules came or went."""
        own = config.get_evaluation_config_object()
        own.freeze()
        self._config, self._own = config, own
        self.group.reconfigure(own)

    def get_state(self) -> dict[str, Any]:
        """Returns what sums over the lifetime have come to."""
        return self._metrics.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._metrics.set_state(state)

    def is_due(self, iteration: int) -> bool:
        """Whether an iteration has an evaluation."""
        interval = self._config.evaluation_interval
        return bool(interval) and iteration % interval == 0

    def run(self, algorithm: Any) -> dict[str, Any]:
        """Evaluates the policies as they are. Returns results."""
        self._sync(algorithm)
        return self._finish(algorithm, lambda: True)

    @contextmanager
    def beside(self, algorithm: Any) -> Iterator[Callable[[], dict[str, Any]]]:
        """Evaluates while the block runs. What it yields gives the results, after the block."""
        self._sync(algorithm)
        over = threading.Event()
        with ThreadPoolExecutor(1, "evaluation") as pool:
            future = pool.submit(self._finish, algorithm, over.is_set)
            try:
                yield future.result
            except BaseException:
                self._is_wanted = False
                self.group.abandon_work()
                raise
            finally:
                over.set()

    def _sync(self, algorithm: Any) -> None:
        self._is_wanted = True
        self.group.allow_work()
        if self._config.restart_failed_env_runners:
            self.group.probe_unhealthy_env_runners()
        self.group.sync_weights(weights=algorithm.learner_group.get_weights(inference_only=True))
        if algorithm.env_runner is not None and getattr(algorithm.env_runner, "has_connector_states", False):
            state = algorithm.env_runner.get_state(components=["env_to_module_connector", "module_to_env_connector"])
            self.group.foreach_env_runner("set_state", kwargs={"state": state})

    def _finish(self, algorithm: Any, training_is_over: Callable[[], bool]) -> dict[str, Any]:
        config = self._config
        algorithm.callbacks.call("on_evaluate_start", algorithm=algorithm, metrics_logger=algorithm.metrics)
        if config.custom_evaluation_function is not None:
            results = config.custom_evaluation_function(algorithm, self.group)
            found = results[0] if isinstance(results, tuple) else results
        else:
            self._metrics.start_over()
            self._sample(training_is_over)
            found = {ENV_RUNNER_RESULTS: self._metrics.compile()}
            if self.group.num_env_runners:
                found[FAULT_TOLERANCE_STATS] = {
                    "num_healthy_workers": self.group.num_healthy_remote_env_runners(),
                    "num_remote_worker_restarts": self.group.num_remote_worker_restarts(),
                }
        algorithm.callbacks.call(
            "on_evaluate_end", algorithm=algorithm, metrics_logger=algorithm.metrics, evaluation_metrics=found
        )
        plain: dict[str, Any] = found
        return plain

    def _sample(self, training_is_over: Callable[[], bool]) -> None:
        config = self._config
        reset = config.evaluation_force_reset_envs_before_iteration
        limit = config.evaluation_sample_timeout_s or None
        deadline = None if limit is None else time.monotonic() + limit
        if config.evaluation_duration != "auto":
            self._round(config.evaluation_duration, config.evaluation_duration_unit, reset, deadline)
            return
        steps = config.evaluation_auto_duration_min_env_steps_per_sample
        most = max(steps, config.evaluation_auto_duration_max_env_steps_per_sample)
        while True:
            began = time.monotonic()
            in_time = self._round(steps * max(1, self.group.num_env_runners), "timesteps", reset, deadline)
            now = time.monotonic()
            reset = False
            before, steps = steps, min(2 * steps, most)
            if training_is_over() or not in_time:
                return
            if deadline is not None and now + (now - began) * steps / before > deadline:
                logger.info(
                    "the evaluation ends before training does: another part would take it beyond evaluation_sample_timeout_s=%g",
                    limit,
                )
                return

    def _round(self, duration: int, unit: str, reset: bool, deadline: float | None) -> bool:
        """Has all runners do their parts. Returns whether they did so in time."""
        group, lanes = self.group, max(1, self._own.num_envs_per_env_runner)
        if group.num_env_runners == 0:
            self._metrics.aggregate([evaluate_on(group.local_runner, duration, unit, reset)])
            return True
        runners = group.healthy_env_runner_ids()
        if not runners:
            raise EnvRunnerLostError("no env runner is left to evaluate; the log says why")
        work: dict[int, list[dict[str, Any]]] = {}
        for place, index in enumerate(runners):
            share = duration // len(runners) + (place < duration % len(runners))
            work[index] = [
                {"amount": amount, "unit": unit, "reset": reset and number == 0}
                for number, amount in enumerate(in_pieces(share, lanes))
            ]
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        parcels, late = group.work_through(evaluate_on, work, timeout_s=left)
        self._metrics.aggregate(parcels)
        if late and self._is_wanted:
            logger.warning(
                "the evaluation ended after %g s (evaluation_sample_timeout_s) with %d of the last %d pieces of work done; runners %s were "
                "late. Give it more time, or a smaller evaluation_duration, if they do not hang",
                self._config.evaluation_sample_timeout_s,
                len(parcels),
                sum(map(len, work.values())),
                late,
            )
        return not late


def _check_spaces(own: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """Raises ConfigError where a policy would be given observations, or asked for actions, of another form than it was trained with."""
    for module_id in own.keys() & trained.keys() - {"__env__", "__env_single__"}:
        for what, mine, theirs in zip(("observation", "action"), own[module_id], trained[module_id], strict=True):
            if not _have_one_form(mine, theirs):
                raise ConfigError(
                    f"evaluation_config has environments whose {what}s are of {mine}, and {module_id!r} is trained with {theirs}; evaluate "
                    "in environments whose spaces have the same form"
                )


def _have_one_form(one: Any, other: Any) -> bool:
    """Whether a network for one space has the layers of one for the other."""
    if type(one) is not type(other):
        return False
    if isinstance(one, gym.spaces.Dict):
        return one.keys() == other.keys() and all(_have_one_form(one[key], other[key]) for key in one)
    if isinstance(one, gym.spaces.Tuple):
        return len(one) == len(other) and all(map(_have_one_form, one, other))
    if isinstance(one, gym.spaces.MultiDiscrete):
        return bool(np.array_equal(one.nvec, other.nvec))
    if isinstance(one, gym.spaces.Discrete):
        return bool(one.n == other.n)
    return bool(one.shape == other.shape)


def in_pieces(amount: int, least: int) -> list[int]:
    """Returns up to `_PIECES` numbers whose sum is the amount; none but the last is smaller than `least`."""
    size = max(least, -(-amount // _PIECES))
    whole, rest = divmod(amount, size)
    return [size] * whole + ([rest] if rest else [])


def evaluate_on(runner: Any, amount: int, unit: str, reset: bool) -> dict[str, Any]:
    """Has a runner act for so many episodes or steps. Returns what it logged meanwhile."""
    explore = runner.config.explore
    if unit == "episodes":
        runner.sample(num_episodes=amount, explore=explore)
    else:
        runner.sample(num_timesteps=amount, explore=explore, force_reset=reset)
    metrics: dict[str, Any] = runner.get_metrics()
    logged = getattr(runner, "metrics", None)
    if isinstance(logged, MetricsLogger):
        logged.start_over()
    return metrics
