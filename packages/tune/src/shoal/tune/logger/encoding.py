"""Results as text. Whatever a trainable reports or is configured with becomes something: a number, a list, or else its own text."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Set
from typing import Any

import msgspec

LONGEST_TEXT = 10_000
"""Characters of what is no value of JSON (a model, a frame) that are kept."""
DEEPEST = 50

_PLAIN = (str, int, bool, type(None))


def json_line(result: Mapping[str, Any]) -> bytes:
    """Returns a result as one line of JSON, with its end. NaN and infinities stand there as Python's json writes and reads them."""
    try:
        line = _ENCODER.encode(result)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return _slow_line(result)
    # The fast encoder makes null of NaN and of infinities. As many as there are Nones are in order; counting is cheaper than looking.
    nulls = line.count(b"null")
    if nulls and nulls != sum(value is None for value in result.values()) and _is_doubtful(result):
        return _slow_line(result)
    return line + b"\n"


def plain(value: Any, depth: int = 0) -> Any:
    """Returns a value as JSON has it: numbers, texts, lists and dicts with texts for keys."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        return float(value)
    if depth >= DEEPEST:
        return _text(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | Set):
        return [plain(item, depth + 1) for item in value]
    converted = _converted(value)
    return converted if isinstance(converted, str) else plain(converted, depth + 1)


def parsed_line(line: bytes | str) -> dict[str, Any]:
    """Returns what `json_line` wrote. Raises ValueError where that is not whole."""
    try:
        found = _DECODER.decode(line)
    except msgspec.DecodeError:
        found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"a line of results is {line[:80]!r}: no object")
    return found


def _converted(value: Any) -> Any:
    """Returns what stands for a value that JSON does not know."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return list(value)
    # numpy's scalars and arrays, torch's tensors, pandas' series.
    as_list = getattr(value, "tolist", None)
    if callable(as_list) and not isinstance(value, type):
        try:
            return as_list()
        except Exception:  # of somebody else's class; it has a text, too
            return _text(value)
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)[:LONGEST_TEXT]
    except Exception:  # of somebody else's class
        return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _is_doubtful(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(_is_doubtful(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_is_doubtful(item) for item in value)
    return type(value) not in _PLAIN


def _slow_line(result: Mapping[str, Any]) -> bytes:
    return json.dumps(plain(result)).encode() + b"\n"


_ENCODER = msgspec.json.Encoder(enc_hook=_converted)
_DECODER = msgspec.json.Decoder()
