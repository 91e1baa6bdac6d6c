"""Checks what users pass to transforms, and makes frozen values of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shoal.data._internal.plan.compute import Compute
from shoal.data._internal.plan.operators import UserFunction
from shoal.data.context import DataContext
from shoal.data.exceptions import InvalidArgumentError

BATCH_FORMATS = ("default", "numpy", "pandas", "pyarrow", None)
ACTOR_RETRIES = 3
"""Of a call, where `actor_task_retry_on_errors` is set and `max_map_retries` is not."""
_OPTIONS = (
    "accelerator_type",
    "fallback_strategy",
    "label_selector",
    "max_calls",
    "max_retries",
    "memory",
    "num_cpus",
    "num_gpus",
    "resources",
    "retry_exceptions",
    "runtime_env",
    "scheduling_strategy",
)


@dataclass(frozen=True)
class ActorPoolStrategy:
    """A pool of actors for a transform: of fixed size, or growing from `min_size` to `max_size` as there is work.

    Args:
        size: actors, where the pool shall not grow.
        min_size: actors that are started at once.
        max_size: most actors; None for as many as there is room for.
        initial_size: accepted for Ray's sake; the pool starts with `min_size`.
        max_tasks_in_flight_per_actor: batches sent ahead to one actor; None to choose.
        max_concurrent_calls_per_actor: batches that one actor works on at a time (threads).
        enable_true_multi_threading: whether such calls may run at the same time (they may).

    Raises:
        InvalidArgumentError: (a ValueError) sizes below 1, or a minimum above the maximum.
    """

    size: int | None = None
    min_size: int | None = None
    max_size: int | None = None
    initial_size: int | None = None
    max_tasks_in_flight_per_actor: int | None = None
    max_concurrent_calls_per_actor: int | None = None
    enable_true_multi_threading: bool | None = None

    def __post_init__(self) -> None:
        for name in ("size", "min_size", "max_size", "max_tasks_in_flight_per_actor", "max_concurrent_calls_per_actor"):
            value = getattr(self, name)
            if value is not None:
                positive(name, value)
        if self.size is not None and (self.min_size is not None or self.max_size is not None):
            raise InvalidArgumentError("ActorPoolStrategy: give size, or min_size and max_size, not both")
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise InvalidArgumentError(
                f"ActorPoolStrategy: min_size={self.min_size} is more than max_size={self.max_size}"
            )


@dataclass(frozen=True)
class TaskPoolStrategy:
    """Tasks for a transform.

    Args:
        size: most tasks at a time; None for as many as there is room for.
    """

    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            positive("size", self.size)


def positive(name: str, value: Any) -> int:
    """Returns a whole number >= 1. Raises InvalidArgumentError naming the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(f"{name} is {value!r}; give a whole number >= 1")
    return value


def not_negative(name: str, value: Any) -> int:
    """Returns a whole number >= 0. Raises InvalidArgumentError naming the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgumentError(f"{name} is {value!r}; give a whole number >= 0")
    return value


def batch_format(value: Any) -> str | None:
    """Returns a batch format. Raises InvalidArgumentError."""
    if value not in BATCH_FORMATS:
        raise InvalidArgumentError(
            f"batch_format is {value!r}; give 'numpy' (or 'default'), 'pandas', 'pyarrow', or None for the block as it is"
        )
    return None if value is None else str(value)


def names(argument: str, value: Any) -> tuple[str, ...]:
    """Returns column names given as one or as several. Raises InvalidArgumentError."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, Iterable):
        raise InvalidArgumentError(f"{argument} is {value!r}; give a column name, or a list of them")
    columns = tuple(given)
    for column in columns:
        if not isinstance(column, str):
            raise InvalidArgumentError(f"{argument} has {column!r} ({type(column).__name__}); column names are strings")
    twice = [column for column in dict.fromkeys(columns) if columns.count(column) > 1]
    if twice:
        raise InvalidArgumentError(f"{argument} names {twice[0]!r} twice")
    return columns


