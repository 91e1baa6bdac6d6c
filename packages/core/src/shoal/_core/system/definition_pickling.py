"""Pickling of functions and classes, once each, and a watch on what they drag along."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from shoal.exceptions import DefinitionTooLargeError, ShoalError

WARNING_SIZE = 4 * 2**20
"""Larger pickled definitions (bytes) are worth a warning: every worker process gets its own copy."""

LARGEST_SIZE = 100 * 2**20
"""Larger ones are refused."""

_SMALLEST_NAMED_CAPTURE = 2**16


def pickle_definition(definition: Callable[..., Any] | type, name: str = "") -> tuple[bytes, bytes]:
    """Pickles a function or class, so that workers need not be able to import it.

    Args:
        definition: the function or class; of an importable module it travels by its name.
        name: what to call it in messages; its own name by default.

    Returns:
        The pickled definition, and a hash of it (20 bytes) that names it.

    Raises:
        SerializationError: something it refers to cannot be pickled.
        DefinitionTooLargeError: it drags along more than `LARGEST_SIZE` bytes.
    """
    from hashlib import blake2b

    from shoal._core.system.by_value import ByValuePickler, send_by_value_if_needed

    name = name or getattr(definition, "__qualname__", repr(definition))
    send_by_value_if_needed(getattr(definition, "__module__", None) or "")
    chunks = _Chunks()
    try:
        ByValuePickler(chunks).dump(definition)
    except ShoalError:
        raise
    except Exception as error:
        from shoal._core.system.serializability import explanation

        kind = "class" if isinstance(definition, type) else "function"
        raise explanation(definition, name, error, what=f"{kind} {name}") from error
    data = b"".join(chunks.parts)
    if len(data) > WARNING_SIZE:
        _complain(definition, name, len(data))
    return data, blake2b(data, digest_size=20).digest()


def large_captures(
    definition: Callable[..., Any] | type, minimum: int = _SMALLEST_NAMED_CAPTURE
) -> list[tuple[str, int]]:
    """Returns the variables that make a pickled definition large, largest first.

    Args:
        definition: the function or class.
        minimum: leave out what is smaller than this many bytes.
    """
    from shoal._core.system.captures import captures_of
    from shoal._core.system.serialization import serialize

    sizes: dict[str, int] = {}
    for capture in captures_of(definition):
        try:
            size = serialize(capture.value).size
        except ShoalError:
            continue
        if size >= minimum:
            sizes[capture.name] = max(size, sizes.get(capture.name, 0))
    return sorted(sizes.items(), key=lambda item: -item[1])


def _complain(definition: Callable[..., Any] | type, name: str, size: int) -> None:
    captures = large_captures(definition)
    text = f"{name} is {_mebibytes(size)} when pickled"
    if captures:
        text += ", because of " + ", ".join(f"{variable!r} ({_mebibytes(part)})" for variable, part in captures)
        text += f". Call shoal.put({captures[0][0]}) once and pass the reference as an argument"
    else:
        text += ". Pass large data as arguments, by a reference from shoal.put"
    text += ", or load the data inside the function."
    if size > LARGEST_SIZE:
        raise DefinitionTooLargeError(f"{text} The limit is {_mebibytes(LARGEST_SIZE)}.", captures=captures)
    warnings.warn(text, stacklevel=4)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


class _Chunks:
    """A file whose pieces are kept as they come."""

    __slots__ = ("parts", "write")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.write = self.parts.append
