"""XGBoost: training with rows divided among workers, and reports from its rounds. Importing this does not import xgboost."""

from typing import TYPE_CHECKING, Any

from shoal.train.xgboost.xgboost_checkpoint import XGBoostCheckpoint
from shoal.train.xgboost.xgboost_config import XGBoostConfig
from shoal.train.xgboost.xgboost_predictor import XGBoostPredictor
from shoal.train.xgboost.xgboost_trainer import XGBoostTrainer

if TYPE_CHECKING:
    from shoal.train.xgboost.report_callback import RayTrainReportCallback

__all__ = [
    "RayTrainReportCallback",
    "XGBoostCheckpoint",
    "XGBoostConfig",
    "XGBoostPredictor",
    "XGBoostTrainer",
]


def __getattr__(name: str) -> Any:
    # A class of xgboost's, which loads it.
    if name == "RayTrainReportCallback":
        from shoal.train.xgboost.report_callback import RayTrainReportCallback

        return RayTrainReportCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
