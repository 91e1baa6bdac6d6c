"""What SklearnTrainer runs in its worker."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal.train._internal.process.shard_tables import features_and_labels
from shoal.train.configuration import TRAIN_DATASET_KEY
from shoal.train.context import get_dataset_shard, report
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.sklearn.sklearn_checkpoint import SklearnCheckpoint

GROUPS_COLUMN = "cv_groups"
"""Of the rows to train on: which rows cross-validation may not part. No feature."""


@dataclass(frozen=True)
class SklearnFitLoop:
    """Fits an estimator on the rows of the dataset 'train', scores it on the others, and by cross-validation where that is asked for.

    Args:
        estimator: what is fitted, a copy of it.
        datasets: the names of the trainer's.
        label_column: what is predicted; None where there is nothing to predict, so nothing to score.
        params: set on the estimator.
        scoring: as of `sklearn.model_selection.cross_validate`.
        cv: the same; None for no cross-validation.
        return_train_score_cv: cross-validation also scores on the rows that it trained on.
        parallelize_cv: give the CPUs to the folds instead of the estimator; None where the estimator cannot use them.
        set_estimator_cpus: set the estimator's `n_jobs` and `thread_count`.
        cpus: of the worker.
        fit_params: of the estimator's `fit`.
    """

    estimator: Any
    datasets: tuple[str, ...]
    label_column: str | None
    params: Mapping[str, Any]
    scoring: Any
    cv: Any
    return_train_score_cv: bool
    parallelize_cv: bool | None
    set_estimator_cpus: bool
    cpus: int
    fit_params: Mapping[str, Any]

    def __call__(self, config: dict[str, Any]) -> None:
        from sklearn.base import clone
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it ships no types

        estimator = clone(self.estimator).set_params(**{**self.params, **self._varied(config)})
        folds_are_parallel = self._folds_are_parallel(estimator)
        if self.set_estimator_cpus:
            jobs = dict.fromkeys(_parallel_parameters(estimator), 1 if folds_are_parallel else self.cpus)
            estimator.set_params(**jobs)
        features, labels = self._rows(TRAIN_DATASET_KEY)
        groups = features.pop(GROUPS_COLUMN) if GROUPS_COLUMN in features.columns else None
        with threadpool_limits(limits=self.cpus):
            started = time.perf_counter()
            estimator.fit(features, labels, **self.fit_params)
            metrics: dict[str, Any] = {"fit_time": time.perf_counter() - started}
            if labels is not None:
                metrics |= {name: self._score(estimator, name) for name in self.datasets if name != TRAIN_DATASET_KEY}
            if self.cv is not None:
                jobs_of_cv = self.cpus if folds_are_parallel else 1
                metrics["cv"] = self._cross_validate(estimator, features, labels, groups, jobs_of_cv)
        with tempfile.TemporaryDirectory(prefix="shoal-sklearn-") as folder:
            report(metrics, checkpoint=SklearnCheckpoint.from_estimator(estimator, path=folder))

    def _varied(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        wrong = [name for name in config if name != "params"]
        if wrong:
            raise InvalidArgumentError(f"train_loop_config has {', '.join(map(repr, wrong))}; it may have 'params'")
        params: Mapping[str, Any] = config.get("params", {})
        return params

    def _folds_are_parallel(self, estimator: Any) -> bool:
        if self.cv is None:
            return False
        return self.parallelize_cv if self.parallelize_cv is not None else not _parallel_parameters(estimator)

    def _rows(self, name: str) -> tuple[Any, Any]:
        if self.label_column is None:
            return get_dataset_shard(name).materialize().to_pandas(), None
        return features_and_labels(name, self.label_column)

    def _score(self, estimator: Any, name: str) -> dict[str, Any]:
        from sklearn.metrics import check_scoring

        features, labels = self._rows(name)
        score = check_scoring(estimator, scoring=self.scoring)
        started = time.perf_counter()
        found = score(estimator, features, labels)
        seconds = time.perf_counter() - started
        scores = found if isinstance(found, Mapping) else {"score": found}
        return {f"test_{metric}": float(value) for metric, value in scores.items()} | {"score_time": seconds}

    def _cross_validate(self, estimator: Any, features: Any, labels: Any, groups: Any, jobs: int) -> dict[str, Any]:
        from sklearn.model_selection import cross_validate

        found = cross_validate(
            estimator,
            features,
            labels,
            groups=groups,
            scoring=self.scoring,
            cv=self.cv,
            n_jobs=jobs,
            params=dict(self.fit_params) or None,
            return_train_score=self.return_train_score_cv,
        )
        folds: dict[str, Any] = {name: values.tolist() for name, values in found.items()}
        for name, values in found.items():
            folds |= {f"{name}_mean": float(values.mean()), f"{name}_std": float(values.std())}
        return folds


def _parallel_parameters(estimator: Any) -> list[str]:
    """Returns the parameters, of parts too, that say how many CPUs are used."""
    return [name for name in estimator.get_params() if name.rpartition("__")[2] in ("n_jobs", "thread_count")]
