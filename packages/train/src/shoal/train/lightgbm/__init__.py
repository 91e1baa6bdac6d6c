"""LightGBM: training with rows divided among workers, and reports from its rounds. Importing this does not import lightgbm."""

from shoal.train.lightgbm.lightgbm_checkpoint import LightGBMCheckpoint
from shoal.train.lightgbm.lightgbm_config import LightGBMConfig
from shoal.train.lightgbm.lightgbm_predictor import LightGBMPredictor
from shoal.train.lightgbm.lightgbm_trainer import LightGBMTrainer
from shoal.train.lightgbm.network import get_network_params
from shoal.train.lightgbm.normalization import normalize_pandas_for_lightgbm
from shoal.train.lightgbm.report_callback import RayTrainReportCallback

__all__ = [
    "LightGBMCheckpoint",
    "LightGBMConfig",
    "LightGBMPredictor",
    "LightGBMTrainer",
    "RayTrainReportCallback",
    "get_network_params",
    "normalize_pandas_for_lightgbm",
]
