"""Taking one exception apart and putting it together again, without calling its class's `__init__`.

`pickle` calls `cls(*args)`, which fails for classes whose `__init__` takes other arguments than it hands on, repeats
side effects, and loses slots. Here an exception is its class, its `args`, its fields (slots, and what C classes keep,
such as `OSError.errno`) and its `__dict__` (where notes are).
"""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    Parts: TypeAlias = tuple[type[BaseException], tuple[Any, ...], dict[str, Any], dict[str, Any]]

_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: the class was made by a class statement, not by C."""

_NO_DATA = frozenset({"__dict__", "__weakref__"})
_NEVER_SENT = frozenset({(AttributeError, "obj")})
"""`obj` is whatever lacked the attribute, often a module or a huge object; Python's own pickling leaves it out too."""


def take_apart(error: BaseException) -> Parts:
    """Returns class, args, fields and attributes of an exception. The args of a group are without its members."""
    args = (error.message,) if isinstance(error, BaseExceptionGroup) else error.args
    return type(error), args, _fields_of(error), dict(error.__dict__)


def put_together(
    error_class: type[BaseException],
    args: tuple[Any, ...],
    fields: dict[str, Any],
    attributes: dict[str, Any],
    members: Sequence[BaseException] | None = None,
) -> BaseException:
    """Makes the exception again.

    Args:
        error_class: its class, or a subclass of it.
        args: as `take_apart` gave them.
        fields: as `take_apart` gave them.
        attributes: as `take_apart` gave them.
        members: the members, for an exception group.

    Raises:
        Exception: whatever the class objects with; not all classes can be made without their own code.
    """
    if members is not None:
        args = (*args, members)
    maker = _builtin_base(error_class)
    error: BaseException = maker.__new__(error_class, *args)
    if type(error) is not error_class:
        # OSError(2, ...) makes a FileNotFoundError by itself.
        error = maker.__new__(error_class)
    BaseException.__setattr__(error, "args", args)
    for name, value in fields.items():
        _set_field(error, name, value)
    if attributes:
        error.__dict__.update(attributes)
    return error


def pickles_itself(error_class: type[BaseException]) -> bool:
    """Returns whether the class (or a base that is no builtin) says itself how it is pickled."""
    for base in error_class.__mro__:
        if not base.__flags__ & _HEAP_TYPE:
            return False
        if "__reduce__" in vars(base) or "__reduce_ex__" in vars(base):
            return True
    return False


def _builtin_base(error_class: type[BaseException]) -> type[BaseException]:
    base: Any = error_class
    while base.__flags__ & _HEAP_TYPE:
        base = base.__base__
    found: type[BaseException] = base
    return found


def _fields_of(error: BaseException) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for base in type(error).__mro__:
        if base in (BaseException, BaseExceptionGroup, object):
            continue
        is_builtin = not base.__flags__ & _HEAP_TYPE
        for name, descriptor in vars(base).items():
            if not isinstance(descriptor, (MemberDescriptorType, GetSetDescriptorType)):
                continue
            if name in _NO_DATA or name in fields or (base, name) in _NEVER_SENT:
                continue
            try:
                value = descriptor.__get__(error)
            except AttributeError:
                continue
            if value is None and is_builtin:
                # C classes show "not set" as None, and take a None that is set for a value.
                continue
            fields[name] = value
    return fields


def _set_field(error: BaseException, name: str, value: Any) -> None:
    for base in type(error).__mro__:
        descriptor = vars(base).get(name)
        if isinstance(descriptor, (MemberDescriptorType, GetSetDescriptorType)):
            try:
                descriptor.__set__(error, value)
            except (AttributeError, TypeError):
                # Read-only: made from the args.
                continue
            return
