"""Loggers that write to other programs. Importing any of these modules loads no library of theirs; using them does."""

from __future__ import annotations

import importlib
from types import ModuleType

from shoal.air.exceptions import MissingLibraryError


def library(name: str, extra: str) -> ModuleType:
    """Returns a library.

    Args:
        name: as it is imported.
        extra: of shoal-train, that installs it.

    Raises:
        MissingLibraryError: (an ImportError) it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise MissingLibraryError(
            f"{name} is not installed; `pip install 'shoal-train[{extra}]'` installs it"
        ) from error
