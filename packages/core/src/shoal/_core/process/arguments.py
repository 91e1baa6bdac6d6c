"""Arguments on their way to a task: references at the top level are taken out, the rest is serialized, and all is
put back together there."""

from __future__ import annotations

from typing import Any

from shoal._core.process.object_ref import ObjectRef
from shoal._core.process.references import INLINE_LIMIT, References
from shoal._core.schema.messages import ERROR, INLINE, STORED, ObjectValue, TaskCall
from shoal._core.system.serialization import serialize
from shoal._core.system.task_errors import load_error
from shoal.exceptions import ObjectFreedError, SerializationError

ALL_ARGUMENTS = -1
"""The slot of a dependency that is the whole serialized (args, kwargs), too large to travel in the call."""


class PackedArguments:
    """Arguments ready to travel, as far as they are known yet."""

    __slots__ = ("data", "dependencies", "held", "keep", "slots")

    def __init__(self) -> None:
        self.data = b""
        self.dependencies: list[bytes] = []
        """Object ids of the top-level references."""
        self.slots: list[int | str] = []
        self.held: list[bytes] = []
        """All objects that must live until the task has ended."""
        self.keep: list[Any] = []
        """References that hold them until they are counted as used."""


def pack_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], references: References, new_object_id: Any, callee: Any, name: str
) -> PackedArguments:
    """Serializes arguments for a function (or class, or None where it is not here) of a name.

    Raises SerializationError, which names the argument, and SessionEndedError."""
    packed = PackedArguments()
    slots = packed.slots
    plain: list[Any] | None = None
    for position, value in enumerate(args):
        if type(value) is ObjectRef:
            references.entry_of(value)
            if plain is None:
                plain = list(args)
            plain[position] = None
            packed.dependencies.append(value._id)
            slots.append(position)
    plain_kwargs = kwargs
    if kwargs:
        for name, value in kwargs.items():
            if type(value) is ObjectRef:
                references.entry_of(value)
                if plain_kwargs is kwargs:
                    plain_kwargs = dict(kwargs)
                plain_kwargs[name] = None
                packed.dependencies.append(value._id)
                slots.append(name)
    try:
        serialized = serialize((args if plain is None else tuple(plain), plain_kwargs))
    except SerializationError as error:
        raise _naming_the_argument(args, kwargs, name, callee) or error from error.__cause__
    packed.held = list(packed.dependencies)
    if serialized.refs:
        references.check_ours(serialized.refs)
        packed.held.extend(ref.binary() for ref in serialized.refs)
    if serialized.size <= INLINE_LIMIT:
        packed.data = serialized.to_bytes()
    else:
        # Large arguments are stored once; every attempt reads them from there.
        ref = references.put_serialized(new_object_id(), serialized)
        packed.keep.append(ref)
        packed.dependencies.append(ref._id)
        packed.held.append(ref._id)
        slots.append(ALL_ARGUMENTS)
    return packed


def _naming_the_argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], name: str, callee: Any
) -> SerializationError | None:
    # Only for the message of an error: not worth the time to import it at start.
    from shoal._core.system.serializability import argument_error

    code = getattr(callee, "__code__", None)
    return argument_error(args, kwargs, name, code.co_varnames[: code.co_argcount] if code is not None else ())


def resolve_dependencies_locked(call: TaskCall, dependencies: list[bytes], references: References) -> None:
    """Puts the values (or places) of the references into the call; all of them must be complete and no error."""
    call.deps = [references.value_locked(object_id) for object_id in dependencies]


def unpack_arguments(
    data: bytes, deps: list[ObjectValue], slots: list[int | str], references: References, open_stored: Any
) -> tuple[tuple[Any, ...], dict[str, Any], list[bytes]]:
    """Returns args, kwargs, and the references found inside them. Raises what getting a dependency raises."""
    arrived: list[bytes] = []
    values: list[Any] = []
    for dep, slot in zip(deps, slots, strict=True):
        if dep.kind == INLINE:
            source: Any = dep.data
        elif dep.kind == STORED:
            source = open_stored(dep.object_id, dep.nodes)
        elif dep.kind == ERROR:
            raise load_error(dep.data)
        else:
            raise ObjectFreedError(dep.object_id.hex())
        value, ids = references.deserialize_noting(source)
        arrived.extend(ids)
        if slot == ALL_ARGUMENTS:
            data = b""
            args, kwargs = value
        else:
            values.append(value)
    if data:
        (args, kwargs), ids = references.deserialize_noting(data)
        arrived.extend(ids)
    elif not slots or slots[-1] != ALL_ARGUMENTS:
        args, kwargs = (), {}
    if values:
        filled = list(args)
        for slot, value in zip(slots, values, strict=False):
            if isinstance(slot, int):
                filled[slot] = value
            else:
                kwargs[slot] = value
        args = tuple(filled)
    return args, kwargs, arrived
