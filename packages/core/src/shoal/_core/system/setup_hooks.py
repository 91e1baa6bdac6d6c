"""Calling a user's `worker_process_setup_hook` in a worker."""

from __future__ import annotations

import importlib
from typing import Any

from shoal._core.schema.runtime_environment_fields import PICKLED
from shoal.exceptions import RuntimeEnvSetupError


def run_setup_hook(hook: str) -> None:
    """Calls the hook; does nothing for ''.

    Args:
        hook: as in `Environment.worker_process_setup_hook`: import path, or a pickled function.

    Raises:
        RuntimeEnvSetupError: it cannot be found, or it raised; with the traceback.
    """
    if not hook:
        return
    name = "the pickled function" if hook.startswith(PICKLED) else hook
    try:
        function = _load(hook)
        name = getattr(function, "__qualname__", name)
        function()
    except Exception as error:
        from traceback import format_exception

        trace = "".join(format_exception(error))
        raise RuntimeEnvSetupError(f"worker_process_setup_hook: {name} failed in a worker:\n{trace}") from error


def _load(hook: str) -> Any:
    if hook.startswith(PICKLED):
        import pickle
        from base64 import b64decode

        return pickle.loads(b64decode(hook.removeprefix(PICKLED)))
    module, _, function = hook.rpartition(".")
    return getattr(importlib.import_module(module), function)
