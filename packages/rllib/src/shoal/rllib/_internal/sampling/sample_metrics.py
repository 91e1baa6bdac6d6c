"""What runners log of what they have sampled."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from shoal.rllib.core import DEFAULT_AGENT_ID, DEFAULT_MODULE_ID
from shoal.rllib.utils.metrics import (
    EPISODE_AGENT_RETURN_MEAN,
    EPISODE_DURATION_SEC_MEAN,
    EPISODE_LEN_MAX,
    EPISODE_LEN_MEAN,
    EPISODE_LEN_MIN,
    EPISODE_MODULE_RETURN_MEAN,
    EPISODE_RETURN_MAX,
    EPISODE_RETURN_MEAN,
    EPISODE_RETURN_MIN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
    SAMPLE_TIMER,
)
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger


def smoothing_window(config: Any, runners: int) -> int:
    """Returns over how many episodes a runner averages values: all runners together keep as many as configured.

    An evaluation's are averaged over all that it has, however many.

    Args:
        config: of the algorithm.
        runners: how many share the episodes; 0 where it is one in the program.
    """
    if getattr(config, "in_evaluation", False):
        return sys.maxsize
    window = int(config.metrics_num_episodes_for_smoothing)
    return max(1, round(window / runners)) if runners else window


def log_steps(metrics: MetricsLogger, steps: int, seconds: float) -> None:
    """Logs how many steps were made, and how long that took."""
    metrics.log_value(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
    metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum", with_throughput=True)
    metrics.log_value(SAMPLE_TIMER, seconds)


def log_episodes(metrics: MetricsLogger, finished: Sequence[Any], seconds_per_step: float, window: int) -> None:
    """Logs the returns and lengths of episodes that ended."""
    log = metrics.log_value
    log(NUM_EPISODES, len(finished), reduce="sum")
    log(NUM_EPISODES_LIFETIME, len(finished), reduce="lifetime_sum")
    for episode in finished:
        log(EPISODE_RETURN_MEAN, episode.returned, window=window)
        log(EPISODE_RETURN_MIN, episode.returned, reduce="min", window=window)
        log(EPISODE_RETURN_MAX, episode.returned, reduce="max", window=window)
        log(EPISODE_LEN_MEAN, episode.length, window=window)
        log(EPISODE_LEN_MIN, episode.length, reduce="min", window=window)
        log(EPISODE_LEN_MAX, episode.length, reduce="max", window=window)
        log(EPISODE_DURATION_SEC_MEAN, seconds_per_step * episode.length, window=window)


def log_one_agent(metrics: MetricsLogger, steps: int, finished: Sequence[Any], window: int) -> None:
    """Logs what the one agent, and its module, have of that: all."""
    log = metrics.log_value
    log((NUM_AGENT_STEPS_SAMPLED, DEFAULT_AGENT_ID), steps, reduce="sum")
    log((NUM_AGENT_STEPS_SAMPLED_LIFETIME, DEFAULT_AGENT_ID), steps, reduce="lifetime_sum")
    log((NUM_MODULE_STEPS_SAMPLED, DEFAULT_MODULE_ID), steps, reduce="sum")
    log((NUM_MODULE_STEPS_SAMPLED_LIFETIME, DEFAULT_MODULE_ID), steps, reduce="lifetime_sum")
    for episode in finished:
        log((EPISODE_AGENT_RETURN_MEAN, DEFAULT_AGENT_ID), episode.returned, window=window)
        log((EPISODE_MODULE_RETURN_MEAN, DEFAULT_MODULE_ID), episode.returned, window=window)
