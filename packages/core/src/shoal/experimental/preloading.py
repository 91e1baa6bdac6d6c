"""Modules that the workers of a session find imported."""

from __future__ import annotations

from collections.abc import Sequence

from shoal._core.api.checks import text
from shoal._core.api.runtime import SESSION
from shoal.exceptions import InvalidOptionTypeError


def preload(modules: Sequence[str]) -> None:
    """Workers that start from now on find these modules imported: as `shoal.init(preload=...)`, in a session that runs.

    Each module is tried in a process of its own first. One that cannot be imported there, or that starts threads, is left
    to the workers. While the session imports it, no worker starts. Without worker processes (`local_mode`) nothing happens.

    Args:
        modules: names, as in ['torch'].

    Raises:
        InvalidOptionTypeError: (a TypeError) no list of names.

    Example:
        >>> import shoal
        >>> from shoal.experimental import preload
        >>> context = shoal.init(num_cpus=1)
        >>> preload(["decimal"])
        >>> shoal.shutdown()
    """
    if isinstance(modules, str) or not isinstance(modules, Sequence):
        raise InvalidOptionTypeError("modules", modules, "give a list of module names, as in ['numpy', 'torch']")
    SESSION.running().preload([text("modules", name, may_be_empty=False) for name in modules])
