"""Hyperparameter search at the cost of a function call. Ray Tune's API. What is here is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shoal.tune._internal.version import __version__ as __version__

if TYPE_CHECKING:
    from shoal.air.callback import Callback as Callback
    from shoal.train import Checkpoint as Checkpoint
    from shoal.train import CheckpointConfig as CheckpointConfig
    from shoal.train import FailureConfig as FailureConfig
    from shoal.train import RunConfig as RunConfig
    from shoal.train.configuration import SyncConfig as SyncConfig
    from shoal.tune.analysis import ExperimentAnalysis as ExperimentAnalysis
    from shoal.tune.context import TuneContext as TuneContext
    from shoal.tune.context import get_checkpoint as get_checkpoint
    from shoal.tune.context import get_context as get_context
    from shoal.tune.context import report as report
    from shoal.tune.exceptions import TuneError as TuneError
    from shoal.tune.experiment.experiment import Experiment as Experiment
    from shoal.tune.experiment.trial import Trial as Trial
    from shoal.tune.progress_reporter import CLIReporter as CLIReporter
    from shoal.tune.progress_reporter import JupyterNotebookReporter as JupyterNotebookReporter
    from shoal.tune.progress_reporter import ProgressReporter as ProgressReporter
    from shoal.tune.registry import register_env as register_env
    from shoal.tune.registry import register_trainable as register_trainable
    from shoal.tune.result import Result as Result
    from shoal.tune.result_grid import ResultGrid as ResultGrid
    from shoal.tune.resume_config import ResumeConfig as ResumeConfig
    from shoal.tune.schedulers.create_scheduler import create_scheduler as create_scheduler
    from shoal.tune.search.create_searcher import create_searcher as create_searcher
    from shoal.tune.search_space import choice as choice
    from shoal.tune.search_space import grid_search as grid_search
    from shoal.tune.search_space import lograndint as lograndint
    from shoal.tune.search_space import loguniform as loguniform
    from shoal.tune.search_space import qlograndint as qlograndint
    from shoal.tune.search_space import qloguniform as qloguniform
    from shoal.tune.search_space import qrandint as qrandint
    from shoal.tune.search_space import qrandn as qrandn
    from shoal.tune.search_space import quniform as quniform
    from shoal.tune.search_space import randint as randint
    from shoal.tune.search_space import randn as randn
    from shoal.tune.search_space import sample_from as sample_from
    from shoal.tune.search_space import uniform as uniform
    from shoal.tune.stopper import Stopper as Stopper
    from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory as PlacementGroupFactory
    from shoal.tune.trainable.trainable import Trainable as Trainable
    from shoal.tune.trainable.with_parameters import with_parameters as with_parameters
    from shoal.tune.trainable.with_resources import with_resources as with_resources
    from shoal.tune.tune import run as run
    from shoal.tune.tune import run_experiments as run_experiments
    from shoal.tune.tune_config import TuneConfig as TuneConfig
    from shoal.tune.tuner import Tuner as Tuner

_HOMES = {
    "run_experiments": "shoal.tune.tune",
    "run": "shoal.tune.tune",
    "Experiment": "shoal.tune.experiment.experiment",
    "CLIReporter": "shoal.tune.progress_reporter",
    "Callback": "shoal.air.callback",
    "Checkpoint": "shoal.train",
    "CheckpointConfig": "shoal.train",
    "ExperimentAnalysis": "shoal.tune.analysis",
    "FailureConfig": "shoal.train",
    "JupyterNotebookReporter": "shoal.tune.progress_reporter",
    "PlacementGroupFactory": "shoal.tune.trainable.placement_group_factory",
    "ProgressReporter": "shoal.tune.progress_reporter",
    "Result": "shoal.tune.result",
    "ResultGrid": "shoal.tune.result_grid",
    "ResumeConfig": "shoal.tune.resume_config",
    "RunConfig": "shoal.train",
    "Stopper": "shoal.tune.stopper",
    "SyncConfig": "shoal.train.configuration",
    "Trainable": "shoal.tune.trainable.trainable",
    "Trial": "shoal.tune.experiment.trial",
    "TuneConfig": "shoal.tune.tune_config",
    "TuneContext": "shoal.tune.context",
    "TuneError": "shoal.tune.exceptions",
    "Tuner": "shoal.tune.tuner",
    "choice": "shoal.tune.search_space",
    "create_scheduler": "shoal.tune.schedulers",
    "create_searcher": "shoal.tune.search",
    "get_checkpoint": "shoal.tune.context",
    "get_context": "shoal.tune.context",
    "grid_search": "shoal.tune.search_space",
    "lograndint": "shoal.tune.search_space",
    "loguniform": "shoal.tune.search_space",
    "qlograndint": "shoal.tune.search_space",
    "qloguniform": "shoal.tune.search_space",
    "qrandint": "shoal.tune.search_space",
    "qrandn": "shoal.tune.search_space",
    "quniform": "shoal.tune.search_space",
    "randint": "shoal.tune.search_space",
    "randn": "shoal.tune.search_space",
    "register_env": "shoal.tune.registry",
    "register_trainable": "shoal.tune.registry",
    "report": "shoal.tune.context",
    "sample_from": "shoal.tune.search_space",
    "uniform": "shoal.tune.search_space",
    "with_parameters": "shoal.tune.trainable.with_parameters",
    "with_resources": "shoal.tune.trainable.with_resources",
}
_MODULES = (
    "analysis",
    "callback",
    "execution",
    "experiment",
    "integration",
    "logger",
    "registry",
    "schedulers",
    "search",
    "stopper",
    "trainable",
    "utils",
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})


__all__ = [
    "CLIReporter",
    "Callback",
    "Checkpoint",
    "CheckpointConfig",
    "Experiment",
    "ExperimentAnalysis",
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
    "create_scheduler",
    "create_searcher",
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
    "run",
    "run_experiments",
    "sample_from",
    "uniform",
    "with_parameters",
    "with_resources",
]
