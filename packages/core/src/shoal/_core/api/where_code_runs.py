"""The error for questions that have no answer where they are asked."""

from __future__ import annotations

from shoal.exceptions import ShoalError


class WrongPlaceError(ShoalError, RuntimeError, TypeError, AssertionError):
    """Something was called in the driver that only tasks or actors can do, or the reverse.

    Ray raises RuntimeError, TypeError or AssertionError, depending on what was called; this is all of them.
    """
