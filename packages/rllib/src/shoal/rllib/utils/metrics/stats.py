"""The values under one key of a metrics logger, and how they are reduced."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar, Self


class Stats:
    """Values that were logged under one key.

    What `hand_on` gives is of the same class and holds what was logged since it was last called. It can be pickled, and `merge` of another
    takes it in.
    """

    NAME: ClassVar[str]
    SETTINGS: ClassVar[tuple[str, ...]] = ()
    """Arguments of the constructor."""

    def push(self, value: Any) -> None:
        """Takes in one value."""
        raise NotImplementedError(f"{type(self).__name__} has no push()")

    def peek(self, compile: bool = True) -> Any:
        """The reduced value; without `compile` a list of what counts."""
        raise NotImplementedError(f"{type(self).__name__} has no peek()")

    def hand_on(self) -> Self:
        """What was logged since the last time, and clears what does not outlive a reduction."""
        raise NotImplementedError(f"{type(self).__name__} has no hand_on()")

    def merge(self, parcels: Sequence[Self]) -> None:
        """Takes in what several that ran at the same time handed on."""
        raise NotImplementedError(f"{type(self).__name__} has no merge()")

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in self.SETTINGS}

    def empty(self) -> Self:
        """One with the same settings and no values."""
        return type(self)(**self.settings())

    def get_state(self) -> dict[str, Any]:
        """All values, of plain types."""
        return {"reduce": self.NAME, "settings": self.settings(), **self._values_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up what `get_state` of one with the same settings gave."""
        for name in self._values_state():
            setattr(self, f"_{name}", state[name])

    def _values_state(self) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _values_state()")


class _Series(Stats):
    """Keeps values: the last `window`, or all since they were last handed on."""

    SETTINGS: ClassVar[tuple[str, ...]] = ("window",)

    def __init__(self, window: int | None = None) -> None:
        self.window = window
        self._values: deque[Any] = deque(maxlen=window)
        self._new = 0

    def push(self, value: Any) -> None:
        self._values.append(value.detach() if hasattr(value, "detach") else value)
        self._new += 1

    def hand_on(self) -> Self:
        parcel = self.empty()
        new = min(self._new, len(self._values))
        if new:
            latest = self._values if new == len(self._values) else list(self._values)[-new:]
            parcel._values.extend([_plain(value) for value in latest])
            parcel._new = new
        self._new = 0
        if self.window is None:
            self._values.clear()
        return parcel

    def merge(self, parcels: Sequence[Self]) -> None:
        if len(parcels) == 1:
            self._values.extend(parcels[0]._values)
            self._new += len(parcels[0]._values)
            return
        # In turns from each, from the oldest on, so that a window never holds one logger's values only.
        series = [list(parcel._values) for parcel in parcels]
        longest = max(len(values) for values in series)
        for age in range(longest, 0, -1):
            for values in series:
                if len(values) >= age:
                    self._values.append(values[-age])
                    self._new += 1

    def numbers(self) -> list[Any]:
        return [_plain(value) for value in self._values]

    def peek(self, compile: bool = True) -> Any:
        numbers = self.numbers()
        return self._reduced(numbers) if compile else numbers

    def _reduced(self, numbers: list[Any]) -> Any:
        raise NotImplementedError

    def _values_state(self) -> dict[str, Any]:
        return {"values": self.numbers(), "new": self._new}

    def set_state(self, state: dict[str, Any]) -> None:
        self._values = deque(state["values"], maxlen=self.window)
        self._new = state["new"]


class Mean(_Series):
    """The mean; NaN where there is no value."""

    NAME = "mean"

    def _reduced(self, numbers: list[Any]) -> float:
        return math.fsum(numbers) / len(numbers) if numbers else math.nan


class Min(_Series):
    """The smallest; NaN where there is no value."""

    NAME = "min"

    def _reduced(self, numbers: list[Any]) -> Any:
        return min(numbers) if numbers else math.nan


class Max(_Series):
    """The largest; NaN where there is no value."""

    NAME = "max"

    def _reduced(self, numbers: list[Any]) -> Any:
        return max(numbers) if numbers else math.nan


class Percentiles(_Series):
    """Percentiles, by rank from 0 to 100; None each where there is no value."""

    NAME = "percentiles"
    SETTINGS = ("window", "percentiles")

    def __init__(self, window: int | None = None, percentiles: Sequence[float] = (0, 50, 75, 90, 95, 99, 100)) -> None:
        super().__init__(window)
        if wrong := [rank for rank in percentiles if not 0 <= rank <= 100]:
            raise ValueError(f"percentiles has {wrong[0]!r}; give ranks from 0 to 100")
        self.percentiles = tuple(percentiles)

    def _reduced(self, numbers: list[Any]) -> dict[float, float | None]:
        if not numbers:
            return dict.fromkeys(self.percentiles)
        import numpy as np

        return {
            rank: float(value)
            for rank, value in zip(self.percentiles, np.percentile(numbers, self.percentiles), strict=True)
        }


