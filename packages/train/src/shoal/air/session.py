"""What a training loop, or a trial of a search, may say and ask: AIR's names for the functions of `shoal.train`."""

from __future__ import annotations

from typing import Any

from shoal.train._internal.process.worker_session import SESSION, LoopFunctions
from shoal.train.context import get_checkpoint, get_context, get_dataset_shard, report

__all__ = [
    "delegate_to",
    "get_checkpoint",
    "get_dataset_shard",
    "get_experiment_name",
    "get_local_rank",
    "get_local_world_size",
    "get_metadata",
    "get_node_rank",
    "get_trial_dir",
    "get_trial_id",
    "get_trial_name",
    "get_trial_resources",
    "get_world_rank",
    "get_world_size",
    "is_inside",
    "report",
]


def delegate_to(functions: LoopFunctions | None) -> None:
    """Says who answers in this process outside of a training loop: a search's trials have functions of their own.

    Args:
        functions: has `report`, `get_checkpoint` and `get_context`; None for nobody.
    """
    SESSION.others = functions


def is_inside() -> bool:
    """Returns whether this is a training loop, or a trial."""
    return SESSION.session is not None or SESSION.others is not None


def get_world_rank() -> int:
    """Returns this worker's number among all, from 0; 0 in a trial. Raises RuntimeError outside."""
    rank: int = _asked("get_world_rank", 0)
    return rank


def get_world_size() -> int:
    """Returns how many workers there are; 1 in a trial. Raises RuntimeError outside."""
    size: int = _asked("get_world_size", 1)
    return size


def get_local_rank() -> int:
    """Returns this worker's number among those of its node; 0 in a trial. Raises RuntimeError outside."""
    rank: int = _asked("get_local_rank", 0)
    return rank


def get_local_world_size() -> int:
    """Returns how many workers the node has; 1 in a trial. Raises RuntimeError outside."""
    size: int = _asked("get_local_world_size", 1)
    return size


def get_node_rank() -> int:
    """Returns the node's number among those of the run; 0 in a trial. Raises RuntimeError outside."""
    rank: int = _asked("get_node_rank", 0)
    return rank


def get_experiment_name() -> str:
    """Returns the run's or the search's name. Raises RuntimeError outside."""
    name: str = get_context().get_experiment_name()
    return name


def get_trial_name() -> str:
    """Returns the trial's name; the run's in a training loop. Raises RuntimeError outside."""
    name: str = get_context().get_trial_name()
    return name


def get_trial_id() -> str:
    """Returns the trial's id; the run's name in a training loop. Raises RuntimeError outside."""
    trial: str = get_context().get_trial_id()
    return trial


def get_trial_dir() -> str:
    """Returns the trial's folder; the run's in a training loop. Raises RuntimeError outside."""
    folder: str = get_context().get_trial_dir()
    return folder


def get_trial_resources() -> Any:
    """Returns what the trial, or the worker, has. Raises RuntimeError outside."""
    return get_context().get_trial_resources()


def get_metadata() -> Any:
    """Raises DeprecationWarning, as `TrainContext.get_metadata`."""
    return get_context().get_metadata()


def _asked(method: str, otherwise: Any) -> Any:
    context: object = get_context()
    return getattr(context, method)() if hasattr(context, method) else otherwise
