"""The error of files that cannot be written."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from shoal.data.exceptions import DataError


class FileWriteError(DataError, OSError):
    """A file cannot be written: the disk is full, access is denied, the bucket does not exist. The text names it.

    Args:
        path: of the file or directory.
        reason: in words.
        number: as in `errno`, where there is one.
    """

    def __init__(self, path: str, reason: str, number: int | None = None) -> None:
        super().__init__(path, reason, number)
        self.path = path
        self.reason = reason
        self.filename = path
        self.errno = number

    def __str__(self) -> str:
        hint = ""
        if self.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = " Free some space, or write to another disk."
        return f"{self.path} cannot be written: {self.reason.rstrip('.')}.{hint}"


@contextlib.contextmanager
def naming_file(path: str) -> Iterator[None]:
    """Lets errors of the operating system and of object stores name the file that was being written."""
    try:
        yield
    except FileWriteError:
        raise
    except OSError as error:
        raise FileWriteError(path, str(error), error.errno) from error
