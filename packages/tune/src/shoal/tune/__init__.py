"""Hyperparameter search at the cost of a function call. Ray Tune's API."""

from shoal.air.callback import Callback
from shoal.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig
from shoal.train.configuration import SyncConfig
from shoal.tune._internal.version import __version__ as __version__
from shoal.tune.context import TuneContext, get_checkpoint, get_context, report
from shoal.tune.exceptions import TuneError
from shoal.tune.experiment.trial import Trial
from shoal.tune.progress_reporter import CLIReporter, JupyterNotebookReporter, ProgressReporter
from shoal.tune.registry import register_env, register_trainable
from shoal.tune.result import Result
from shoal.tune.result_grid import ResultGrid
from shoal.tune.resume_config import ResumeConfig
from shoal.tune.search_space import (
    choice,
    grid_search,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)
from shoal.tune.stopper import Stopper
from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory
from shoal.tune.trainable.trainable import Trainable
from shoal.tune.trainable.with_parameters import with_parameters
from shoal.tune.trainable.with_resources import with_resources
from shoal.tune.tune_config import TuneConfig
from shoal.tune.tuner import Tuner

__all__ = [
    "CLIReporter",
    "Callback",
    "Checkpoint",
    "CheckpointConfig",
    "FailureConfig",
    "JupyterNotebookReporter",
    "PlacementGroupFactory",
    "ProgressReporter",
    "Result",
    "ResultGrid",
    "ResumeConfig",
    "RunConfig",
    "Stopper",
    "SyncConfig",
    "Trainable",
    "Trial",
    "TuneConfig",
    "TuneContext",
    "TuneError",
    "Tuner",
    "choice",
    "get_checkpoint",
    "get_context",
    "grid_search",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "register_env",
    "register_trainable",
    "report",
    "sample_from",
    "uniform",
    "with_parameters",
    "with_resources",
]