class ItemSeries(_Series):
    """All values, as a list."""

    NAME = "item_series"

    def _reduced(self, numbers: list[Any]) -> list[Any]:
        return numbers


class Item(Stats):
    """The latest value; None where there is none."""

    NAME = "item"

    def __init__(self) -> None:
        self._value: Any = None

    def push(self, value: Any) -> None:
        self._value = value.detach() if hasattr(value, "detach") else value

    def peek(self, compile: bool = True) -> Any:
        return _plain(self._value) if compile else [_plain(self._value)]

    def hand_on(self) -> Self:
        parcel = self.empty()
        parcel._value = _plain(self._value)
        return parcel

    def merge(self, parcels: Sequence[Self]) -> None:
        self._value = parcels[-1]._value

    def _values_state(self) -> dict[str, Any]:
        return {"value": _plain(self._value)}


class Ema(Stats):
    """The exponential moving average, which outlives reductions; NaN where there is no value. Several are merged into their mean."""

    NAME = "ema"
    SETTINGS = ("ema_coeff",)
    _LONGEST_WAIT = 1000  # values that wait to be averaged, so that a tensor is not read at once

    def __init__(self, ema_coeff: float = 0.01) -> None:
        if not 0 < ema_coeff <= 1:
            raise ValueError(f"ema_coeff is {ema_coeff!r}; give a weight above 0, and at most 1")
        self.ema_coeff = ema_coeff
        self._average = math.nan
        self._waiting: list[Any] = []

    def push(self, value: Any) -> None:
        self._waiting.append(value.detach() if hasattr(value, "detach") else value)
        if len(self._waiting) >= self._LONGEST_WAIT:
            self._take_up()

    def peek(self, compile: bool = True) -> Any:
        self._take_up()
        return self._average if compile else [self._average]

    def hand_on(self) -> Self:
        self._take_up()
        parcel = self.empty()
        parcel._average = self._average
        return parcel

    def merge(self, parcels: Sequence[Self]) -> None:
        averages = [parcel._average for parcel in parcels if not math.isnan(parcel._average)]
        if averages:
            self._average = math.fsum(averages) / len(averages)
            self._waiting.clear()

    def _take_up(self) -> None:
        average, weight = self._average, self.ema_coeff
        for value in self._waiting:
            number = float(value)
            average = number if math.isnan(average) else average + weight * (number - average)
        self._average = average
        self._waiting.clear()

    def _values_state(self) -> dict[str, Any]:
        self._take_up()
        return {"average": self._average}


class Sum(Stats):
    """The sum of what was logged since the last reduction."""

    NAME = "sum"
    SETTINGS = ("with_throughput",)

    def __init__(self, with_throughput: bool = False) -> None:
        self.with_throughput = with_throughput
        self.since: float | None = None  # when counting began; None without throughput
        self._new: Any = 0

    def push(self, value: Any) -> None:
        self._new += _plain(value)

    def peek(self, compile: bool = True) -> Any:
        return self._new if compile else [self._new]

    def throughput(self, now: float) -> float:
        """How much was added each second."""
        passed = now - (now if self.since is None else self.since)
        return float(self._new) / passed if passed > 0 else math.nan

    def hand_on(self) -> Self:
        parcel = self.empty()
        parcel._new = self._new
        self._new = 0
        return parcel

    def merge(self, parcels: Sequence[Self]) -> None:
        for parcel in parcels:
            self.push(parcel._new)

    def _values_state(self) -> dict[str, Any]:
        return {"new": self._new}


class LifetimeSum(Sum):
    """The sum of all that was ever logged. What is handed on is only what is new."""

    NAME = "lifetime_sum"

    def __init__(self, with_throughput: bool = False) -> None:
        super().__init__(with_throughput)
        self._total: Any = 0

    def push(self, value: Any) -> None:
        value = _plain(value)
        self._new += value
        self._total += value

    def peek(self, compile: bool = True) -> Any:
        return self._total if compile else [self._total]

    def _values_state(self) -> dict[str, Any]:
        return {"new": self._new, "total": self._total}


REDUCTIONS: dict[str, type[Stats]] = {
    kind.NAME: kind for kind in (Mean, Ema, Min, Max, Sum, LifetimeSum, Percentiles, Item, ItemSeries)
}
"""The ways to reduce, by name."""


def _plain(value: Any) -> Any:
    """A number for what holds one number; anything else as it is."""
    kind = type(value)
    if kind is float or kind is int:
        return value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    if hasattr(value, "detach"):  # a tensor of several numbers, for 'item'
        return value.detach().cpu().numpy()
    return value
