"""Reports from LightGBM's rounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.train._internal.process.boosting_report import BoostingReport, Metrics
from shoal.train.checkpoint import Checkpoint

if TYPE_CHECKING:
    from lightgbm import Booster
    from lightgbm.callback import CallbackEnv


class RayTrainReportCallback:
    """Reports the metrics of each round, named `<valid name>-<metric>`, and the model as a checkpoint.

    With early stopping the last round is not known beforehand: give a `frequency`, for the model of the end may not be reported.

    Args:
        metrics: names of those that are reported, or a dict from the name to report to LightGBM's name; None for all.
        filename: of the model in its checkpoint.
        frequency: rounds from one checkpoint to the next; 0 for none on the way.
        checkpoint_at_end: report the model after the last round.
        results_postprocessing_fn: from the metrics by name to those that are reported; None for no change.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.train.lightgbm import RayTrainReportCallback
        >>> callback = RayTrainReportCallback({"loss": "valid-binary_logloss"}, frequency=10)
    """

    CHECKPOINT_NAME = "model.txt"

    order = 25
    """LightGBM's: after its callbacks that record and log, before early stopping, which ends the round."""

    def __init__(
        self,
        metrics: Metrics = None,
        filename: str = CHECKPOINT_NAME,
        frequency: int = 0,
        checkpoint_at_end: bool = True,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self._report = BoostingReport(metrics, filename, frequency, checkpoint_at_end, results_postprocessing_fn)

    @classmethod
    def get_model(cls, checkpoint: Checkpoint, filename: str = CHECKPOINT_NAME) -> Booster:
        """Returns the model of a checkpoint that this reported.

        Args:
            checkpoint: of a result, or of `shoal.train.get_checkpoint()`.
            filename: as it was when the model was reported.

        Raises:
            lightgbm.basic.LightGBMError: there is no such file, or no model in it.
        """
        from lightgbm import Booster

        with checkpoint.as_directory() as folder:
            return Booster(model_file=str(Path(folder) / filename))

    def __call__(self, env: CallbackEnv) -> None:
        """Reports a round."""
        is_last = env.iteration + 1 == env.end_iteration
        saves = self._report.is_due(env.iteration + 1) or (is_last and self._report.checkpoint_at_end)
        self._report.send(_by_name(env), env.model.save_model if saves else None)


def _by_name(env: CallbackEnv) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for data, metric, value, _, *deviation in env.evaluation_result_list or ():
        if not deviation:
            found[f"{data}-{metric}"] = value
            continue
        # What lightgbm.cv gives: the mean of the folds, and how far they are apart.
        found[f"{data}-{metric}-mean"] = value
        found[f"{data}-{metric}-stdv"] = deviation[0]
    return found
