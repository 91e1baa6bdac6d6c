"""Arguments on their way to a call: references at the top level are taken out and arrive as values; all the rest is serialized."""

from __future__ import annotations

from typing import Any

from shoal._core.process.object_ref import ObjectRef
from shoal._core.system.serialization import deserialize, serialize


class PackedArguments:
    """The arguments of a call.

    Attributes:
        data: the serialized rest; empty for none.
        dependencies: object ids of the references at the top level.
        slots: where their values go: position or keyword.
        held: all objects that must live until the call has ended.
    """

    __slots__ = ("data", "dependencies", "held", "slots")

    def __init__(self) -> None:
        self.data = b""
        self.dependencies: list[bytes] = []
        self.slots: list[int | str] = []
        self.held: list[bytes] = []


def pack(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[PackedArguments, list[Any]]:
    """Returns the arguments packed, and what must be kept alive until they are held.

    Raises SerializationError.
    """
    packed = PackedArguments()
    if not args and not kwargs:
        return packed, []
    rest = list(args)
    named = dict(kwargs)
    kept: list[Any] = []
    for position, value in enumerate(args):
        if isinstance(value, ObjectRef):
            packed.slots.append(position)
            kept.append(value)
            rest[position] = None
    for name, value in kwargs.items():
        if isinstance(value, ObjectRef):
            packed.slots.append(name)
            kept.append(value)
            named[name] = None
    packed.dependencies = [ref.binary() for ref in kept]
    serialized = serialize((tuple(rest), named))
    packed.data = serialized.to_bytes()
    kept += serialized.refs
    packed.held = [ref.binary() for ref in kept]
    return packed, kept


def unpack(packed: PackedArguments, values: list[bytes]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Makes fresh copies of the arguments.

    Args:
        packed: from `pack`.
        values: the serialized values of its dependencies.

    Raises:
        Exception: whatever the values' classes object with.
    """
    if not packed.data:
        return (), {}
    args, kwargs = deserialize(packed.data)
    if values:
        filled = list(args)
        for slot, value in zip(packed.slots, values, strict=True):
            if isinstance(slot, int):
                filled[slot] = deserialize(value)
            else:
                kwargs[slot] = deserialize(value)
        args = tuple(filled)
    return args, kwargs
