"""What is told of a search while it runs. A training run is told as a search of one trial, so one logger serves both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class LoggedTrial(Protocol):
    """What a callback may know of a trial."""

    @property
    def trial_id(self) -> str: ...

    @property
    def trial_name(self) -> str:
        """Its trainable's name and its id."""

    @property
    def config(self) -> dict[str, Any]:
        """The parameters that it runs with."""

    @property
    def experiment_name(self) -> str: ...

    @property
    def local_path(self) -> str:
        """A folder on this machine, which is there, for what is written about the trial."""

    @property
    def last_result(self) -> Mapping[str, Any]: ...


class Callback:
    """Is called by the search, in its driver, on its loop: each method returns quickly. Derive from it and define what you need.

    `iteration` counts the turns of the search's loop; `trials` are all trials there are. More keyword arguments may come in later versions.
    """

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Before anything else. `info` has the experiment's `name` and `path`."""

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """A turn of the loop begins."""

    def on_step_end(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """A turn of the loop ends."""

    def on_trial_start(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A trial starts, or goes on after it was paused."""

    def on_trial_restore(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A trial starts from a checkpoint."""

    def on_trial_save(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A trial's checkpoint was stored."""

    def on_trial_result(
        self, iteration: int, trials: Sequence[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial reported."""

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A trial has ended as it should, or was stopped."""

    def on_trial_recover(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A trial failed, and is tried again."""

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A trial failed for good."""

    def on_checkpoint(self, iteration: int, trials: Sequence[Any], trial: Any, checkpoint: Any, **info: Any) -> None:
        """A trial's checkpoint was stored."""

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        """All is over, however it ended."""

    def get_state(self) -> dict[str, Any] | None:
        """Returns what `set_state` needs after a restore; None for nothing."""
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes what `get_state` returned before the search was restored."""


class LoggerCallback(Callback):
    """Writes down what trials report: five methods instead of fourteen."""

    def log_trial_start(self, trial: Any) -> None:
        """A trial starts."""

    def log_trial_restore(self, trial: Any) -> None:
        """A trial starts from a checkpoint."""

    def log_trial_save(self, trial: Any) -> None:
        """A trial's checkpoint was stored."""

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """A trial reported."""

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """A trial is over."""

    def on_trial_start(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        self.log_trial_start(trial)

    def on_trial_restore(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        self.log_trial_restore(trial)

    def on_trial_save(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        self.log_trial_save(trial)

    def on_trial_result(
        self, iteration: int, trials: Sequence[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.log_trial_result(iteration, trial, result)

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        self.log_trial_end(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        self.log_trial_end(trial, failed=True)
