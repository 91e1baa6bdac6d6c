"""The methods of an actor class: which they are, and what handles know of them."""

from __future__ import annotations

from functools import partialmethod
from types import FunctionType
from typing import Any

from shoal._core.api.actor_options import parse_method_options
from shoal._core.api.definition_source import is_async_function, is_generator_function
from shoal._core.api.signature import CallSignature, signature_of
from shoal._core.schema.definitions import MethodDefinition
from shoal._core.schema.options import MethodOptions

OPTIONS_ATTRIBUTE = "__shoal_method_options__"
"""Where `shoal.method` leaves its options on a function."""

_NEVER_CALLED = frozenset(
    {"__init__", "__new__", "__class_getitem__", "__init_subclass__", "__del__", "__getattr__", "__getattribute__"}
)


def methods_of(actor_class: type) -> dict[str, MethodDefinition]:
    """Returns what can be called on the actors of a class, by name; methods of base classes too, properties not.

    Raises InvalidOptionError where `shoal.method` was given options that a method cannot have.
    """
    found: dict[str, Any] = {}
    for base in reversed(actor_class.__mro__):
        if base is not object:
            found.update(vars(base))
    return {
        name: _definition(name, value)
        for name, value in found.items()
        if name not in _NEVER_CALLED and _is_method(value)
    }


def _is_method(value: object) -> bool:
    if isinstance(value, (FunctionType, staticmethod, classmethod, partialmethod)):
        return True
    return callable(value) and not isinstance(value, type)


def _definition(name: str, value: Any) -> MethodDefinition:
    function = value
    if isinstance(value, (staticmethod, classmethod)):
        function = value.__func__
    elif isinstance(value, partialmethod):
        function = value.func
    signature = (
        None if isinstance(value, partialmethod) else signature_of(function, bound=not isinstance(value, staticmethod))
    )
    is_generator = is_generator_function(function)
    given = getattr(function, OPTIONS_ATTRIBUTE, {})
    return MethodDefinition(
        name=name,
        options=parse_method_options(given, is_generator),
        is_async=is_async_function(function),
        is_generator=is_generator,
        signature=signature,
    )


def _built_in(name: str, parameters: tuple[str, ...], positional: int, flags: int) -> MethodDefinition:
    signature = CallSignature(name, parameters, positional, positional, 0, flags, 0, (), False)
    return MethodDefinition(name=name, options=MethodOptions(), is_async=False, is_generator=False, signature=signature)


_READY = _built_in("__ray_ready__", (), 0, 0)
_CALL = _built_in("__ray_call__", ("function", "args", "kwargs"), 1, 12)
_TERMINATE = _built_in("__ray_terminate__", (), 0, 0)

BUILT_IN_METHODS: dict[str, MethodDefinition] = {
    "__ray_ready__": _READY,
    "__shoal_ready__": _READY,
    "__ray_call__": _CALL,
    "__shoal_call__": _CALL,
    "__ray_terminate__": _TERMINATE,
    "__shoal_terminate__": _TERMINATE,
}
"""Methods of every actor: wait until it is constructed, call a function on it, end it after what is queued."""
