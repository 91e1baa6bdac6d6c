"""cloudpickle, as shoal uses it: references and actor handles survive it within a session, and code keeps the name of its file."""

from __future__ import annotations

import io
from collections import ChainMap
from types import CodeType
from typing import IO, Any, ClassVar

import cloudpickle
from cloudpickle import load, loads, register_pickle_by_value, unregister_pickle_by_value

from shoal._core.system.code_objects import reduce_code


class CloudPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler; tracebacks of what it has pickled show the lines of its file."""

    dispatch_table: ClassVar[Any] = ChainMap({CodeType: reduce_code}, cloudpickle.Pickler.dispatch_table)


Pickler = CloudPickler


def dump(obj: Any, file: IO[bytes], protocol: int | None = None, buffer_callback: Any = None) -> None:
    """Pickles an object into a file. Raises what its parts raise.

    Args:
        obj: the object.
        file: open for writing bytes.
        protocol: of pickle; None for the highest.
        buffer_callback: as of `pickle.Pickler`.
    """
    CloudPickler(file, protocol=protocol, buffer_callback=buffer_callback).dump(obj)


def dumps(obj: Any, protocol: int | None = None, buffer_callback: Any = None) -> bytes:
    """Returns an object, pickled. See `dump`."""
    with io.BytesIO() as file:
        dump(obj, file, protocol, buffer_callback)
        return file.getvalue()


__all__ = [
    "CloudPickler",
    "Pickler",
    "dump",
    "dumps",
    "load",
    "loads",
    "register_pickle_by_value",
    "unregister_pickle_by_value",
]
