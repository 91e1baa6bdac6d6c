"""Where the calling code runs: which session, machine, task and actor."""

from __future__ import annotations

from shoal._core.api.runtime_context import RuntimeContext, get_runtime_context
from shoal._core.api.where_code_runs import WrongPlaceError

__all__ = ["RuntimeContext", "WrongPlaceError", "get_runtime_context"]
