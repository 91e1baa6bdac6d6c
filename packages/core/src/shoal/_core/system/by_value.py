"""Pickling of what other processes cannot import: lambdas, local functions and classes, all of `__main__`.

Imports cloudpickle, so this module is imported only when something needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pickle import PickleBuffer
from types import CodeType, FunctionType, ModuleType
from typing import Any, Protocol

import cloudpickle

from shoal._core.system.code_objects import reduce_code
from shoal._core.system.custom_reducers import custom_reducers


class Writer(Protocol):
    """Where a pickler writes."""

    @property
    def write(self) -> Callable[[Any], Any]: ...


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler with this process's reducers, and less Python code for each instance it meets.

    Args:
        writer: gets the pickle stream in pieces.
        buffer_callback: as of `pickle.Pickler`.
    """

    def __init__(self, writer: Writer, buffer_callback: Callable[[PickleBuffer], Any] | None = None) -> None:
        # A flat dict: cloudpickle's own is a ChainMap, asked for every instance.
        self.dispatch_table = custom_reducers.table_over(cloudpickle.Pickler.dispatch_table)
        self.dispatch_table[CodeType] = reduce_code
        super().__init__(writer, protocol=5, buffer_callback=buffer_callback)

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is FunctionType or issubclass(kind, type):
            return super().reducer_override(obj)
        return NotImplemented


def by_value_modules() -> list[str]:
    """Returns the names of modules, besides `__main__`, whose functions and classes travel by value."""
    return list(cloudpickle.list_registry_pickle_by_value())


def send_by_value_if_needed(module_name: str) -> None:
    """Makes functions and classes of a module travel by value, if other processes cannot import it.

    That is so for modules made at run time, and for those a test runner or a tool loads from a path of its own.
    """
    module = sys.modules.get(module_name)
    if module is None or module_name == "__main__" or module_name in by_value_modules():
        return
    if not _can_be_imported(module):
        cloudpickle.register_pickle_by_value(module)


def _can_be_imported(module: ModuleType) -> bool:
    spec = module.__spec__
    if spec is None:
        return False
    path = None
    found: ModuleSpec | None = None
    steps = spec.name.split(".")
    for end in range(1, len(steps) + 1):
        name = ".".join(steps[:end])
        found = _find_spec(name, path)
        if found is None:
            return False
        # A package may have added folders to its path when it was imported, as `shoal` does; so it will where it is imported next.
        path = getattr(sys.modules.get(name), "__path__", found.submodule_search_locations)
    return found is not None and found.origin == spec.origin


def _find_spec(name: str, path: Any) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path, None)
        if spec is not None:
            return spec
    return None
