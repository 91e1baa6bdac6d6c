"""Names of a write's files: hidden ones while they are being written, and how to recognise its own among others."""

from __future__ import annotations

import posixpath
import re

from shoal.data._internal.sinks.datasink import TaskContext
from shoal.data._internal.sinks.filename_provider import FilenameProvider
from shoal.data.exceptions import InvalidArgumentError

_WRITE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")
# Names that people choose may contain a short id by chance ('a' is in 'data'): then nothing may be removed because of it.
_SURE_ID_LENGTH = 16


def check_write_id(write_id: object) -> None:
    """Raises InvalidArgumentError if it cannot be part of file names."""
    if not isinstance(write_id, str) or not _WRITE_ID.fullmatch(write_id):
        raise InvalidArgumentError(
            f"write_id={write_id!r}: an id of a write becomes part of file names: use 1 to 128 letters, digits, '_', '-' or '.', with a "
            "letter or "
            "digit first."
        )


def temporary_name(context: TaskContext, attempt: str, number: int) -> str:
    """The name of a file while it is being written.

    Args:
        context: the task.
        attempt: tells attempts of the same task apart.
        number: of the file within the task.
    """
    return f".{context.write_id}_{context.task_index:06}_{number:06}.{attempt}.tmp"


def is_temporary(path: str, write_id: str) -> bool:
    """Whether a file is one that the write had not finished."""
    pattern = rf"\.{re.escape(write_id)}_\d{{6,}}_\d{{6,}}\.[0-9a-f]+\.tmp"
    return re.fullmatch(pattern, posixpath.basename(path)) is not None


def is_output(path: str, write_id: str, provider: FilenameProvider) -> bool:
    """Whether a file is one that the write, or an earlier run of it, has finished. In doubt it is not."""
    name = posixpath.basename(path)
    if name.startswith("."):
        return False
    if type(provider) is FilenameProvider:
        prefix = f"{provider.dataset_uuid}_" if provider.dataset_uuid is not None else ""
        extension = f".{provider.file_format}" if provider.file_format is not None else ""
        pattern = rf"{re.escape(prefix + write_id)}_\d{{6,}}_\d{{6,}}(_\d{{6,}})?{re.escape(extension)}"
        return re.fullmatch(pattern, name) is not None
    if len(write_id) < _SURE_ID_LENGTH:
        return False
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(write_id)}(?![A-Za-z0-9])", name) is not None


def marker_name(write_id: str) -> str:
    """The name of the file that says that a write has begun and not ended."""
    return f".{write_id}.unfinished"


def is_hidden(relative: str) -> bool:
    """Whether readers pass over a file: it, or a directory that it is in, begins with a dot."""
    return any(part.startswith(".") for part in relative.split("/"))


def checked_filename(name: object, provider: FilenameProvider) -> str:
    """A name that a provider gave.

    Raises:
        InvalidArgumentError: if it is no name of a file.
    """
    if not isinstance(name, str) or not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise InvalidArgumentError(
            f"filename_provider={type(provider).__name__}: {name!r} is no name of a file. Return a string without slashes."
        )
    return name
