"""Reading the options that tasks, actors and methods share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal._core.api.checks import flag, integer, mapping, text, texts
from shoal._core.api.strategy_option import OLD_KEYWORDS
from shoal._core.schema.options import DYNAMIC, STREAMING
from shoal._core.schema.resources import (
    CPU,
    GPU,
    MEMORY,
    OBJECT_STORE_MEMORY,
    UNIT,
    accelerator_resource,
    parse_amount,
    parse_gpu_amount,
    parse_label_selector,
)
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError

ACCELERATOR_UNITS = UNIT // 1000
"""So little of a node's accelerator type is asked for: enough to choose the node, and for any number of tasks."""

_KEYWORD_OF = {CPU: "num_cpus", GPU: "num_gpus", MEMORY: "memory", OBJECT_STORE_MEMORY: "object_store_memory"}


def override(options: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options with others over them. A strategy replaces one that is spelled the other way."""
    merged = dict(options)
    if "scheduling_strategy" in others:
        for name in OLD_KEYWORDS:
            merged.pop(name, None)
    elif others.get("placement_group") is not None:
        merged.pop("scheduling_strategy", None)
    merged.update(others)
    return merged


def resource_units(given: Mapping[str, Any]) -> dict[str, int]:
    """Returns what resource options ask for, in ten-thousandths; without the defaults for what they do not mention."""
    units: dict[str, int] = {}
    if given.get("num_cpus") is not None:
        units[CPU] = parse_amount("num_cpus", given["num_cpus"])
    if given.get("num_gpus") is not None:
        units[GPU] = parse_gpu_amount("num_gpus", given["num_gpus"])
    if given.get("memory") is not None:
        units[MEMORY] = parse_amount("memory", given["memory"])
    if given.get("resources") is not None:
        for name, value in mapping("resources", given["resources"]).items():
            text("resources", name, may_be_empty=False)
            if name in _KEYWORD_OF:
                raise InvalidOptionError(
                    "resources", given["resources"], f"give {_KEYWORD_OF[name]}= instead of {name!r}"
                )
            units[name] = parse_amount(f"resources[{name!r}]", value)
    if given.get("accelerator_type") is not None:
        accelerator = text("accelerator_type", given["accelerator_type"], may_be_empty=False)
        units[accelerator_resource(accelerator)] = ACCELERATOR_UNITS
    return units


def check_labels(given: Mapping[str, Any]) -> tuple[dict[str, str], tuple[dict[str, str], ...]]:
    """Returns the label selector, and those to fall back on."""
    selector = given.get("label_selector") or {}
    parse_label_selector(selector)
    fallbacks = given.get("fallback_strategy") or []
    fix = "give a list of dicts, as in [{'label_selector': {'zone': 'a'}}]"
    if not isinstance(fallbacks, Sequence) or isinstance(fallbacks, str):
        raise InvalidOptionTypeError("fallback_strategy", fallbacks, fix)
    selectors = []
    for fallback in fallbacks:
        if not isinstance(fallback, Mapping) or set(fallback) != {"label_selector"}:
            raise InvalidOptionError("fallback_strategy", fallbacks, fix)
        parse_label_selector(fallback["label_selector"], "fallback_strategy")
        selectors.append(dict(fallback["label_selector"]))
    return dict(selector), tuple(selectors)


def check_records(given: Mapping[str, Any]) -> None:
    """Checks options that only say what is recorded of a task."""
    if given.get("enable_task_events") is not None:
        flag("enable_task_events", given["enable_task_events"])
    if given.get("_labels") is not None:
        texts("_labels", given["_labels"])
    if given.get("_metadata") is not None:
        mapping("_metadata", given["_metadata"])


def result_count(value: object, is_generator: bool) -> int:
    """Returns how many results calls have: `num_returns` as a number >= 0, STREAMING or DYNAMIC."""
    if value is None:
        return STREAMING if is_generator else 1
    if value in ("streaming", "dynamic"):
        return STREAMING if value == "streaming" else DYNAMIC
    if isinstance(value, str):
        raise InvalidOptionError("num_returns", value, "give a whole number >= 0, 'streaming' or 'dynamic'")
    return integer("num_returns", value, low=0)


def retried_exceptions(value: object) -> bool | tuple[type[BaseException], ...]:
    """Returns which exceptions of the user's code are retried: all, none, or those of these classes."""
    if value is None or isinstance(value, bool):
        return bool(value)
    fix = "give True, False, or a list of exception classes"
    if not isinstance(value, (list, tuple)):
        raise InvalidOptionTypeError("retry_exceptions", value, fix)
    for item in value:
        if not isinstance(item, type) or not issubclass(item, BaseException):
            raise InvalidOptionError("retry_exceptions", value, fix)
    return tuple(value)


def retries(argument: str, value: object) -> int:
    """Returns a number of further attempts; -1 for as many as it takes."""
    return integer(argument, value, low=-1, meaning="-1 = without end")


def backpressure(argument: str, value: object) -> int:
    """Returns how many items of a generator may be unconsumed; -1 for any number."""
    if value is None:
        return -1
    limit = integer(argument, value, low=-1, meaning="-1 = no limit")
    if limit == 0:
        raise InvalidOptionError(
            argument, value, "with 0 nothing would ever be produced; give a number > 0, or -1 for no limit"
        )
    return limit
