"""What JSON has no words for, in those that it has: answers of models are arrays and tables as often as not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def jsonable(value: Any) -> Any:
    """Returns a value as JSON has it: arrays and numbers of numpy as lists and numbers, tables of pandas as lists of rows; models of
    pydantic, dataclasses, times and sets as FastAPI has them.

    Raises:
        TypeError: it cannot be made JSON. The text tells what can.
    """
    from fastapi.encoders import jsonable_encoder

    try:
        return jsonable_encoder(value, custom_encoder=_encoders())
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{value!r:.200} cannot be made JSON; return text, bytes, what consists of dicts, lists, numbers, arrays, tables and models of "
            f"pydantic, a Starlette response, or a generator"
        ) from error


def _encoders() -> dict[type, Callable[[Any], Any]]:
    """Of libraries that are imported: values of others there cannot be."""
    found: dict[type, Callable[[Any], Any]] = {}
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None:
        found[numpy.ndarray] = lambda array: array.tolist() if array.dtype.kind in "biuf" else jsonable(array.tolist())
        found[numpy.generic] = lambda scalar: scalar.item()
    if pandas is not None:
        found[pandas.DataFrame] = lambda table: jsonable(table.to_dict(orient="records"))
        found[pandas.Series] = lambda column: jsonable(column.tolist())
    return found
