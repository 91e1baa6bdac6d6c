"""Reading the options of remote functions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shoal._core.api.checks import integer, refuse_unknown, text
from shoal._core.api.common_options import (
    backpressure,
    check_labels,
    check_records,
    resource_units,
    result_count,
    retried_exceptions,
    retries,
)
from shoal._core.api.environment_option import parse_environment
from shoal._core.api.option_tables import TASK_OPTIONS
from shoal._core.api.strategy_option import StrategyOption, parse_strategy
from shoal._core.schema.options import TaskOptions
from shoal._core.schema.resources import CPU, GPU, UNIT, ResourceSet
from shoal.exceptions import InvalidOptionError

MAX_RETRIES = 3


def parse_task_options(given: Mapping[str, Any], is_generator: bool) -> tuple[TaskOptions, StrategyOption]:
    """Returns the options of a remote function, and the strategy that goes into them at the call.

    Args:
        given: the user's keywords.
        is_generator: whether the function `yield`s.

    Raises InvalidOptionError (ValueError), InvalidOptionTypeError (TypeError).
    """
    for name in given:
        if name not in TASK_OPTIONS:
            refuse_unknown("tasks", name, given[name], TASK_OPTIONS)
    if given.get("object_store_memory") is not None:
        raise InvalidOptionError(
            "object_store_memory", given["object_store_memory"], "tasks cannot reserve object store; leave it out"
        )
    units = resource_units(given)
    units.setdefault(CPU, UNIT)
    strategy = parse_strategy(given)
    selector, fallbacks = check_labels(given)
    check_records(given)
    options = TaskOptions(
        resources=ResourceSet.of_units(units),
        num_returns=result_count(given.get("num_returns"), is_generator),
        max_retries=_max_retries(given.get("max_retries")),
        retry_exceptions=retried_exceptions(given.get("retry_exceptions")),
        max_calls=_max_calls(given.get("max_calls"), uses_gpu=units.get(GPU, 0) > 0),
        environment=parse_environment(given.get("runtime_env")),
        strategy=strategy.fixed,
        label_selector=selector,
        fallback_strategy=fallbacks,
        name=text("name", given.get("name") or ""),
        generator_backpressure=backpressure(
            "_generator_backpressure_num_objects", given.get("_generator_backpressure_num_objects")
        ),
    )
    return options, strategy


def _max_retries(value: object) -> int:
    if value is not None:
        return retries("max_retries", value)
    default = os.environ.get("SHOAL_TASK_MAX_RETRIES")
    if not default:
        return MAX_RETRIES
    try:
        return retries("SHOAL_TASK_MAX_RETRIES", int(default))
    except ValueError:
        fix = "the environment variable holds a whole number >= -1 (-1 = without end)"
        raise InvalidOptionError("SHOAL_TASK_MAX_RETRIES", default, fix) from None


def _max_calls(value: object, *, uses_gpu: bool) -> int:
    if value is not None:
        return integer("max_calls", value, low=0, meaning="0 = no limit")
    return 1 if uses_gpu else 0  # libraries keep GPU memory until the process ends
