"""What a searcher is: it suggests configurations, and is told what came of them. Ask and tell, without clock or process."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Searcher:
    """Suggests configurations. Derive from it.

    Args:
        metric: to go by; several for several objectives. None to take the search's (TuneConfig).
        mode: 'min' or 'max', one for each metric. None to take the search's.
    """

    FINISHED = "FINISHED"
    """What `suggest` returns when there will be no more."""

    ordered = False
    """Whether the same seed has to give the same suggestions whatever the timing. Then the search tells it everything in the order of the
    trials, and asks for trial n when trials up to n - max_concurrent_trials are over and told, and no others."""

    needs_results = True
    """Whether a suggestion depends on what came of other trials. A searcher that needs nothing of them may be asked for the next trial
    before there is a place for it."""

    def __init__(
        self, metric: str | Sequence[str] | None = None, mode: str | Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        self._metric = metric
        self._mode = mode

    @property
    def metric(self) -> str | Sequence[str] | None:
        """What it optimises."""
        return self._metric

    @property
    def mode(self) -> str | Sequence[str] | None:
        """'min' or 'max', for each metric."""
        return self._mode

    def set_search_properties(
        self,
        metric: str | Sequence[str] | None,
        mode: str | Sequence[str] | None,
        config: Mapping[str, Any],
        **spec: Any,
    ) -> bool:
        """Takes the search's metric, mode and space (domains of search_space, nested). Returns False where it has its own already.

        `spec` has `num_samples` and `seed`.
        """
        return False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns the whole configuration of a new trial (nested, ready for the trainable); None for not now; FINISHED for no more."""
        raise NotImplementedError

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial that it suggested reported."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial is over; `result` is its last, None where there was none."""

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Takes a point that was evaluated elsewhere. Raises NotImplementedError where the searcher cannot."""
        raise NotImplementedError(f"{type(self).__name__} takes no points that were evaluated elsewhere")

    def add_evaluated_trials(self, trials_or_analysis: Any, metric: str) -> None:
        """Takes the finished trials of another search (an ExperimentAnalysis, a ResultGrid or Trials)."""
        trials = getattr(trials_or_analysis, "trials", trials_or_analysis)
        for trial in trials if isinstance(trials, Sequence) else [trials]:
            if metric in trial.last_result:
                self.add_evaluated_point(trial.config, trial.last_result[metric], error=trial.error is not None)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Limits the trials that run at a time. Returns False where it has no limit of its own; the search then keeps to it."""
        return False

    def get_state(self) -> dict[str, Any]:
        """Returns what `set_state` needs to go on as if nothing had happened: picklable."""
        return dict(self.__dict__)

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes what `get_state` returned."""
        self.__dict__.update(state)

    def save(self, checkpoint_path: str) -> None:
        """Writes its state to a file."""
        Path(checkpoint_path).write_bytes(pickle.dumps(self.get_state()))

    def restore(self, checkpoint_path: str) -> None:
        """Reads what `save` wrote."""
        self.set_state(pickle.loads(Path(checkpoint_path).read_bytes()))

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Writes its state into a folder."""
        self.save(str(Path(checkpoint_dir) / f"searcher-state-{session_str}.pkl"))

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Reads the newest state that `save_to_dir` wrote there. Raises FileNotFoundError."""
        found = sorted(Path(checkpoint_dir).glob("searcher-state-*.pkl"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise FileNotFoundError(f"there is no searcher's state in {checkpoint_dir}")
        self.restore(str(found[-1]))
