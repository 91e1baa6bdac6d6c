"""A value that is fixed, or follows a schedule over time steps."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any

from shoal.rllib.utils.error import ConfigError


class Scheduler:
    """A value that is fixed, or goes in straight lines from one given point to the next, and stays at the last.

    Args:
        fixed_value_or_schedule: a number, or points [[time step, value], ...] with rising time steps, the first of which is 0.
        framework: 'torch': `get_current_value` of a schedule gives a tensor; None: a float.
        device: of that tensor.

    Raises:
        ConfigError: (a ValueError) the points cannot be.

    Example:
        >>> lr = Scheduler([[0, 0.1], [100, 0.0]], framework=None)
        >>> lr.update(25)
        0.075
        >>> lr.update(1000)
        0.0
    """

    def __init__(
        self, fixed_value_or_schedule: Any, *, framework: str | None = "torch", device: str | None = None
    ) -> None:
        self.framework = framework
        self.device = device
        self.use_schedule = isinstance(fixed_value_or_schedule, list | tuple)
        self._value: float | None
        if self.use_schedule:
            self.validate(fixed_value_or_schedule=fixed_value_or_schedule, setting_name="schedule", description="value")
            self._times = [float(point[0]) for point in fixed_value_or_schedule]
            self._values = [float(point[1]) for point in fixed_value_or_schedule]
            self._value = self._values[0]
        else:
            self._value = fixed_value_or_schedule
        self._current: Any = self._create_tensor_variable(self._value) if self._in_torch else self._value

    @property
    def _in_torch(self) -> bool:
        return self.use_schedule and self.framework == "torch"

    @staticmethod
    def validate(*, fixed_value_or_schedule: Any, setting_name: str, description: str = "value") -> None:
        """Checks a setting that may be a schedule.

        Args:
            fixed_value_or_schedule: a number, None, or points [[time step, value], ...].
            setting_name: what the user calls it, such as 'lr'.
            description: what it is, such as 'learning rate'.

        Raises:
            ConfigError: (a ValueError) it cannot be.
        """
        given = fixed_value_or_schedule
        if given is None or (isinstance(given, int | float) and not isinstance(given, bool)):
            return
        example = f"[[0, first {description}], [1000000, last {description}]]"
        if not isinstance(given, list | tuple) or len(given) < 2:
            raise ConfigError(f"{setting_name} is {given!r}; give a number, or two points or more such as {example}")
        for point in given:
            if not (isinstance(point, Sequence) and len(point) == 2 and all(_is_number(part) for part in point)):
                raise ConfigError(f"{setting_name} has the point {point!r}; give pairs of numbers such as {example}")
        times = [point[0] for point in given]
        if times[0] != 0:
            raise ConfigError(
                f"{setting_name} begins at time step {times[0]!r}; the first point stands at 0: {example}"
            )
        for before, after in itertools.pairwise(times):
            if after <= before:
                raise ConfigError(f"{setting_name} goes from time step {before!r} to {after!r}; time steps must rise")

    def get_current_value(self) -> Any:
        """The value at the time step of the last `update`: of a schedule in torch always the same tensor, whose content changes."""
        return self._current

    def update(self, timestep: int) -> Any:
        """Goes to a time step; returns the value there, as a float."""
        if self.use_schedule:
            self._value = self._at(timestep)
            if self._in_torch:
                self._current.fill_(self._value)
            else:
                self._current = self._value
        return self._value

    def _at(self, timestep: float) -> float:
        after = bisect.bisect_right(self._times, timestep)
        if after == 0:
            return self._values[0]
        if after == len(self._times):
            return self._values[-1]
        start, end = self._times[after - 1], self._times[after]
        first, last = self._values[after - 1], self._values[after]
        return first + (last - first) * (timestep - start) / (end - start)

    def _create_tensor_variable(self, initial_value: Any) -> Any:
        import torch

        return torch.tensor(initial_value, dtype=torch.float32, device=self.device)


def _is_number(part: Any) -> bool:
    return isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part)
