"""Programs and libraries that import `ray`, unmodified, on shoal.

`python -m shoal.as_ray program.py [arguments]` runs a program; `install()` does the same for what is imported after it.
"""

from __future__ import annotations

import json
import os
import sys

from shoal.as_ray.alias_finder import WORKER_HOOK, AliasFinder

RAY_VERSION = "2.60.0"
"""The version of Ray whose API shoal offers, and that libraries are told."""


def install() -> None:
    """Makes `import ray`, and every module below it, mean shoal's: here, and in the workers of sessions that start from now on.

    `RAY_` variables of the environment count as `SHOAL_` ones of the same name, where these are not set. A name that shoal does not
    have raises an error that says so.

    Raises:
        ImportError: Ray itself is imported already.

    Example:
        >>> import shoal.as_ray
        >>> shoal.as_ray.install()
        >>> import ray
        >>> ray.ObjectRef is shoal.ObjectRef
        True
    """
    if any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        return
    if "ray" in sys.modules:
        raise ImportError("ray is imported already; call shoal.as_ray.install() before anything imports it")
    for name, value in list(os.environ.items()):
        if name.startswith("RAY_"):
            os.environ.setdefault("SHOAL_" + name.removeprefix("RAY_"), value)
    os.environ.setdefault("SHOAL_RUNTIME_ENV", json.dumps({"worker_process_setup_hook": WORKER_HOOK}))
    sys.meta_path.insert(0, AliasFinder(RAY_VERSION))


__all__ = ["RAY_VERSION", "install"]
