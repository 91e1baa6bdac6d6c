"""Which function of the user's runs here."""

from __future__ import annotations

from contextvars import ContextVar

running_function: ContextVar[str | None] = ContextVar("shoal_ray_function", default=None)
"""Qualified name of the function or method; None in drivers, and in threads of the user's own."""
