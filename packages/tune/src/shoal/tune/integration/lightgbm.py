"""Reports rounds of LightGBM from a trial that trains by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.train.lightgbm import RayTrainReportCallback

__all__ = ["TuneReportCallback", "TuneReportCheckpointCallback"]

TuneReportCheckpointCallback = RayTrainReportCallback


class TuneReportCallback(RayTrainReportCallback):
    """Reports the metrics of each round, without the model.

    Args:
        metrics: names of those that are reported, or a dict from the name to report to LightGBM's name; None for all.
        results_postprocessing_fn: from the metrics by name to those that are reported; None for no change.
    """

    def __init__(
        self,
        metrics: str | list[str] | dict[str, str] | None = None,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(
            metrics, frequency=0, checkpoint_at_end=False, results_postprocessing_fn=results_postprocessing_fn
        )
