"""Pickled code that finds its modules: the folders that it was imported from go with it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from shoal import cloudpickle


def with_search_path(folders: Sequence[str], pickled: bytes) -> bytes:
    """Returns bytes that load as `pickled` does, with `folders` in `sys.path`."""
    located: bytes = cloudpickle.dumps(_Located(tuple(folders), pickled))
    return located


class _Located:
    def __init__(self, folders: tuple[str, ...], pickled: bytes) -> None:
        self._folders = folders
        self._pickled = pickled

    def __reduce__(self) -> tuple[Any, ...]:
        return load_located, (self._folders, self._pickled)


def load_located(folders: Sequence[str], pickled: bytes) -> Any:
    """Returns the value of bytes, whose modules are in `folders` too."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    return cloudpickle.loads(pickled)
