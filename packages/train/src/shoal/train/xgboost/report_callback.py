"""Reports from XGBoost's rounds. Importing this imports xgboost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xgboost import Booster
from xgboost.callback import TrainingCallback

from shoal.train._internal.process.boosting_report import BoostingReport, Metrics
from shoal.train.checkpoint import Checkpoint


class RayTrainReportCallback(TrainingCallback):
    """Reports the metrics of each round, named `<evals name>-<metric>`, and the model as a checkpoint.

    Args:
        metrics: names of those that are reported, or a dict from the name to report to XGBoost's name; None for all.
        filename: of the model in its checkpoint; its ending chooses the format, as in `Booster.save_model`.
        frequency: rounds from one checkpoint to the next; 0 for none on the way.
        checkpoint_at_end: report the model after the last round.
        results_postprocessing_fn: from the metrics by name to those that are reported; None for no change.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.train.xgboost import RayTrainReportCallback
        >>> callback = RayTrainReportCallback({"loss": "valid-logloss"}, frequency=10)
    """

    CHECKPOINT_NAME = "model.ubj"

    def __init__(
        self,
        metrics: Metrics = None,
        filename: str = CHECKPOINT_NAME,
        frequency: int = 0,
        checkpoint_at_end: bool = True,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self._report = BoostingReport(metrics, filename, frequency, checkpoint_at_end, results_postprocessing_fn)
        self._last: dict[str, Any] = {}
        self._is_saved = False

    @classmethod
    def get_model(cls, checkpoint: Checkpoint, filename: str = CHECKPOINT_NAME) -> Booster:
        """Returns the model of a checkpoint that this reported.

        Args:
            checkpoint: of a result, or of `shoal.train.get_checkpoint()`.
            filename: as it was when the model was reported.

        Raises:
            xgboost.core.XGBoostError: there is no such file, or no model in it.
        """
        with checkpoint.as_directory() as folder:
            booster = Booster()
            booster.load_model(str(Path(folder) / filename))
            return booster

    def after_iteration(self, model: Any, epoch: int, evals_log: TrainingCallback.EvalsLog) -> bool:
        """Reports a round. Returns False: training goes on."""
        self._last = {
            f"{data}-{metric}": values[-1] for data, metrics in evals_log.items() for metric, values in metrics.items()
        }
        self._is_saved = self._report.is_due(epoch + 1)
        self._report.send(self._last, model.save_model if self._is_saved else None)
        return False

    def after_training(self, model: Any) -> Any:
        """Reports the model, where the last round has not done so. Returns it."""
        if self._report.checkpoint_at_end and not self._is_saved:
            self._report.send(self._last, model.save_model)
        return model
