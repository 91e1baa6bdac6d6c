"""Errors of looking for files."""

from __future__ import annotations

from shoal.data.exceptions import FileReadError


class FilesNotFoundError(FileReadError, FileNotFoundError):
    """There is nothing at a path, or no file of the kind that was looked for. The text says where, and for what."""
