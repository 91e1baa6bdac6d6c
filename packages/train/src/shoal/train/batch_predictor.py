"""Applies a checkpoint's model to all rows of a dataset, in a pool of actors that have it loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.predictor import FunctionPredictor, Predictor

if TYPE_CHECKING:
    import pandas as pd

    from shoal.data import Dataset


class BatchPredictor:
    """A thin layer over `Dataset.map_batches` with a pool of actors.

    Args:
        checkpoint: with the model.
        predictor_cls: of `Predictor`: makes a predictor of it, once in each actor.
        predictor_kwargs: of its `from_checkpoint`.

    Raises:
        InvalidArgumentError: (a ValueError) the class is none of `Predictor`.

    Example:
        >>> from shoal.train.batch_predictor import BatchPredictor
        >>> from shoal.train.torch import TorchPredictor
        >>> def scores(checkpoint, dataset, model):
        ...     predictor = BatchPredictor.from_checkpoint(checkpoint, TorchPredictor, model=model)
        ...     return predictor.predict(dataset, batch_size=256, max_scoring_workers=2)
    """

    def __init__(self, checkpoint: Checkpoint | None, predictor_cls: type[Predictor], **predictor_kwargs: Any) -> None:
        if not (isinstance(predictor_cls, type) and issubclass(predictor_cls, Predictor)):
            raise InvalidArgumentError(f"predictor_cls is {predictor_cls!r}; give a class that derives from Predictor")
        self._checkpoint = checkpoint
        self._predictor_cls = predictor_cls
        self._kwargs = predictor_kwargs

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, predictor_cls: type[Predictor], **kwargs: Any) -> BatchPredictor:
        """Returns `BatchPredictor(checkpoint, predictor_cls, **kwargs)`."""
        return cls(checkpoint, predictor_cls, **kwargs)

    @classmethod
    def from_pandas_udf(cls, pandas_udf: Callable[[pd.DataFrame], pd.DataFrame]) -> BatchPredictor:
        """Returns one whose model is a function of frames."""
        return cls(None, FunctionPredictor, function=pandas_udf)

    def predict(
        self,
        data: Dataset,
        *,
        feature_columns: Sequence[str] | None = None,
        keep_columns: Sequence[str] | None = None,
        batch_size: int = 4096,
        min_scoring_workers: int = 1,
        max_scoring_workers: int | None = None,
        num_cpus_per_worker: float | None = None,
        num_gpus_per_worker: float | None = None,
        separate_gpu_stage: bool = True,
        ray_remote_args: Mapping[str, Any] | None = None,
        **predict_kwargs: Any,
    ) -> Dataset:
        """Returns a dataset of predictions, which is computed when it is used.

        Args:
            data: the rows.
            feature_columns: those that the model gets; None for all.
            keep_columns: those that the result has besides the predictions.
            batch_size: rows.
            min_scoring_workers: actors to begin with.
            max_scoring_workers: most actors; None for as many as there is room for.
            num_cpus_per_worker: None for 1, or none with GPUs.
            num_gpus_per_worker: None for none.
            separate_gpu_stage: accepted for Ray's sake: steps with other resources are stages of their own.
            ray_remote_args: further options of the actors.
            predict_kwargs: of the predictor's `predict`.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be.
        """
        from shoal.data import ActorPoolStrategy

        options = dict(ray_remote_args or {})
        if num_cpus_per_worker is not None:
            options["num_cpus"] = num_cpus_per_worker
        if num_gpus_per_worker is not None:
            options["num_gpus"] = num_gpus_per_worker
        make: Any = self._predictor_cls.from_checkpoint
        scored: Dataset = data.map_batches(
            _Scoring,
            batch_size=batch_size,
            batch_format=self._predictor_cls.preferred_batch_format(),
            compute=ActorPoolStrategy(min_size=min_scoring_workers, max_size=max_scoring_workers),
            fn_constructor_args=(
                partial(make, self._checkpoint, **self._kwargs),
                list(feature_columns) if feature_columns is not None else None,
                list(keep_columns or ()),
                predict_kwargs,
            ),
            **options,
        )
        return scored


class _Scoring:
    """In each actor."""

    def __init__(
        self,
        make: Callable[[], Predictor],
        features: list[str] | None,
        keep: list[str],
        predict_kwargs: Mapping[str, Any],
    ) -> None:
        self._predictor = make()
        self._features = features
        self._keep = keep
        self._kwargs = predict_kwargs

    def __call__(self, batch: Any) -> Any:
        features = batch
        if self._features is not None:
            features = (
                {name: batch[name] for name in self._features} if isinstance(batch, dict) else batch[self._features]
            )
        found = self._predictor.predict(features, **self._kwargs)
        for name in self._keep:
            found[name] = batch[name] if isinstance(batch, dict) else batch[name].to_numpy()
        return found
