"""Fits estimators of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shoal.train._internal.logic.table_arguments import varied_config
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import TRAIN_DATASET_KEY, RunConfig, ScalingConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.sklearn.fit_loop import SklearnFitLoop
from shoal.train.sklearn.sklearn_checkpoint import SklearnCheckpoint

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class SklearnTrainer(DataParallelTrainer):
    """Fits an estimator in one worker, with as many threads or processes as the worker has CPUs, and reports scores and the estimator once.

    The metrics are `fit_time` (s); for each dataset but 'train' a dict of `test_score`, or `test_<metric>` where there are several, and
    `score_time` (s); and with `cv` a dict `cv` of lists, one value a fold, and of their means and deviations: `test_score`,
    `test_score_mean`, `test_score_std`, …. A column `cv_groups` of the rows to train on is no feature, but the `groups` of the folds.

    Args:
        estimator: of scikit-learn, or one that has its methods. It is not changed.
        datasets: by name: 'train', which it is fitted on, and others, which it is scored on.
        label_column: what is predicted; all other columns are features. None for an estimator that predicts nothing: it is not scored.
        params: set on the estimator before.
        scoring: as of `sklearn.model_selection.cross_validate`: a name, a function, or several; None for the estimator's own.
        cv: the same: a number of folds, a splitter, or pairs of indices; None for no cross-validation.
        return_train_score_cv: cross-validation also scores on the rows that it trained on.
        parallelize_cv: give the CPUs to the folds instead of the estimator; None to do so where the estimator cannot use them.
        set_estimator_cpus: set `n_jobs` and `thread_count` of the estimator and its parts to the number of CPUs.
        scaling_config: the resources of the one worker: `ScalingConfig(resources_per_worker={"CPU": 4})`; None for one CPU.
        run_config: name, storage, restarts, checkpoints.
        **fit_params: of the estimator's `fit`.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from sklearn.linear_model import LinearRegression
        >>> import shoal.data
        >>> from shoal.train.sklearn import SklearnTrainer
        >>> rows = shoal.data.from_items([{"x": float(x), "y": 2.0 * x} for x in range(8)])
        >>> trainer = SklearnTrainer(estimator=LinearRegression(), datasets={"train": rows, "valid": rows}, label_column="y")
        >>> result = trainer.fit()
        >>> round(result.metrics["valid"]["test_score"], 6)
        1.0
        >>> SklearnTrainer.get_model(result.checkpoint).coef_.round(6).tolist()
        [2.0]
    """

    def __init__(
        self,
        *,
        estimator: BaseEstimator,
        datasets: Mapping[str, Any],
        label_column: str | None = None,
        params: Mapping[str, Any] | None = None,
        scoring: Any = None,
        cv: Any = None,
        return_train_score_cv: bool = False,
        parallelize_cv: bool | None = None,
        set_estimator_cpus: bool = True,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        **fit_params: Any,
    ) -> None:
        scaling = _of_one_worker(scaling_config or ScalingConfig())
        _check_estimator(estimator)
        _check_datasets(datasets)
        if cv is not None and label_column is None:
            raise InvalidArgumentError(f"cv is {cv!r}, and label_column is None; give the column to predict")
        if parallelize_cv and scaling.num_gpus_per_worker:
            raise InvalidArgumentError(
                f"parallelize_cv is {parallelize_cv!r}, and the worker has a GPU, which folds cannot share; give False"
            )
        loop = SklearnFitLoop(
            estimator,
            tuple(datasets),
            label_column,
            dict(params or {}),
            scoring,
            cv,
            return_train_score_cv,
            parallelize_cv,
            set_estimator_cpus,
            max(1, int(scaling.num_cpus_per_worker)),
            fit_params,
        )
        super().__init__(loop, scaling_config=scaling, run_config=run_config, datasets=datasets)

    def as_trainable(self) -> Callable[[Mapping[str, Any]], dict[str, Any] | None]:
        """Returns a function for a search, as `DataParallelTrainer.as_trainable` says; its argument may also have `params`, which are put
        over the trainer's."""
        train = super().as_trainable()
        return lambda config: train(varied_config(config))

    @classmethod
    def get_model(cls, checkpoint: Checkpoint) -> Any:
        """Returns the estimator of a checkpoint of a result.

        Raises:
            InvalidArgumentError: (a ValueError) there is none in it.
        """
        return SklearnCheckpoint.from_checkpoint(checkpoint).get_estimator()


def _of_one_worker(scaling: ScalingConfig) -> ScalingConfig:
    # Before there were workers in it, a trainer's own resources were those of this work.
    own = getattr(scaling, "trainer_resources", None)
    if own and scaling.resources_per_worker is None:
        scaling = replace(scaling, resources_per_worker=own)
    if scaling.num_workers not in (0, 1):
        raise InvalidArgumentError(
            f"num_workers is {scaling.num_workers!r}, and scikit-learn fits in one worker; "
            'give ScalingConfig(resources_per_worker={"CPU": N}) for more CPUs'
        )
    return scaling


def _check_estimator(estimator: Any) -> None:
    if isinstance(estimator, type):
        raise InvalidArgumentError(f"estimator is the class {estimator.__name__}; give an instance of it")
    for method in ("fit", "get_params", "set_params"):
        if not callable(getattr(estimator, method, None)):
            raise InvalidArgumentError(f"estimator is {estimator!r}, which has no {method}(); give one of scikit-learn")


def _check_datasets(datasets: Any) -> None:
    if not isinstance(datasets, Mapping) or TRAIN_DATASET_KEY not in datasets:
        raise InvalidArgumentError(
            f"datasets is {datasets!r}; give a dict that has {TRAIN_DATASET_KEY!r}, the rows to train on"
        )
    for name in ("cv", "fit_time"):
        if name in datasets:
            raise InvalidArgumentError(f"datasets has {name!r}, which is the name of a metric; give it another name")
