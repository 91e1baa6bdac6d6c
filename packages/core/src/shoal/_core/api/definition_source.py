"""A function or class as the user wrote it, and its pickled form for the session of the moment."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from shoal._core.api.runtime import SESSION
from shoal._core.api.signature import CallSignature, Check, constructor_signature, signature_of
from shoal._core.schema.definitions import Definition

_GENERATOR = 0x20
_COROUTINE = 0x80
_ITERABLE_COROUTINE = 0x100
_ASYNC_GENERATOR = 0x200


def code_flags(function: object) -> int:
    """Returns the flags of a Python function's code; 0 for other callables."""
    return function.__code__.co_flags if isinstance(function, FunctionType) else 0


def is_generator_function(function: object) -> bool:
    """True for functions that `yield`, async ones too."""
    return bool(code_flags(function) & (_GENERATOR | _ASYNC_GENERATOR))


def is_async_function(function: object) -> bool:
    """True for `async def` functions, with or without `yield`."""
    return bool(code_flags(function) & (_COROUTINE | _ITERABLE_COROUTINE | _ASYNC_GENERATOR))


def is_coroutine_function(function: object) -> bool:
    """True for `async def` functions without `yield`."""
    return bool(code_flags(function) & (_COROUTINE | _ITERABLE_COROUTINE))


def short_name(definition: Any) -> str:
    """Returns the name of a function or class for people: 'train', 'Counter', 'Outer.inner'."""
    name: str = getattr(definition, "__qualname__", None) or getattr(definition, "__name__", None) or repr(definition)
    return name.rpartition("<locals>.")[2]


def accept_anything(*args: Any, **kwargs: Any) -> None:
    """The check for callables whose parameters are not known."""


class DefinitionSource:
    """A function or class that tasks or actors are made of.

    It is pickled at its first use in a session, with the values that its globals and closure have then. Whatever is made of
    one function (`.options(...)` copies) shares one of these.
    """

    __slots__ = ("_check", "_definition", "_serial", "value")

    def __init__(self, value: Callable[..., Any]) -> None:
        self.value: Any = value
        self._definition: Definition | None = None
        self._serial = -1
        self._check: Check | None = None

    @property
    def name(self) -> str:
        return short_name(self.value)

    @property
    def is_generator(self) -> bool:
        return is_generator_function(self.value)

    @property
    def check(self) -> Check:
        """Call it with a call's arguments: raises the TypeError that the function (or constructor) would raise."""
        if self._check is None:
            signature: CallSignature | None
            signature = constructor_signature(self.value) if isinstance(self.value, type) else signature_of(self.value)
            self._check = signature.check if signature is not None else accept_anything
        return self._check

    def definition(self) -> Definition:
        """Returns the pickled form for the current session. Raises SerializationError."""
        definition = self._definition
        if definition is None or self._serial != SESSION.serial:
            from shoal._core.system.definition_pickling import pickle_definition

            data, digest = pickle_definition(self.value, self.name)
            definition = Definition(
                id=digest, data=data, name=self.name, is_generator=self.is_generator, value=self.value
            )
            self._definition = definition
            self._serial = SESSION.serial
        return definition

    # While a recursive function or class is unpickled, what it refers to comes before itself: so nothing here looks at `value`
    # before it is used.
    def __reduce__(self) -> tuple[Any, ...]:
        return _new_source, (), self.value

    def __setstate__(self, value: Any) -> None:
        self.value = value


def _new_source() -> DefinitionSource:
    return DefinitionSource(accept_anything)
