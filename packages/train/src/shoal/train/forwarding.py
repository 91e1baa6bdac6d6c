"""Handing a trainer's reports on to whoever runs it as a trainable: `Trainer.as_trainable()` looks here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from shoal.train.checkpoint import Checkpoint

Reporter = Callable[[dict[str, Any], Checkpoint | None], None]


@dataclass(frozen=True)
class Forwarding:
    """Where reports go, and where the run begins.

    Args:
        reporter: gets rank 0's metrics of each report, and the checkpoint once it is whole. Called in the thread that runs the trainable;
            what it raises ends the workers, and is raised by the trainable.
        start_from: what `get_checkpoint` gives at first; None for nothing.
        storage_path: the folder in which the run's is made; None for the trainer's own.
    """

    reporter: Reporter
    start_from: Checkpoint | None = None
    storage_path: str | os.PathLike[str] | None = None


_CURRENT: ContextVar[Forwarding | None] = ContextVar("shoal_train_forwarding", default=None)


@contextmanager
def forward_to(
    reporter: Reporter,
    *,
    start_from: Checkpoint | None = None,
    storage_path: str | os.PathLike[str] | None = None,
) -> Iterator[None]:
    """While this is open, trainables made by `as_trainable()` that this thread runs hand their reports on.

    Args:
        reporter: gets rank 0's metrics of each report, and the checkpoint once it is whole; None where the report has none.
        start_from: what the training loop's `get_checkpoint` gives at first.
        storage_path: the folder in which the run's is made.

    Example:
        >>> from shoal.train import ScalingConfig, report
        >>> from shoal.train.data_parallel_trainer import DataParallelTrainer
        >>> from shoal.train.forwarding import forward_to
        >>> def loop(config):
        ...     report({"loss": config["loss"]})
        >>> trainable = DataParallelTrainer(loop, scaling_config=ScalingConfig(num_workers=0)).as_trainable()
        >>> with forward_to(lambda metrics, checkpoint: print(metrics)):
        ...     trainable({"train_loop_config": {"loss": 0.5}})
        {'loss': 0.5}
    """
    token = _CURRENT.set(Forwarding(reporter, start_from, storage_path))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Forwarding | None:
    """Returns where this thread's reports go; None where nobody wants them."""
    return _CURRENT.get()
