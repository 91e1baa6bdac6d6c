"""What every search has without being asked."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable

from shoal.air.callback import Callback
from shoal.tune.logger.csv import CSVLoggerCallback
from shoal.tune.logger.json import JsonLoggerCallback

SWITCH = "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"


def default_callbacks(callbacks: Iterable[Callback] | None = None) -> list[Callback]:
    """Returns the user's callbacks and the loggers that every search has, but for those that are among the user's.

    The loggers are JSON, CSV, and TensorBoard where tensorboard is installed; none with TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1.
    """
    found = list(callbacks or ())
    if os.environ.get(SWITCH, "0") == "1":
        return found
    kinds: list[type[Callback]] = [JsonLoggerCallback, CSVLoggerCallback]
    if all(importlib.util.find_spec(name) for name in ("tensorboard", "shoal.air.integrations")):
        from shoal.tune.logger.tensorboardx import TBXLoggerCallback

        kinds.append(TBXLoggerCallback)
    return found + [kind() for kind in kinds if not any(isinstance(callback, kind) for callback in found)]
