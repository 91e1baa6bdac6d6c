"""shoal.data, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.rllib.utils.error import ConfigError, MissingLibraryError, close_matches


def data_library(purpose: str) -> Any:
    """Returns the module shoal.data.

    Args:
        purpose: what it is needed for.

    Raises:
        MissingLibraryError: (an ImportError) it is not installed.
    """
    try:
        import shoal.data
    except ImportError as error:
        raise MissingLibraryError(
            f"{purpose} takes shoal-data, which is not installed: pip install shoal-data"
        ) from error
    return shoal.data


def named_function(owner: Any, setting: str, name: Any, prefix: str) -> Callable[..., Any]:
    """Returns a function of shoal.data or of a dataset that a setting names, or the setting itself where it is a function.

    Raises:
        ConfigError: (a ValueError) there is none of that name.
    """
    if callable(name):
        return name  # type: ignore[no-any-return]
    found = getattr(owner, name, None) if isinstance(name, str) and name.startswith(prefix) else None
    if not callable(found):
        known = [other for other in dir(owner) if other.startswith(prefix)]
        raise ConfigError(f"{setting} is {name!r}.{close_matches(str(name), known)} There are: {', '.join(known)}")
    return found  # type: ignore[no-any-return]
