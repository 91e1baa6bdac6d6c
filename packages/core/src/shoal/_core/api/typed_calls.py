"""What `f.remote(...)` and `handle.method.remote(...)` take and give, for type checkers (see the stub beside this file).

The classes are empty when the program runs.
"""

from __future__ import annotations

from typing import Generic, TypeVar

F_co = TypeVar("F_co", covariant=True)
Out_co = TypeVar("Out_co", covariant=True)


class RemoteCall(Generic[F_co, Out_co]):
    """Something with a `.remote(...)` that takes what the callable `F` takes, and returns `Out`."""

    __slots__ = ()


class Undeclared:
    """Nothing is an instance of this: only functions whose result is not declared match `Callable[..., Undeclared]`."""


class RemoteMethod(Generic[F_co, Out_co]):
    """A method decorated with `shoal.method`."""
