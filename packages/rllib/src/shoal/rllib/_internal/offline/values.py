"""Columns of recorded rows as arrays of a space's form, looked at once for all rows."""

from __future__ import annotations

import base64
import importlib
import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.utils.error import MissingLibraryError, OfflineDataError, close_matches

Columns = Mapping[str, Any]
_LEEWAY = 1e-4  # of a Box's width: what scaling there and back again may cost


def tree_of(columns: Columns, name: str, space: gym.Space[Any], what: str) -> Any:
    """Returns a column as a tree of arrays. Parts of Dict and Tuple spaces are columns `name/key` and `name/0`.

    Args:
        columns: by name, with a row for each step.
        name: the column's, in the data.
        space: of one value.
        what: how we call it, for errors.

    Raises:
        OfflineDataError: (a ValueError) a column is missing, or its values have not the space's form.
    """
    if isinstance(space, gym.spaces.Dict):
        return {key: tree_of(columns, f"{name}/{key}", part, what) for key, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(tree_of(columns, f"{name}/{i}", part, what) for i, part in enumerate(space.spaces))
    return array_of(column_of(columns, name, what), space, name)


def column_of(columns: Columns, name: str, what: str) -> Any:
    """Returns a column. Raises OfflineDataError where it is missing; the message has those that look like it."""
    if name not in columns:
        raise OfflineDataError(missing(what, name, columns))
    return columns[name]


def missing(what: str, name: str, columns: Iterable[str]) -> str:
    """Returns what is said of a column that is not there."""
    known = sorted(columns)
    return (
        f"the data has no column {name!r} for {what}.{close_matches(name, known)} It has: {', '.join(known)}. Where another one has it, "
        f'call offline_data(input_read_schema={{"{what}": "<its name>"}})'
    )


def flat_names(name: str, space: gym.Space[Any]) -> list[str]:
    """Returns the names of the columns that `tree_of` reads."""
    if isinstance(space, gym.spaces.Dict):
        return [leaf for key, part in space.spaces.items() for leaf in flat_names(f"{name}/{key}", part)]
    if isinstance(space, gym.spaces.Tuple):
        return [leaf for i, part in enumerate(space.spaces) for leaf in flat_names(f"{name}/{i}", part)]
    return [name]


def flat_columns(name: str, tree: Any) -> dict[str, Any]:
    """Returns a tree of arrays as columns: the other way round."""
    if isinstance(tree, dict):
        return {
            leaf: value for key, part in tree.items() for leaf, value in flat_columns(f"{name}/{key}", part).items()
        }
    if isinstance(tree, tuple):
        return {leaf: value for i, part in enumerate(tree) for leaf, value in flat_columns(f"{name}/{i}", part).items()}
    return {name: tree}


def array_of(column: Any, space: gym.Space[Any], name: str) -> np.ndarray[Any, Any]:
    """Returns values as one array of a space's shape and dtype. Raises OfflineDataError."""
    shape, dtype = space.shape, space.dtype
    if shape is None or dtype is None:
        raise OfflineDataError(
            f"column {name!r} is of {space}, whose values have no fixed form; use spaces that have one"
        )
    values = plain_array(column, name)
    if values.dtype.kind not in "biuf":
        raise OfflineDataError(f"column {name!r} has {values[0]!r} in row 0, and {space} has numbers")
    if values.shape[1:] != shape:
        if values[:1].size != np.prod(shape, dtype=int) or not len(values):
            raise OfflineDataError(
                f"column {name!r} has values of shape {values.shape[1:]}, and those of {space} have {shape}; give the space of the "
                "recorded values, as observation_space or action_space of environment(...)"
            )
        values = values.reshape(len(values), *shape)
    if values.dtype.kind == "f":
        fine = np.isfinite(values) if dtype.kind == "f" else values == np.rint(values)
        if not fine.all() and not (dtype.kind == "f" and name_is_unbounded(space, values)):
            row = first_row(~fine)
            raise OfflineDataError(f"column {name!r} has {values[row]!r} in row {row}, which {space} has not")
    return values.astype(dtype, copy=False)


def name_is_unbounded(space: gym.Space[Any], values: np.ndarray[Any, Any]) -> bool:
    """Whether what is not finite are infinities that the space has."""
    return (
        isinstance(space, gym.spaces.Box)
        and not np.isnan(values).any()
        and bool(((values >= space.low) & (values <= space.high)).all())
    )


def plain_array(column: Any, name: str) -> np.ndarray[Any, Any]:
    """Returns a column as an array of numbers: lists are put together, and what Ray has packed is unpacked. Raises OfflineDataError."""
    values = np.asarray(column)
    if values.dtype != object:
        return values
    items = [unpacked(item, name) for item in values]
    if not items:
        return np.zeros((0,), np.float32)
    try:
        return np.stack([np.asarray(_plain_list(item)) for item in items])
    except ValueError:
        shapes = [np.shape(item) for item in items]
        row = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        raise OfflineDataError(
            f"column {name!r} has a value of shape {shapes[0]} in row 0, and of shape {shapes[row]} in row {row}; all must have one"
        ) from None


def _plain_list(item: Any) -> Any:
    """Arrow's nested lists come as arrays of arrays."""
    if isinstance(item, np.ndarray) and item.dtype == object:
        return [_plain_list(part) for part in item]
    return item


def unpacked(value: Any, name: str) -> Any:
    """Returns a value, unpacked where Ray has packed it: pickled, compressed by lz4, as base64. Raises MissingLibraryError."""
    if not isinstance(value, bytes | str):
        return value
    try:
        frame = importlib.import_module("lz4.frame")
    except ImportError as error:
        raise MissingLibraryError(
            f"column {name!r} is packed, which takes lz4 to read, and it is not installed: pip install lz4"
        ) from error
    try:
        return pickle.loads(frame.decompress(base64.b64decode(value)))
    except Exception as error:
        raise OfflineDataError(
            f"column {name!r} has {str(value)[:40]!r}, which is neither a number, nor a list, nor packed as Ray packs values"
        ) from error


def check_actions(actions: Any, space: gym.Space[Any], *, normalized: bool, row_name: Any) -> None:
    """Looks whether all actions are in their space.

    Args:
        actions: a tree of arrays.
        space: of one action.
        normalized: whether those of bounded Boxes are between -1 and 1 instead.
        row_name: says which row a number is, for errors.

    Raises:
        OfflineDataError: (a ValueError) one is not; the message has its row and its value.
    """
    from shoal.rllib._internal.sampling.action_scaling import is_scaled

    if isinstance(space, gym.spaces.Dict):
        for key, part in space.spaces.items():
            check_actions(actions[key], part, normalized=normalized, row_name=row_name)
        return
    if isinstance(space, gym.spaces.Tuple):
        for values, part in zip(actions, space.spaces, strict=True):
            check_actions(values, part, normalized=normalized, row_name=row_name)
        return
    bounds, fix = f"in {space}", "Give the action_space that the data was recorded with, or leave such rows out"
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        low = np.asarray(space.start)
        high = low + (space.n if isinstance(space, gym.spaces.Discrete) else space.nvec) - 1
        wrong = (actions < low) | (actions > high)
    elif isinstance(space, gym.spaces.Box):
        low, high = space.low, space.high
        if normalized and is_scaled(space):
            low, high = np.full_like(low, -1), np.full_like(high, 1)
            bounds = "between -1 and 1, as offline_data(actions_in_input_normalized=True) says"
            fix = (
                "Where actions are as the environment takes them, which is how they are recorded here, leave that out; where they are a "
                "policy's, from before they were cut at the bounds, cut them at -1 and 1"
            )
        leeway = _LEEWAY * np.where(np.isfinite(high) & np.isfinite(low), high - low, 1.0)
        wrong = (actions < low - leeway) | (actions > high + leeway)
    elif isinstance(space, gym.spaces.MultiBinary):
        wrong = (actions != 0) & (actions != 1)
    else:
        return
    if wrong.any():
        row = first_row(wrong)
        raise OfflineDataError(
            f"{row_name(row)} has the action {actions[row].tolist()!r}, which is not {bounds}. {fix}"
        )


def check_numbers(values: np.ndarray[Any, Any], name: str, row_name: Any) -> None:
    """Raises OfflineDataError where one is infinite or no number."""
    fine = np.isfinite(values)
    if not fine.all():
        row = first_row(~fine)
        raise OfflineDataError(f"{row_name(row)} has {values[row]!r} as {name}; give numbers, or leave such rows out")


def first_row(wrong: np.ndarray[Any, Any]) -> int:
    """Returns the first row in which something is true."""
    return int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0])


def joined(parts: Sequence[Columns]) -> dict[str, Any]:
    """Returns tables, one after the other, as one. Names are those of the first."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(arrays: list[Any]) -> Any:
    if len({array.shape[1:] for array in arrays}) > 1 or len({array.dtype == object for array in arrays}) > 1:
        return np.concatenate([_objects(array) for array in arrays])  # told apart, and told of, later
    return np.concatenate(arrays)


def _objects(array: Any) -> Any:
    rows = np.empty(len(array), object)
    rows[:] = list(array)
    return rows
