"""Numbers are logged where they arise, reduced, sent on, and merged where results are made."""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

from shoal.rllib.utils.error import close_matches
from shoal.rllib.utils.metrics.stats import REDUCTIONS, LifetimeSum, Stats, Sum

Key = str | tuple[str, ...]

_OF_NUMBERS = frozenset(kind for name, kind in REDUCTIONS.items() if name not in ("item", "item_series"))


class MetricsLogger:
    """Collects values under (nested) keys, each with a way to reduce them.

    Every runner and learner has one. `reduce()` hands on what was logged since the last time; `aggregate()` takes in what several of them
    handed on; `compile()` gives a result of plain numbers.

    Args:
        root: results are made here. Accepted for Ray's sake: every logger can do all.
        stats_cls_lookup: further ways to reduce, by name: subclasses of `shoal.rllib.utils.metrics.stats.Stats`.
        clock: what gives seconds.

    Example:
        >>> from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger
        >>> metrics = MetricsLogger()
        >>> for loss in (3.0, 2.0, 1.0):
        ...     metrics.log_value(("learner", "loss"), loss, window=2)
        ...     metrics.log_value("steps", 10, reduce="lifetime_sum")
        >>> metrics.compile()
        {'learner': {'loss': 1.5}, 'steps': 30}
    """

    def __init__(
        self,
        root: bool = False,
        stats_cls_lookup: Mapping[str, type[Stats]] | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._stats: dict[tuple[str, ...], Stats] = {}
        self._reductions = {**REDUCTIONS, **(stats_cls_lookup or {})}
        self._clock = clock
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=RLock())

    def __contains__(self, key: Key) -> bool:
        """Whether something was logged under this key, or under keys that begin with it."""
        path = _path(key)
        return path in self._stats or any(known[: len(path)] == path for known in self._stats)

    def log_value(
        self,
        key: Key,
        value: Any,
        *,
        reduce: str | None = None,
        window: int | float | None = None,
        ema_coeff: float | None = None,
        percentiles: Sequence[float] | bool | None = None,
        clear_on_reduce: bool | None = None,
        with_throughput: bool | None = None,
    ) -> None:
        """Logs one value. The first call for a key decides how its values are reduced.

        Args:
            key: its name, or the names from the outermost to its own.
            value: a number (a tensor of one is read when results are made), or anything for 'item' and 'item_series'.
            reduce: 'mean' (of those since the last reduction, or of the last `window`), 'ema' (an exponential moving average), 'min',
                'max', 'sum' (since the last reduction), 'lifetime_sum', 'percentiles', 'item' (the latest), 'item_series' (all of
                them); None for 'mean' with a window, and 'ema' without.
            window: how many of the latest values are reduced; None for all since the last reduction.
            ema_coeff: the weight of a new value in the average (0 to 1); None for 0.01.
            percentiles: which (0 to 100); None or True for 0, 50, 75, 90, 95, 99 and 100.
            clear_on_reduce: an older spelling: a 'sum' that is never cleared is a 'lifetime_sum', and a mean that is, one without a window.
            with_throughput: results also have KEY_throughput, how much was added each second; only for sums.

        Raises:
            ValueError: an argument cannot be, or the key has parts of its own already.
            TypeError: the first value of a key is no number, and is to be reduced to one.
        """
        path = key if type(key) is tuple else _path(key)
        with self._lock:
            stats = self._stats.get(path)
            if stats is None:
                made = self._make(path, reduce, window, ema_coeff, percentiles, clear_on_reduce, with_throughput)
                if type(made) in _OF_NUMBERS and not _is_number(value):
                    raise TypeError(
                        f"{'/'.join(path)} is {value!r}, which is no number; log numbers, or keep what it is with "
                        'reduce="item" (the latest) or reduce="item_series" (all)'
                    )
                stats = self._stats[path] = made
            stats.push(value)

    def log_dict(self, value_dict: Mapping[Any, Any], *, key: Key | None = None, **arguments: Any) -> None:
        """Logs all values of a nested dictionary under their keys, after `key` where given. Arguments as in `log_value`."""
        prefix = () if key is None else _path(key)
        for name, value in value_dict.items():
            path = (*prefix, *_path(name))
            if isinstance(value, Mapping):
                self.log_dict(value, key=path, **arguments)
            else:
                self.log_value(path, value, **arguments)

    @contextmanager
    def log_time(self, key: Key, *, reduce: str = "ema", **arguments: Any) -> Iterator[None]:
        """Logs the seconds that the block of a `with` statement takes. Arguments as in `log_value`.

        Example:
            >>> metrics = MetricsLogger()
            >>> with metrics.log_time("a_sum"):
            ...     _ = sum(range(10))
            >>> 0 < metrics.peek("a_sum") < 1
            True
        """
        start = self._clock()
        try:
            yield
        finally:
            self.log_value(key, self._clock() - start, reduce=reduce, **arguments)

    def peek(self, key: Key | None = None, default: Any = None, compile: bool = True, throughput: bool = False) -> Any:
        """What reducing would give now; nothing is cleared.

        Args:
            key: of one value, or of a part of all; None for everything.
            default: what is given where there is no such key.
            compile: False for a list of the values that count, in place of one.
            throughput: how much was added each second since the last reduction, in place of the value.

        Raises:
            KeyError: there is no such key, and no default.
        """
        path = () if key is None else _path(key)
        with self._lock:
            stats = self._stats.get(path)
            if stats is not None:
                return self._throughput(path, stats) if throughput else stats.peek(compile)
            within = {known[len(path) :]: each for known, each in self._stats.items() if known[: len(path)] == path}
            if path and not within:
                if default is not None:
                    return default
                raise KeyError(f"nothing was logged under {key!r}.{self._close(path)}")
            if throughput:
                rates = {
                    (*name[:-1], f"{name[-1]}_throughput"): self._throughput((*path, *name), each)
                    for name, each in within.items()
                    if isinstance(each, Sum) and each.since is not None
                }
                return _nested(rates) if rates or default is None else default
            return _nested({name: each.peek(compile) for name, each in within.items()})

    def reduce(self, compile: bool = False) -> dict[str, Any]:
        """What was logged since the last call, as a nested dictionary; what does not outlive a reduction is cleared.

        Args:
            compile: True for plain numbers; False for what the `aggregate` of another logger takes in, here or in another process.
        """
        if compile:
            return self.compile()
        with self._lock:
            now = self._clock()
            parcels = {}
            for path, stats in self._stats.items():
                parcels[path] = stats.hand_on()
                if isinstance(stats, Sum) and stats.since is not None:
                    stats.since = now
            return _nested(parcels)

    def compile(self) -> dict[str, Any]:
        """A result of plain numbers, with throughputs; what does not outlive a reduction is cleared."""
        with self._lock:
            now = self._clock()
            result: dict[tuple[str, ...], Any] = {}
            for path, stats in self._stats.items():
                result[path] = self._value(path, stats)
                if isinstance(stats, Sum) and stats.since is not None:
                    result[*path[:-1], f"{path[-1]}_throughput"] = stats.throughput(now)
                    stats.since = now
                stats.hand_on()
            return _nested(result)

    def aggregate(self, stats_dicts: Sequence[Mapping[str, Any]], *, key: Key | None = None) -> None:
        """Merges in what loggers that ran at the same time handed on by `reduce()`.

        Values count alike whichever logger they come from; windows keep the latest of all. The result does not depend on which of them
        answered first, but on their order in the list.

        Args:
            stats_dicts: one for each logger.
            key: what comes before all keys.
        """
        prefix = () if key is None else _path(key)
        incoming: dict[tuple[str, ...], list[Stats]] = {}
        for stats_dict in stats_dicts:
            for path, stats in _flat(stats_dict, prefix):
                if not isinstance(stats, Stats):
                    raise TypeError(
                        f"{'/'.join(path)} is {stats!r}; aggregate() takes what reduce() of another logger gave. Plain numbers go in "
                        "by log_dict()"
                    )
                incoming.setdefault(path, []).append(stats)
        with self._lock:
            for path, parcels in incoming.items():
                stats = self._stats.get(path)
                if stats is None:
                    self._check_place(path)
                    stats = self._stats[path] = parcels[0].empty()
                    if isinstance(stats, Sum) and stats.with_throughput:
                        stats.since = self._clock()
                stats.merge(parcels)

    merge_and_log_n_dicts = aggregate  # Ray's older name

    def delete(self, *key: str, key_error: bool = True) -> None:
        """Forgets a key, or all that begin with it.

        Raises:
            KeyError: there is no such key, and `key_error` is true.
        """
        with self._lock:
            found = [path for path in self._stats if path[: len(key)] == key]
            if not found and key_error:
                raise KeyError(f"nothing was logged under {key!r}.{self._close(key)}")
            for path in found:
                del self._stats[path]

    def start_over(self) -> None:
        """Forgets everything but sums over the lifetime."""
        with self._lock:
            self._stats = {path: stats for path, stats in self._stats.items() if isinstance(stats, LifetimeSum)}

    def reset(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._stats.clear()

    def get_state(self) -> dict[str, Any]:
        """All that was logged and is not cleared yet, of plain types."""
        with self._lock:
            return {"stats": {"--".join(path): stats.get_state() for path, stats in self._stats.items()}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `get_state` gave, in place of what was logged here. Throughputs count from now."""
        with self._lock:
            self._stats = {}
            for name, its in state["stats"].items():
                stats = self._reduction(its["reduce"])(**its["settings"])
                stats.set_state(its)
                if isinstance(stats, Sum) and stats.with_throughput:
                    stats.since = self._clock()
                self._stats[tuple(name.split("--"))] = stats

    def _make(
        self,
        path: tuple[str, ...],
        reduce: str | None,
        window: int | float | None,
        ema_coeff: float | None,
        percentiles: Sequence[float] | bool | None,
        clear_on_reduce: bool | None,
        with_throughput: bool | None,
    ) -> Stats:
        if window is not None and window == float("inf"):
            window, clear_on_reduce = None, bool(clear_on_reduce)
        if reduce is None:
            reduce = "mean" if window is not None or clear_on_reduce else "ema"
        if reduce == "sum" and clear_on_reduce is False:
            reduce = "lifetime_sum"
        kind = self._reduction(reduce)
        self._check_place(path)
        settings: dict[str, Any] = {}
        if window is not None:
            if isinstance(window, bool) or window != int(window) or window < 1:
                raise ValueError(f"window of {'/'.join(path)} is {window!r}; give a number of values >= 1, or None")
            settings["window"] = int(window)
        if ema_coeff is not None:
            settings["ema_coeff"] = ema_coeff
        if percentiles is not None and not isinstance(percentiles, bool):
            settings["percentiles"] = tuple(percentiles)
        if with_throughput:
            settings["with_throughput"] = True
        if unknown := sorted(set(settings) - set(kind.SETTINGS)):
            raise ValueError(f"{'/'.join(path)}: {unknown[0]} says nothing with reduce={reduce!r}; leave it out")
        stats = kind(**settings)
        if isinstance(stats, Sum) and stats.with_throughput:
            stats.since = self._clock()
        return stats

    def _check_place(self, path: tuple[str, ...]) -> None:
        if not path or not all(isinstance(part, str) for part in path):
            raise TypeError(f"key is {path!r}; give a text, or a tuple of texts")
        for known in self._stats:
            shorter = min(len(known), len(path))
            if known[:shorter] == path[:shorter]:
                raise ValueError(
                    f"values are logged under {known!r} already, so that nothing can be logged under {path!r}: one has to hold the other"
                )

    def _reduction(self, reduce: str) -> type[Stats]:
        if reduce not in self._reductions:
            raise ValueError(
                f"reduce is {reduce!r}; give one of {', '.join(self._reductions)}.{close_matches(reduce, self._reductions)}"
            )
        return self._reductions[reduce]

    def _value(self, path: tuple[str, ...], stats: Stats) -> Any:
        try:
            return stats.peek()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"the values under {'/'.join(path)} cannot be reduced: {error}") from error

    def _throughput(self, path: tuple[str, ...], stats: Stats) -> float:
        if not isinstance(stats, Sum) or stats.since is None:
            raise ValueError(f"{'/'.join(path)} is logged without throughput; log it with_throughput=True")
        return stats.throughput(self._clock())

    def _close(self, path: tuple[str, ...]) -> str:
        return close_matches("/".join(path), ["/".join(known) for known in self._stats])


def _path(key: Any) -> tuple[str, ...]:
    return tuple(key) if isinstance(key, tuple | list) else (key,)


def _nested(flat: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        within = nested
        for part in path[:-1]:
            within = within.setdefault(part, {})
        within[path[-1]] = value
    return nested


def _flat(nested: Mapping[str, Any], prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in nested.items():
        if type(value) is dict or (not isinstance(value, Stats) and isinstance(value, Mapping)):
            yield from _flat(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def _is_number(value: Any) -> bool:
    if hasattr(value, "detach"):
        return bool(math.prod(value.shape) == 1)
    return isinstance(value, numbers.Number) or bool(getattr(value, "shape", None) == ())
