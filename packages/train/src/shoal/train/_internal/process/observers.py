"""Who is told of a run: the file of reports, the user's callbacks and loggers, and the progress."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from shoal.air.callback import Callback
from shoal.train._internal.process.callback_observer import CallbackObserver
from shoal.train._internal.process.logger_observer import LoggerObserver
from shoal.train._internal.process.progress_display import ProgressDisplay
from shoal.train._internal.process.report_log import ReportLog
from shoal.train._internal.process.run_observer import RunObserver
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train.configuration import RunConfig, ScalingConfig
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.user_callback import RunContext, UserCallback


def observers_of(
    run: RunConfig, scaling: ScalingConfig, loop_config: Mapping[str, Any] | None, name: str, storage: RunStorage
) -> list[RunObserver]:
    """Returns them in the order in which they are told.

    Args:
        run: of the trainer.
        scaling: of the trainer.
        loop_config: of its loop.
        name: of the run.
        storage: the run's folder, which is there.

    Raises:
        InvalidArgumentError: (a ValueError) a callback is none.
    """
    context = RunContext(name, storage.path, run, scaling, dict(loop_config or {}))
    found: list[RunObserver] = [ReportLog(storage)]
    loggers: list[Callback] = []
    for callback in [*(run.callbacks or ()), *_of_environment()]:
        if isinstance(callback, UserCallback):
            found.append(CallbackObserver(callback, context))
        elif isinstance(callback, Callback):
            loggers.append(callback)
        else:
            raise InvalidArgumentError(
                f"callbacks has {callback!r}; give objects of classes that derive from shoal.train.UserCallback, or loggers"
            )
    if loggers:
        found.append(LoggerObserver(loggers, name, context.train_loop_config, storage))
    return [*found, ProgressDisplay(name, run.verbose)]


def _of_environment() -> list[Any]:
    """Callbacks that `RAY_TRAIN_CALLBACKS` names: import paths of classes, with commas between."""
    found = []
    for path in filter(None, os.environ.get("RAY_TRAIN_CALLBACKS", "").split(",")):
        module, _, name = path.strip().rpartition(".")
        try:
            found.append(getattr(importlib.import_module(module), name)())
        except (ImportError, AttributeError, ValueError) as error:
            raise InvalidArgumentError(f"RAY_TRAIN_CALLBACKS names {path!r}, which is not there: {error}") from error
    return found
