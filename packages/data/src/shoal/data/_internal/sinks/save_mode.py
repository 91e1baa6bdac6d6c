"""What a write does with what is there already."""

from __future__ import annotations

from enum import StrEnum

from shoal.data.exceptions import InvalidArgumentError


class SaveMode(StrEnum):
    """What a write does with what is there already. "Files" are those whose names do not begin with a dot.

    Example:
        >>> from shoal.data.datasource import SaveMode
        >>> SaveMode("append") is SaveMode.APPEND
        True
    """

    CREATE = "create"
    """Writes where there are no files yet; otherwise an error, before anything is computed."""
    APPEND = "append"
    """Adds files, and leaves those of other writes alone."""
    OVERWRITE = "overwrite"
    """Replaces everything in the directory, after all new files are complete."""
    IGNORE = "ignore"
    """Writes nothing if there are files."""
    ERROR = "error"
    """As CREATE."""
    UPSERT = "upsert"
    """Replaces rows with the same key and adds the others. Only for tables that have keys (Iceberg), never for files."""


def checked_mode(mode: SaveMode | str) -> SaveMode:
    """The mode of a sink of files.

    Raises:
        InvalidArgumentError: if there is no such mode, or files cannot have it.
    """
    try:
        mode = SaveMode(mode)
    except ValueError as error:
        names = ", ".join(repr(known.value) for known in SaveMode if known is not SaveMode.UPSERT)
        raise InvalidArgumentError(f"mode={mode!r}: there is no such mode. Use one of {names}.") from error
    if mode is SaveMode.UPSERT:
        raise InvalidArgumentError(
            "mode=SaveMode.UPSERT: files have no keys by which rows could be replaced. Use write_iceberg, or SaveMode.OVERWRITE after a "
            "join."
        )
    return mode
