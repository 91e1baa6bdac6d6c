"""What a stopper is: it is shown each report, and says whether the trial, or the whole search, ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError


class Stopper:
    """Ends trials. Derive from it."""

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Returns whether the trial that reported ends. Nested metrics are in `result` as they were reported, and as 'a/b'."""
        raise NotImplementedError(f"{type(self).__name__} has to define __call__(trial_id, result)")

    def stop_all(self) -> bool:
        """Returns whether all trials end, and no more begin. Asked after each report, and when time passes without any."""
        raise NotImplementedError(f"{type(self).__name__} has to define stop_all()")

    def get_state(self) -> dict[str, Any]:
        """Returns what `set_state` needs to go on: picklable."""
        return dict(self.__dict__)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` returned."""
        self.__dict__.update(state)


class NoopStopper(Stopper):
    """Ends nothing."""

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return False


class FunctionStopper(Stopper):
    """Ends trials by a function.

    Args:
        function: takes the trial's id and its result, and returns whether it ends.

    Raises:
        InvalidArgumentError: it is no function.
    """

    def __init__(self, function: Callable[[str, dict[str, Any]], Any]) -> None:
        if not self.is_valid_function(function):
            raise InvalidArgumentError(f"function is {function!r}; give a function of a trial's id and its result")
        self._function = function

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return bool(self._function(trial_id, dict(result)))

    def stop_all(self) -> bool:
        return False

    def get_state(self) -> dict[str, Any]:
        return {}

    @classmethod
    def is_valid_function(cls, fn: object) -> bool:
        """Returns whether it can be called and is no stopper itself."""
        return callable(fn) and not isinstance(fn, Stopper) and not (isinstance(fn, type) and issubclass(fn, Stopper))


class CombinedStopper(Stopper):
    """Ends what any of some stoppers ends.

    Raises:
        InvalidArgumentError: one of them is no stopper.

    Example:
        >>> from shoal.tune.stopper import CombinedStopper, MaximumIterationStopper, TrialPlateauStopper
        >>> stopper = CombinedStopper(MaximumIterationStopper(max_iter=20), TrialPlateauStopper(metric="loss"))
    """

    def __init__(self, *stoppers: Stopper) -> None:
        for place, stopper in enumerate(stoppers):
            if not isinstance(stopper, Stopper):
                raise InvalidArgumentError(
                    f"stoppers[{place}] is {stopper!r}; give objects of classes that derive from Stopper"
                )
        self._stoppers = stoppers

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        # All are shown each report, whoever ends the trial first: they may count.
        ends = [stopper(trial_id, result) for stopper in self._stoppers]
        return any(ends)

    def stop_all(self) -> bool:
        return any(stopper.stop_all() for stopper in self._stoppers)

    def get_state(self) -> dict[str, Any]:
        return {"stoppers": [stopper.get_state() for stopper in self._stoppers]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        for stopper, one in zip(self._stoppers, state["stoppers"], strict=True):
            stopper.set_state(one)
