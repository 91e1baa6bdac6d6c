"""The values that simulated programs work with: a token that says what was made, and references inside. Errors say what went wrong, and to
which task, so that it can be checked whether it had to."""

from __future__ import annotations

import msgspec


class InnerRef(msgspec.Struct, array_like=True):
    """A reference inside a value. `actor_id` is set where it is a handle."""

    object_id: bytes
    owner_address: str
    actor_id: bytes = b""


class Value(msgspec.Struct, array_like=True):
    """What tasks take and make."""

    token: int
    refs: list[InnerRef] = []


class Arguments(msgspec.Struct, array_like=True):
    """What a call carries: which behaviour, how deep it may nest, and references."""

    depth: int
    refs: list[InnerRef] = []
    sequence: int = 0
    """Of calls of an actor: number of the call among those of its caller."""


class Failure(msgspec.Struct, array_like=True):
    """An error: its kind, and whom it happened to first."""

    kind: str
    subject: bytes = b""


RAISED = "raised"
CRASHED = "crashed"
CANCELLED = "cancelled"
OWNER_DIED = "owner died"
ACTOR_DIED = "actor died"
LOST = "lost"

_encode = msgspec.msgpack.Encoder().encode
_values = msgspec.msgpack.Decoder(Value)
_arguments = msgspec.msgpack.Decoder(Arguments)
_failures = msgspec.msgpack.Decoder(Failure)


def dump(value: Value | Arguments | Failure) -> bytes:
    return _encode(value)


def load_value(data: bytes) -> Value:
    return _values.decode(data)


def load_arguments(data: bytes) -> Arguments:
    return _arguments.decode(data)


def load_failure(data: bytes) -> Failure:
    return _failures.decode(data)
