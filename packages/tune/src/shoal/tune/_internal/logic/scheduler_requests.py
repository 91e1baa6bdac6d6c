"""What a scheduler asks of the search: a TrialController that takes notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.tune._internal.logic.life import Change, bundles_of
from shoal.tune.experiment.trial import Trial

if TYPE_CHECKING:
    from shoal.tune._internal.logic.search_state import SearchState


class SchedulerRequests:
    """What the scheduler sees of the search. Its wishes wait until it has returned.

    Args:
        state: of the search.
    """

    def __init__(self, state: SearchState) -> None:
        self._state = state
        self._waiting: list[Callable[[], None]] = []

    def get_trials(self) -> Sequence[Trial]:
        return self._state.trials

    def get_live_trials(self) -> Sequence[Trial]:
        return self._state.live_trials

    def stop_trial(self, trial: Trial) -> None:
        self._waiting.append(lambda: self._state.request_stop(trial))

    def save_trial(self, trial: Trial) -> None:
        self._waiting.append(lambda: self._state.request_save(trial))

    def exploit(self, trial: Trial, donor: Trial, config: Mapping[str, Any], tag: str = "") -> None:
        # One that goes on from where it is stores a checkpoint there first.
        stored = None if donor is trial else self._state.lives[donor.trial_id].kept.latest
        change = Change(stored, dict(config), tag)
        self._waiting.append(lambda: self._state.request_change(trial, change))

    def set_resources(self, trial: Trial, resources: Sequence[Mapping[str, float]]) -> None:
        change = Change(bundles=bundles_of(resources))
        self._waiting.append(lambda: self._state.request_change(trial, change))

    def carry_out(self) -> None:
        """The scheduler has returned. What it is asked meanwhile may add wishes."""
        while self._waiting:
            self._waiting.pop(0)()

    def forget(self) -> None:
        """What it wished counts no more."""
        self._waiting.clear()
