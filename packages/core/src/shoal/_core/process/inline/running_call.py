"""Which call the running code belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal._core.process.inline.calls import Call

current_call: ContextVar[Call | None] = ContextVar("shoal_inline_call", default=None)
"""None in the driver, and in threads of the user's."""
