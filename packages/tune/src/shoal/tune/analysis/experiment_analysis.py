"""A search that is over, or one in a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyarrow import fs

from shoal.train import Checkpoint
from shoal.train.result import kept_checkpoints
from shoal.tune._internal.logic.parameters import flattened
from shoal.tune._internal.logic.scores import best_trial, checked_mode, checked_scope, why_there_is_no_best
from shoal.tune.analysis.stored_trials import known_trials
from shoal.tune.exceptions import InvalidArgumentError, NoBestResultError
from shoal.tune.experiment.trial import Trial
from shoal.tune.result import frame_of, read_history
from shoal.tune.result_grid import dataframe_of

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


class ExperimentAnalysis:
    """Looks at a search that is over: `tune.run` returns it, and it can be made of a search's folder.

    Args:
        experiment_checkpoint_path: the search's folder, a file in it, or a URI.
        storage_filesystem: of pyarrow or fsspec; None to find it by the path.
        trials: of the search; None to read them from the folder.
        default_metric: the metric of methods that are called without one.
        default_mode: 'min' or 'max', likewise.

    Raises:
        FileNotFoundError: the folder has no trials in it.
        InvalidArgumentError: (a ValueError) the mode cannot be.

    Example:
        >>> from shoal import tune
        >>> analysis = tune.run(lambda config: {"loss": config["x"]}, config={"x": tune.grid_search([3, 1, 2])}, verbose=0)
        >>> analysis.get_best_config("loss", "min")
        {'x': 1}
    """

    def __init__(
        self,
        experiment_checkpoint_path: str | os.PathLike[str],
        *,
        storage_filesystem: Any = None,
        trials: Sequence[Trial] | None = None,
        default_metric: str | None = None,
        default_mode: str | None = None,
    ) -> None:
        # A checkpoint is a place in a storage: it finds the file system of a path or URI.
        place = Checkpoint(experiment_checkpoint_path, storage_filesystem)
        self._filesystem: fs.FileSystem = place.filesystem
        self._path = place.path.rstrip("/")
        if self._path.endswith((".json", ".pkl")):
            self._path = self._path.rpartition("/")[0]
        self.trials: list[Trial] = list(trials) if trials is not None else known_trials(self._path, self._filesystem)
        """Of the search, in the order in which they were made."""
        self.default_metric = default_metric
        self.default_mode = checked_mode(default_mode) if default_mode is not None else None
        self._histories: dict[Trial, list[dict[str, Any]]] = {}

    @property
    def experiment_path(self) -> str:
        """The search's folder."""
        return self._path

    @property
    def best_trial(self) -> Trial:
        """The best by the default metric. Raises InvalidArgumentError without one, NoBestResultError where no trial has it."""
        metric, mode = self._chosen(None, None)
        best = best_trial(self.trials, metric, mode)
        if best is None:
            raise NoBestResultError(why_there_is_no_best(self.trials, metric))
        return best

    @property
    def best_config(self) -> dict[str, Any]:
        """The configuration of `best_trial`."""
        return self.best_trial.config

    @property
    def best_checkpoint(self) -> Checkpoint | None:
        """The best of `best_trial`'s checkpoints; None where it has none."""
        return self.get_best_checkpoint(self.best_trial)

    @property
    def best_logdir(self) -> str:
        """The folder of `best_trial`."""
        return self.best_trial.path

    @property
    def best_result(self) -> dict[str, Any]:
        """The last report of `best_trial`."""
        return self.best_trial.last_result

    @property
    def best_dataframe(self) -> pd.DataFrame:
        """All reports of `best_trial`, one row each."""
        return frame_of(self._history(self.best_trial))

    @property
    def best_result_df(self) -> pd.DataFrame:
        """The last report of `best_trial`, as one row, by the trial's id."""
        return _by_id([self.best_trial])

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Each trial's last report, by the trial's id."""
        return {trial.trial_id: trial.last_result for trial in self.trials}

    @property
    def results_df(self) -> pd.DataFrame:
        """Each trial's last report, one row each, by the trial's id."""
        return _by_id(self.trials)

    @property
    def trial_dataframes(self) -> dict[str, pd.DataFrame]:
        """All reports of each trial, by the trial's id."""
        return {trial.trial_id: frame_of(self._history(trial)) for trial in self.trials}

    def dataframe(self, metric: str | None = None, mode: str | None = None) -> pd.DataFrame:
        """Returns one row for each trial that reported: its last report, or the one where a metric was at its best.

        Args:
            metric: takes each trial's row in which this is best.
            mode: 'min' or 'max': what best is.

        Raises:
            InvalidArgumentError: (a ValueError) one of the two is missing, or the mode cannot be.
        """
        return dataframe_of(self.trials, self._filesystem, metric, mode)

    def get_best_trial(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Trial | None:
        """Returns the best trial; None, and a warning that says why, where no trial has a value.

        Args:
            metric: by its name, 'a/b' where nested; None for the default.
            mode: 'min' or 'max'; None for the default.
            scope: which of a trial's values counts: 'last', 'avg', 'last-5-avg', 'last-10-avg', or 'all' for its best.
            filter_nan_and_inf: pass over trials whose value is no finite number.

        Raises:
            InvalidArgumentError: (a ValueError) there is no metric or mode, or one that cannot be.
        """
        metric, mode = self._chosen(metric, mode)
        best = best_trial(self.trials, metric, mode, checked_scope(scope), filter_nan_and_inf)
        if best is None:
            logger.warning("There is no best trial. %s", why_there_is_no_best(self.trials, metric))
        return best

    def get_best_config(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> dict[str, Any] | None:
        """Returns the configuration of the best trial; None where there is none. Arguments and errors as `get_best_trial`."""
        best = self.get_best_trial(metric, mode, scope)
        return best.config if best is not None else None

    def get_best_logdir(self, metric: str | None = None, mode: str | None = None, scope: str = "last") -> str | None:
        """Returns the folder of the best trial; None where there is none. Arguments and errors as `get_best_trial`."""
        best = self.get_best_trial(metric, mode, scope)
        return best.path if best is not None else None

    def get_best_checkpoint(
        self, trial: Trial, metric: str | None = None, mode: str | None = None
    ) -> Checkpoint | None:
        """Returns a trial's kept checkpoint whose report is best; None where it has none with the metric.

        Args:
            trial: which.
            metric: by its name; None for the default.
            mode: 'min' or 'max'; None for the default.

        Raises:
            InvalidArgumentError: (a ValueError) there is no metric or mode, or one that cannot be.
        """
        metric, mode = self._chosen(metric, mode)
        scored = [(flattened(report).get(metric), checkpoint) for checkpoint, report in self._kept(trial)]
        numbers = [(score, kept) for score, kept in scored if isinstance(score, int | float) and score == score]
        if not numbers:
            logger.warning("%s has no checkpoint with the metric %r", trial.trial_name, metric)
            return None
        pick = max if mode == "max" else min
        return pick(numbers, key=lambda pair: pair[0])[1]

    def get_last_checkpoint(
        self, trial: Trial | None = None, metric: str = "training_iteration", mode: str = "max"
    ) -> Checkpoint | None:
        """Returns a trial's latest checkpoint; None where it has none.

        Args:
            trial: which; None for the best.
            metric: by which it is the best.
            mode: 'min' or 'max', likewise.
        """
        chosen = trial if trial is not None else self.get_best_trial(metric, mode)
        return chosen.checkpoint if chosen is not None else None

    def get_all_configs(self, prefix: bool = False) -> dict[str, dict[str, Any]]:
        """Returns each trial's configuration, by the trial's id.

        Args:
            prefix: names have 'config/' before them.
        """
        return {
            trial.trial_id: {f"config/{name}": value for name, value in trial.config.items()}
            if prefix
            else trial.config
            for trial in self.trials
        }

    def _history(self, trial: Trial) -> list[dict[str, Any]]:
        if trial not in self._histories:
            self._histories[trial] = read_history(trial, self._filesystem)
        return self._histories[trial]

    def _kept(self, trial: Trial) -> list[tuple[Checkpoint, dict[str, Any]]]:
        return trial.checkpoints or kept_checkpoints(trial.path, self._filesystem, self._history(trial))

    def _chosen(self, metric: str | None, mode: str | None) -> tuple[str, str]:
        metric, mode = metric or self.default_metric, mode or self.default_mode
        for name, value in (("metric", metric), ("mode", mode)):
            if value is None:
                raise InvalidArgumentError(f"{name} is None, and there is no default_{name}: give one of them")
        assert metric is not None
        return metric, checked_mode(mode)

    def __repr__(self) -> str:
        return f"ExperimentAnalysis({len(self.trials)} trials; {self._path})"


def _by_id(trials: Sequence[Trial]) -> pd.DataFrame:
    frame = frame_of([{**trial.last_result, "trial_id": trial.trial_id} for trial in trials])
    return frame.set_index("trial_id")
