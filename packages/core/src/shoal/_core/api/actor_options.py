"""Reading the options of actor classes and of their methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal._core.api.checks import flag, integer, mapping, refuse_unknown, text
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
from shoal._core.api.job_config import LIFETIMES
from shoal._core.api.option_tables import ACTOR_OPTIONS, METHOD_OPTIONS
from shoal._core.api.strategy_option import StrategyOption, parse_strategy
from shoal._core.schema.options import STREAMING, ActorOptions, MethodOptions
from shoal._core.schema.resources import CPU, OBJECT_STORE_MEMORY, UNIT, ResourceSet, parse_amount
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError

_HELD_IF_GIVEN = ("num_cpus", "num_gpus", "resources")
"""With one of these, an actor holds what it asks for, and 1 CPU if it does not say how many."""


def parse_actor_options(given: Mapping[str, Any]) -> tuple[ActorOptions, StrategyOption]:
    """Returns the options of an actor class, and the strategy that goes into them when an actor is made.

    Raises InvalidOptionError (ValueError), InvalidOptionTypeError (TypeError), UnsupportedError.
    """
    for name in given:
        if name not in ACTOR_OPTIONS:
            refuse_unknown("actors", name, given[name], ACTOR_OPTIONS)
    if given.get("enable_tensor_transport"):
        raise UnsupportedError("enable_tensor_transport", "Arrays and tensors travel through shared memory without it.")
    backpressure("_actor_generator_backpressure_num_objects", given.get("_actor_generator_backpressure_num_objects"))
    held, placement = _actor_resources(given)
    strategy = parse_strategy(given)
    selector, fallbacks = check_labels(given)
    check_records(given)
    name = text("name", given["name"], may_be_empty=False) if given.get("name") is not None else ""
    get_if_exists = flag("get_if_exists", given.get("get_if_exists", False))
    if get_if_exists and not name:
        raise InvalidOptionError("get_if_exists", True, "only actors with a name can be found: give name= too")
    options = ActorOptions(
        resources=held,
        placement_resources=placement,
        name=name,
        namespace=text("namespace", given["namespace"], may_be_empty=False)
        if given.get("namespace") is not None
        else None,
        get_if_exists=get_if_exists,
        detached=_lifetime(given.get("lifetime")) == "detached",
        max_restarts=retries("max_restarts", given.get("max_restarts") or 0),
        max_task_retries=retries("max_task_retries", given.get("max_task_retries") or 0),
        max_concurrency=(
            integer("max_concurrency", given["max_concurrency"], low=1)
            if given.get("max_concurrency") is not None
            else None
        ),
        concurrency_groups=_concurrency_groups(given.get("concurrency_groups")),
        max_pending_calls=_max_pending_calls(given.get("max_pending_calls")),
        allow_out_of_order_execution=(
            flag("allow_out_of_order_execution", given["allow_out_of_order_execution"])
            if given.get("allow_out_of_order_execution") is not None
            else None
        ),
        environment=parse_environment(given.get("runtime_env")),
        strategy=strategy.fixed,
        label_selector=selector,
        fallback_strategy=fallbacks,
    )
    return options, strategy


def _actor_resources(given: Mapping[str, Any]) -> tuple[ResourceSet, ResourceSet]:
    """Returns what an actor holds all its life, and what must be free to place it."""
    units = resource_units(given)
    if given.get("object_store_memory") is not None:
        units[OBJECT_STORE_MEMORY] = parse_amount("object_store_memory", given["object_store_memory"])
    if any(given.get(name) not in (None, {}) for name in _HELD_IF_GIVEN):
        units.setdefault(CPU, UNIT)
        held = ResourceSet.of_units(units)
        return held, held
    return ResourceSet.of_units(units), ResourceSet.of_units({**units, CPU: UNIT})


def _lifetime(value: object) -> str | None:
    if value is None:
        return None
    if text("lifetime", value) not in LIFETIMES:
        raise InvalidOptionError("lifetime", value, "give 'detached', 'non_detached' or None")
    return str(value)


def _max_pending_calls(value: object) -> int:
    if value is None:
        return -1
    return integer("max_pending_calls", value, low=-1, meaning="-1 = no limit") or -1


def _concurrency_groups(value: object) -> dict[str, int]:
    if value is None:
        return {}
    if isinstance(value, list):
        try:
            value = {group["name"]: group["max_concurrency"] for group in value}
        except (TypeError, KeyError):
            raise InvalidOptionTypeError("concurrency_groups", value, "give a dict, as in {'io': 2}") from None
    return {
        text("concurrency_groups", name, may_be_empty=False): integer(f"concurrency_groups[{name!r}]", limit, low=1)
        for name, limit in mapping("concurrency_groups", value).items()
    }


def check_ordering(options: ActorOptions, is_async: bool) -> None:
    """Raises InvalidOptionError where calls of an actor cannot keep the order that is asked for."""
    if options.allow_out_of_order_execution is False:
        concurrent = (options.max_concurrency or 1) > 1 or bool(options.concurrency_groups)
        if is_async or concurrent:
            raise InvalidOptionError(
                "allow_out_of_order_execution",
                False,
                "calls of async and threaded actors run at the same time; leave it out",
            )


def check_groups(options: ActorOptions, method_groups: Mapping[str, str]) -> None:
    """Raises InvalidOptionError where a method names a concurrency group that the actor does not have."""
    for method, group in method_groups.items():
        if group and group not in options.concurrency_groups:
            known = ", ".join(options.concurrency_groups) or "none"
            raise InvalidOptionError(
                "concurrency_group",
                group,
                f"method {method!r} names it, but the actor's concurrency_groups are: {known}",
            )


def parse_method_options(
    given: Mapping[str, Any], is_generator: bool, base: MethodOptions | None = None
) -> MethodOptions:
    """Returns the options of a method, or of its calls: what is given, over `base`.

    Raises InvalidOptionError (ValueError), InvalidOptionTypeError (TypeError), UnsupportedError.
    """
    for name in given:
        if name not in METHOD_OPTIONS:
            refuse_unknown("methods", name, given[name], METHOD_OPTIONS)
    if given.get("tensor_transport") not in (None, "object_store"):
        raise UnsupportedError("tensor_transport", "Arrays and tensors travel through shared memory without it.")
    check_records(given)
    if base is None:
        base = MethodOptions(num_returns=STREAMING if is_generator else 1)
    max_task_retries = given.get("max_task_retries")
    return MethodOptions(
        num_returns=(
            result_count(given["num_returns"], is_generator)
            if given.get("num_returns") is not None
            else base.num_returns
        ),
        concurrency_group=text("concurrency_group", given.get("concurrency_group") or base.concurrency_group),
        max_task_retries=(
            retries("max_task_retries", max_task_retries) if max_task_retries is not None else base.max_task_retries
        ),
        retry_exceptions=(
            retried_exceptions(given["retry_exceptions"])
            if given.get("retry_exceptions") is not None
            else base.retry_exceptions
        ),
        name=text("name", given.get("name") or base.name),
        generator_backpressure=(
            backpressure("_generator_backpressure_num_objects", given["_generator_backpressure_num_objects"])
            if given.get("_generator_backpressure_num_objects") is not None
            else base.generator_backpressure
        ),
    )
