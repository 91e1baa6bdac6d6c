"""One-dimensional numpy arrays to Arrow arrays: a view of the same memory wherever Arrow allows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

_ARROW_TIME_UNITS = frozenset({"D", "s", "ms", "us", "ns"})


def elements_of(array: np.ndarray[Any, Any]) -> pa.Array | None:
    """The same values as an Arrow array; None where Arrow has no type for this dtype (complex, structured, object).

    Args:
        array: one-dimensional; any strides and byte order.
    """
    kind = array.dtype.kind
    if kind in "OcV" or array.dtype == np.longdouble != np.float64:
        return None
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if kind in "mM":
        array = _in_arrow_unit(array)
    return pa.array(array)


def _in_arrow_unit(times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    unit = np.datetime_data(times.dtype)
    # Arrow has days for points in time only, not for durations.
    if unit[1] == 1 and unit[0] in _ARROW_TIME_UNITS and not (times.dtype.kind == "m" and unit[0] == "D"):
        return times
    finer = (
        "ns" if unit[0] in {"ns", "ps", "fs", "as"} else "us" if unit[0] == "us" else "ms" if unit[0] == "ms" else "s"
    )
    return times.astype(f"{times.dtype.kind}8[{finer}]")
