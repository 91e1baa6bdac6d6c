"""What a learner tells of an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.rllib.utils.error import NonFiniteLossError
from shoal.rllib.utils.metrics import (
    ALL_MODULES,
    MODULE_TRAIN_BATCH_SIZE_MEAN,
    NUM_ENV_STEPS_TRAINED,
    NUM_ENV_STEPS_TRAINED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
    NUM_NON_TRAINABLE_PARAMETERS,
    NUM_TRAINABLE_PARAMETERS,
    WEIGHTS_SEQ_NO,
)
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger


def report_losses(
    metrics: MetricsLogger, noted: Mapping[str, Mapping[str, Any]], *, total_key: str, may_be_infinite: bool
) -> None:
    """Reports what was noted of the last minibatches: numbers, or tensors of one.

    Args:
        metrics: where.
        noted: by module and name.
        total_key: the name of the whole loss.
        may_be_infinite: whether a whole loss that is no finite number is reported like any other.

    Raises:
        NonFiniteLossError: it is not, and there is one.
    """
    for module_id, values in noted.items():
        for name, value in values.items():
            number = _plain(value)
            if name == total_key and not abs(number) < float("inf") and not may_be_infinite:
                others = {other: _plain(of) for other, of in values.items() if other != name}
                raise NonFiniteLossError(
                    f"the loss of module {module_id!r} is {number}; its parts are {others}. A smaller lr, a grad_clip, or rewards and "
                    "observations of smaller size may help; framework(torch_skip_nan_gradients=True) leaves such steps out"
                )
            metrics.log_value((module_id, name), number, window=1)


def report_steps(metrics: MetricsLogger, module_id: str, rows: int, minibatch: int, weights_seq_no: int) -> None:
    """Reports how many steps a module has learned from."""
    log = metrics.log_value
    log((module_id, NUM_MODULE_STEPS_TRAINED), rows, reduce="sum")
    log((module_id, NUM_MODULE_STEPS_TRAINED_LIFETIME), rows, reduce="lifetime_sum")
    log((module_id, MODULE_TRAIN_BATCH_SIZE_MEAN), minibatch, reduce="mean")
    log((module_id, WEIGHTS_SEQ_NO), weights_seq_no, window=1)


def report_all_modules(metrics: MetricsLogger, rows: int, parameters: tuple[int, int]) -> None:
    """Reports how many steps all modules have learned from, and how many of their numbers are trained, and are not."""
    log = metrics.log_value
    log((ALL_MODULES, NUM_MODULE_STEPS_TRAINED), rows, reduce="sum")
    log((ALL_MODULES, NUM_MODULE_STEPS_TRAINED_LIFETIME), rows, reduce="lifetime_sum", with_throughput=True)
    log((ALL_MODULES, NUM_ENV_STEPS_TRAINED), rows, reduce="sum")
    log((ALL_MODULES, NUM_ENV_STEPS_TRAINED_LIFETIME), rows, reduce="lifetime_sum", with_throughput=True)
    log((ALL_MODULES, NUM_TRAINABLE_PARAMETERS), parameters[0], window=1)
    log((ALL_MODULES, NUM_NON_TRAINABLE_PARAMETERS), parameters[1], window=1)


def _plain(value: Any) -> float:
    return float(value.detach()) if hasattr(value, "detach") else float(value)
