"""Checks a call's arguments where the call is written, as Python itself would where the function runs.

Of each function a twin is made that has the same parameters and does nothing. Calling the twin with a call's arguments raises the
`TypeError` that calling the function would raise, word for word, and costs a tenth of a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

_VARARGS = 0x04
_VARKEYWORDS = 0x08
_PARAMETER_FLAGS = _VARARGS | _VARKEYWORDS


def _nothing() -> None:
    return


_NO_CODE: CodeType = _nothing.__code__
_NO_CODE_FLAGS: int = _NO_CODE.co_flags

_NOBODY = object()
"""Stands for `self`."""

Check = Callable[..., None]


class CallSignature:
    """The parameters of a function, without the function: small, picklable, and able to check a call.

    Args:
        name: qualified name, for messages.
        parameters: names in the order of the code object: positional ones, keyword-only ones, `*args`, `**kwargs`.
        positional: how many are positional; of these `positional_only` cannot be given by name.
        keyword_only: how many are keyword-only.
        flags: whether there is a `*args` (4) and a `**kwargs` (8).
        defaults: how many of the last positional parameters have a default.
        keyword_defaults: names of the keyword-only parameters that have one.
        bound: the first parameter is `self` or `cls`, which callers do not pass.
    """

    __slots__ = ("_parts", "check")

    def __init__(
        self,
        name: str,
        parameters: tuple[str, ...],
        positional: int,
        positional_only: int,
        keyword_only: int,
        flags: int,
        defaults: int,
        keyword_defaults: tuple[str, ...],
        bound: bool,
    ) -> None:
        self._parts = (
            name, parameters, positional, positional_only, keyword_only, flags, defaults, keyword_defaults, bound
        )  # fmt: skip
        twin = FunctionType(
            _NO_CODE.replace(
                co_name=name.rpartition(".")[2],
                co_qualname=name,
                co_varnames=parameters,
                co_nlocals=len(parameters),
                co_argcount=positional,
                co_posonlyargcount=positional_only,
                co_kwonlyargcount=keyword_only,
                co_flags=_NO_CODE_FLAGS | flags,
            ),
            {},
            argdefs=(None,) * defaults,
        )
        twin.__kwdefaults__ = dict.fromkeys(keyword_defaults)
        self.check: Check = twin.__get__(_NOBODY) if bound else twin
        """Call it with a call's arguments: raises the TypeError that the function would raise for them."""

    def __reduce__(self) -> tuple[Any, ...]:
        return CallSignature, self._parts

    def __repr__(self) -> str:
        return f"CallSignature({self._parts[0]}({', '.join(self._parts[1])}))"


def signature_of(function: object, *, bound: bool = False) -> CallSignature | None:
    """Returns the parameters of a Python function; None for callables that do not say (their calls go unchecked).

    Args:
        function: what will be called; wrappers count as they are, `__wrapped__` is not followed.
        bound: True for functions whose first parameter the caller does not pass.
    """
    if not isinstance(function, FunctionType):
        return None
    code = function.__code__
    flags = code.co_flags & _PARAMETER_FLAGS
    count = code.co_argcount + code.co_kwonlyargcount + bool(flags & _VARARGS) + bool(flags & _VARKEYWORDS)
    if bound and code.co_argcount == 0 and not flags & _VARARGS:
        return None
    return CallSignature(
        function.__qualname__,
        code.co_varnames[:count],
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        flags,
        len(function.__defaults__ or ()),
        tuple(function.__kwdefaults__ or ()),
        bound,
    )


def constructor_signature(actor_class: type) -> CallSignature | None:
    """Returns the parameters that instances of a class are made with; None where the class does not say."""
    constructor: Any = actor_class
    if constructor.__init__ is not object.__init__:
        return signature_of(constructor.__init__, bound=True)
    if constructor.__new__ is not object.__new__:
        return signature_of(constructor.__new__, bound=True)
    return CallSignature(f"{actor_class.__qualname__}.__init__", ("self",), 1, 0, 0, 0, 0, (), True)