def user_function(
    fn: Any,
    fn_args: Iterable[Any] | None,
    fn_kwargs: Mapping[str, Any] | None,
    constructor_args: Iterable[Any] | None,
    constructor_kwargs: Mapping[str, Any] | None,
    context: DataContext,
) -> UserFunction:
    """Returns the user's function with its arguments. Raises InvalidArgumentError."""
    if not callable(fn):
        raise InvalidArgumentError(f"fn is {fn!r}; give a function, or a class whose objects can be called")
    if isinstance(fn, type):
        if "__call__" not in dir(fn):
            raise InvalidArgumentError(
                f"fn is the class {fn.__name__}, whose objects cannot be called: define __call__"
            )
    elif constructor_args or constructor_kwargs:
        raise InvalidArgumentError("fn_constructor_args and fn_constructor_kwargs are for classes; fn is a function")
    errors, times = _retries(isinstance(fn, type), context)
    return UserFunction(
        fn,
        tuple(fn_args or ()),
        dict(fn_kwargs or {}),
        tuple(constructor_args or ()),
        dict(constructor_kwargs or {}),
        context.save_failed_batches_to,
        errors,
        times,
    )


def _retries(is_class: bool, context: DataContext) -> tuple[bool | tuple[str | type[BaseException], ...], int]:
    """Returns after which errors a function is called again, and how often."""
    context.checked()
    on_actors = context.actor_task_retry_on_errors
    if is_class and on_actors:
        return on_actors if isinstance(on_actors, bool) else tuple(on_actors), context.max_map_retries or ACTOR_RETRIES
    errors = context.retried_map_errors
    return errors if isinstance(errors, bool) else tuple(errors), context.max_map_retries


def compute_of(
    is_class: bool,
    compute: Any,
    concurrency: Any,
    options: Mapping[str, Any],
) -> Compute:
    """Returns how a transform is run. Raises InvalidArgumentError for what it does not know or cannot be.

    Args:
        is_class: the function is a class: it runs on actors.
        compute: ActorPoolStrategy, TaskPoolStrategy, 'tasks', 'actors' or None.
        concurrency: most tasks or size of the pool; (least, most) of a pool.
        options: resources and other options of tasks.
    """
    given = {name: value for name, value in options.items() if value is not None}
    options_fn = given.pop("ray_remote_args_fn", None)
    if options_fn is not None and not callable(options_fn):
        raise InvalidArgumentError(
            f"ray_remote_args_fn is {options_fn!r}; give a function that returns a dict of options"
        )
    for name in given:
        if name not in _OPTIONS:
            close = difflib.get_close_matches(name, _OPTIONS, n=2)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InvalidArgumentError(f"there is no option {name!r}{hint}")
    for name in ("num_cpus", "num_gpus", "memory"):
        value = given.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
            raise InvalidArgumentError(f"{name} is {value!r}; give a number >= 0")
    frozen = tuple(sorted(given.items()))
    if isinstance(compute, str):
        if compute not in ("tasks", "actors"):
            raise InvalidArgumentError(f"compute is {compute!r}; give ActorPoolStrategy(…) or TaskPoolStrategy(…)")
        compute = ActorPoolStrategy() if compute == "actors" else TaskPoolStrategy()
    if compute is not None and concurrency is not None:
        raise InvalidArgumentError("give compute or concurrency, not both")
    if compute is None:
        compute = _strategy(is_class, concurrency)
    if isinstance(compute, TaskPoolStrategy):
        if is_class:
            raise InvalidArgumentError("fn is a class, which runs on actors: give compute=ActorPoolStrategy(…)")
        return Compute(max_size=compute.size, options=frozen, options_fn=options_fn)
    if not isinstance(compute, ActorPoolStrategy):
        raise InvalidArgumentError(f"compute is {compute!r}; give ActorPoolStrategy(…) or TaskPoolStrategy(…)")
    least = compute.size or compute.min_size or 1
    return Compute(
        actors=True,
        min_size=least,
        max_size=compute.size or compute.max_size,
        options=frozen,
        tasks_in_flight=compute.max_tasks_in_flight_per_actor,
        concurrent_calls=compute.max_concurrent_calls_per_actor or 1,
        options_fn=options_fn,
    )


def _strategy(is_class: bool, concurrency: Any) -> ActorPoolStrategy | TaskPoolStrategy:
    if concurrency is None:
        return ActorPoolStrategy() if is_class else TaskPoolStrategy()
    if isinstance(concurrency, Sequence) and not isinstance(concurrency, str):
        if not is_class:
            raise InvalidArgumentError(f"concurrency is {concurrency!r}; for a function give one number")
        if len(concurrency) not in (2, 3):
            raise InvalidArgumentError(f"concurrency is {concurrency!r}; give a number, or (least, most)")
        return ActorPoolStrategy(min_size=concurrency[0], max_size=concurrency[1])
    positive("concurrency", concurrency)
    return ActorPoolStrategy(size=concurrency) if is_class else TaskPoolStrategy(concurrency)


Function = Callable[..., Any]
