"""Runs of a policy that nothing is learned from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from shoal.rllib.env.env_runner_group import EnvRunnerGroup
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import ENV_RUNNER_RESULTS
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger


class Evaluation:
    """Evaluates with env runners of its own.

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
        self.group = EnvRunnerGroup(own, local_env_runner=True, spaces=spaces if own.env is config.env else None)
        self._metrics = MetricsLogger()

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
            finally:
                over.set()

    def _sync(self, algorithm: Any) -> None:
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
            self._sample(training_is_over)
            found = {ENV_RUNNER_RESULTS: self._metrics.compile()}
        algorithm.callbacks.call(
            "on_evaluate_end", algorithm=algorithm, metrics_logger=algorithm.metrics, evaluation_metrics=found
        )
        plain: dict[str, Any] = found
        return plain

    def _sample(self, training_is_over: Callable[[], bool]) -> None:
        config = self._config
        reset = config.evaluation_force_reset_envs_before_iteration
        if config.evaluation_duration != "auto":
            self._round(config.evaluation_duration, config.evaluation_duration_unit, reset)
            return
        lanes = max(1, self.group.num_env_runners)
        steps = config.evaluation_auto_duration_min_env_steps_per_sample * lanes
        while True:
            self._round(steps, "timesteps", reset)
            reset = False
            if training_is_over():
                return

    def _round(self, duration: int, unit: str, reset: bool) -> None:
        arguments = {"duration": duration, "unit": unit, "reset": reset, "runners": max(1, self.group.num_env_runners)}
        actors = self.group.num_env_runners > 0
        results = self.group.foreach_env_runner(
            evaluate_on,
            kwargs=arguments,
            local_env_runner=not actors,
            timeout_seconds=self._config.evaluation_sample_timeout_s,
        )
        self._metrics.aggregate([metrics for metrics in results if metrics is not None])


def evaluate_on(runner: Any, duration: int, unit: str, reset: bool, runners: int) -> dict[str, Any] | None:
    """Has one of several runners do its part. Returns what it logged."""
    index = max(0, runner.worker_index - 1)
    share = duration // runners + (index < duration % runners)
    if share == 0:
        return None
    if unit == "episodes":
        runner.sample(num_episodes=share, explore=runner.config.explore)
    else:
        runner.sample(num_timesteps=share, explore=runner.config.explore, force_reset=reset)
    metrics: dict[str, Any] = runner.get_metrics()
    return metrics
