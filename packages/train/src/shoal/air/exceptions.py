"""Errors of shoal.air."""

from __future__ import annotations

from shoal.exceptions import ShoalError


class MissingLibraryError(ShoalError, ImportError):
    """A library that a logger writes to is not installed. The text says how to install it."""


class LoggerSetupError(ShoalError, ValueError):
    """A logger cannot begin: something that it needs is not there. The text says what to give."""
