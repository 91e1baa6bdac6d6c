"""Functions and classes of users that run in other processes of serving: they go there whole, so what changes in a file arrives, and no
module need be found."""

from __future__ import annotations

import importlib
import sys
import sysconfig
from pathlib import Path
from typing import Any

from shoal import cloudpickle

_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))


def code_at(import_path: str) -> Any:
    """Returns what 'module:name' or 'module.name' names. Raises ValueError where that is nothing."""
    module_name, sign, name = import_path.partition(":")
    if not sign:
        module_name, _, name = import_path.rpartition(".")
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{import_path!r} cannot be imported: {error}") from None
    return found


def path_of(code: Any) -> str:
    """Returns the import path of a function or class."""
    return f"{code.__module__}:{code.__qualname__}"


def as_bytes(code: Any, *arguments: Any) -> bytes:
    """Returns a function or class as bytes: all of it, where it is the user's; with arguments, a tuple of it and them. Raises what pickling
    raises."""
    value = (code, *arguments) if arguments else code
    module = sys.modules.get(getattr(code, "__module__", None) or "")
    if module is None or not _is_users(module):
        return bytes(cloudpickle.dumps(value))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(value))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def from_bytes(code: bytes) -> Any:
    """Returns the function or class."""
    return cloudpickle.loads(code)


def _is_users(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or module.__name__ == "__main__" or module.__name__.partition(".")[0] == "shoal":
        return False
    path = Path(file).resolve()
    return not any(path.is_relative_to(one) for one in _INSTALLED)
