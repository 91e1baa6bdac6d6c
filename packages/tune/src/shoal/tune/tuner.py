"""Runs a search."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shoal.train import Checkpoint, RunConfig
from shoal.tune._internal.process.restoring import StoredSearch
from shoal.tune._internal.process.search import Search, default_name
from shoal.tune._internal.process.search_storage import SearchStorage
from shoal.tune.analysis.stored_trials import known_trials
from shoal.tune.exceptions import InvalidArgumentError, TuneError
from shoal.tune.experiment.trial import Trial
from shoal.tune.result_grid import ResultGrid
from shoal.tune.resume_config import ResumeConfig
from shoal.tune.trainable.resolved import ResolvedTrainable
from shoal.tune.tune_config import TuneConfig


class Tuner:
    """Runs a trainable with many configurations.

    Args:
        trainable: a function of a configuration, a subclass of `tune.Trainable`, a trainer of shoal.train, or a registered name.
        param_space: parameters: domains to draw from, grids to go through, and constants, nested in dicts and lists.
        tune_config: what is looked for, who suggests, who decides, how many trials.
        run_config: name, storage, what ends trials, failures, checkpoints, callbacks.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> def train(config):
        ...     return {"loss": (config["x"] - 1) ** 2}
        >>> tuner = tune.Tuner(
        ...     train,
        ...     param_space={"x": tune.grid_search([0, 1, 2])},
        ...     tune_config=tune.TuneConfig(metric="loss", mode="min"),
        ...     run_config=tune.RunConfig(verbose=0),
        ... )
        >>> tuner.fit().get_best_result().config
        {'x': 1}
    """

    def __init__(
        self,
        trainable: Any = None,
        *,
        param_space: Mapping[str, Any] | None = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | None = None,
    ) -> None:
        if trainable is None:
            raise InvalidArgumentError(
                "trainable is missing; give a function, a class, a trainer, or a registered name"
            )
        as_param_space = getattr(param_space, "as_param_space", None)  # a configuration of RLlib
        if as_param_space is not None:
            param_space = as_param_space()
        if param_space is not None and not isinstance(param_space, Mapping):
            raise InvalidArgumentError(f"param_space is {param_space!r}; give a dict of parameters")
        if tune_config is not None and not isinstance(tune_config, TuneConfig):
            raise InvalidArgumentError(f"tune_config is {tune_config!r}; give a tune.TuneConfig")
        if run_config is not None and not isinstance(run_config, RunConfig):
            raise InvalidArgumentError(f"run_config is {run_config!r}; give a tune.RunConfig")
        self._trainable = ResolvedTrainable(trainable)
        self._space = dict(param_space or {})
        self._tune_config = tune_config or TuneConfig()
        self._run_config = run_config or RunConfig()
        self._results: ResultGrid | None = None
        self._restored: tuple[SearchStorage, ResumeConfig] | None = None
        self._start_from: Checkpoint | None = None

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        trainable: Any,
        resume_unfinished: bool = True,
        resume_errored: bool = False,
        restart_errored: bool = False,
        param_space: Mapping[str, Any] | None = None,
        storage_filesystem: Any = None,
    ) -> Tuner:
        """Returns a Tuner whose `fit` takes a search up again that was interrupted, or whose program has died.

        Each trial counts once: those that were over stay as they are, others go on from their latest checkpoint.

        Args:
            path: the search's folder (`ResultGrid.experiment_path`).
            trainable: what it was started with.
            resume_unfinished: False to leave trials that were not over as they are.
            resume_errored: has trials that failed go on from their latest checkpoint.
            restart_errored: has trials that failed begin anew.
            param_space: the same space again, where it has objects (datasets, references) that have to be made anew.
            storage_filesystem: of pyarrow or fsspec; None to find it by the path.

        Raises:
            RestoreError: (a ValueError) there is no search, it is of another trainable, or the space has changed.

        Example:
            >>> from shoal import tune
            >>> path = "/tmp/no-search-here"
            >>> if tune.Tuner.can_restore(path):
            ...     results = tune.Tuner.restore(path, trainable).fit()
        """
        storage = SearchStorage.at(path, storage_filesystem)
        resolved = ResolvedTrainable(trainable)
        resume = ResumeConfig.of(resume_unfinished, resume_errored, restart_errored)
        try:
            stored = StoredSearch(storage, resolved, param_space)
        finally:
            storage.close()
        tuner = cls(trainable, param_space=stored.space, tune_config=stored.tune_config, run_config=stored.run_config)
        tuner._restored = (storage, resume)
        return tuner

    @classmethod
    def can_restore(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> bool:
        """Returns whether there is a search in a folder."""
        return SearchStorage.at(path, storage_filesystem).has_search

    def fit(self) -> ResultGrid:
        """Runs the search, and returns the results, also of trials that failed (`ResultGrid.errors`).

        Ctrl-C once: the search stops and saves its state, and what there is is returned. Ctrl-C again: it stops at once.

        Raises:
            TuneError: the search cannot go on: no process can be started, or nothing may run.
            Exception: what a trial raised, with `FailureConfig(fail_fast='raise')`; what a callback raised.
        """
        run = self._run_config
        resume: ResumeConfig | None = None
        base = run.storage_path if run.storage_path is not None else os.path.expanduser("~/ray_results")
        storage = SearchStorage.at(base, run.storage_filesystem).below(run.name or default_name(self._trainable.name))
        if self._restored is not None:
            storage, resume = self._restored
            storage.fetch()
        search = Search(
            self._trainable, self._space, self._tune_config, run, storage, resume, start_from=self._start_from
        )
        self._results = self._grid(search.run(), storage)
        return self._results

    def go_on_from(self, storage: SearchStorage, resume: ResumeConfig) -> None:
        """Has `fit` take the search in a folder up again. Raises RestoreError."""
        try:
            StoredSearch(storage, self._trainable, self._space)
        finally:
            storage.close()
        self._restored = (storage, resume)

    def start_from(self, checkpoint: str | os.PathLike[str] | Checkpoint) -> None:
        """Has every trial begin from a checkpoint."""
        self._start_from = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)

    def get_results(self) -> ResultGrid:
        """Returns what `fit` returned; of a restored search also before that: what its trials have reported so far.

        Raises:
            TuneError: the search is not restored, and `fit` was not called.
        """
        if self._results is not None:
            return self._results
        if self._restored is None:
            raise TuneError("there are no results yet; call fit()")
        storage, _ = self._restored
        return self._grid(known_trials(storage.path, storage.filesystem), storage)

    def _grid(self, trials: list[Trial], storage: SearchStorage) -> ResultGrid:
        metric, mode = self._tune_config.metric, self._tune_config.mode
        return ResultGrid(
            trials,
            storage.path,
            storage.filesystem,
            metric if isinstance(metric, str) else None,
            mode if isinstance(mode, str) else None,
        )
