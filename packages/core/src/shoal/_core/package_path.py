"""Where the import system looks for parts of the package `shoal`: its libraries may be installed apart from the core.

Does what pkgutil.extend_path does for plain folders, without importing pkgutil (16 ms).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def extended_path(own: list[str], package: str, search_path: Iterable[str]) -> list[str]:
    """Returns the folders of a package: its own, and all of its name on the search path.

    Args:
        own: the package's `__path__`.
        package: its name.
        search_path: `sys.path`.
    """
    found = list(own)
    for folder in search_path:
        if isinstance(folder, str):
            candidate = os.path.join(folder, package)
            if candidate not in found and os.path.isdir(candidate):
                found.append(candidate)
    return found
