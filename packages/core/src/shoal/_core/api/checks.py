"""Checks of single arguments: each returns the value in its plain type, or raises an error that names argument, value and fix.

A wrong type is an `InvalidOptionTypeError` (a TypeError), a value out of range an `InvalidOptionError` (a ValueError).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError


def integer(argument: str, value: object, *, low: int, meaning: str = "") -> int:
    """Returns a whole number of at least `low`. `meaning` says what the lowest value stands for."""
    fix = f"give a whole number >= {low}" + (f" ({meaning})" if meaning else "")
    if not hasattr(value, "__index__"):
        raise InvalidOptionTypeError(argument, value, fix)
    number = value.__index__()
    if number < low:
        raise InvalidOptionError(argument, value, fix)
    return int(number)


def amount(argument: str, value: object) -> float:
    """Returns a finite quantity >= 0: an int where it is one, else a float."""
    if hasattr(value, "__index__"):
        number: float = int(value.__index__())
    elif hasattr(value, "__float__"):
        number = float(value.__float__())
    else:
        raise InvalidOptionTypeError(argument, value, "give a number >= 0")
    if not math.isfinite(number) or number < 0:
        raise InvalidOptionError(argument, value, "give a finite number >= 0")
    return number


def seconds(argument: str, value: object) -> float:
    """Returns a time span in seconds, >= 0."""
    if type(value) is float or type(value) is int:
        number: float = value
    elif hasattr(value, "__float__") or hasattr(value, "__index__"):
        number = float(value)  # type: ignore[arg-type]
    else:
        raise InvalidOptionTypeError(argument, value, "give a number of seconds >= 0, or None for no limit")
    if not number >= 0:
        raise InvalidOptionError(argument, value, "give a number of seconds >= 0, or None for no limit")
    return number


def text(argument: str, value: object, *, may_be_empty: bool = True) -> str:
    if not isinstance(value, str):
        raise InvalidOptionTypeError(argument, value, "give a string")
    if not value and not may_be_empty:
        raise InvalidOptionError(argument, value, "it cannot be empty; leave it out, or give None, where there is none")
    return value


def flag(argument: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidOptionTypeError(argument, value, "give True or False")
    return value


def mapping(argument: str, value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise InvalidOptionTypeError(argument, value, "give a dict")
    return value


def texts(argument: str, value: object) -> dict[str, str]:
    """Returns a dict of strings by strings."""
    given = mapping(argument, value)
    for key, item in given.items():
        if not isinstance(key, str) or not isinstance(item, str):
            raise InvalidOptionTypeError(
                argument, value, f"keys and values are strings, which {key!r}: {item!r} is not"
            )
    return dict(given)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Returns ' Did you mean ...?' for a name that looks like one or more of the known ones, else ''."""
    import difflib

    matches = difflib.get_close_matches(str(name), list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def refuse_unknown(what: str, name: str, value: object, known: Iterable[str]) -> NoReturn:
    """Raises the error for an option that does not exist."""
    names = sorted(known)
    raise InvalidOptionError(
        name, value, f"{what} have no such option.{did_you_mean(name, names)} They have: {', '.join(names)}"
    )
