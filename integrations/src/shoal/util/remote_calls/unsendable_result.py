"""A result that could not travel. Imported where it is needed, since `multiprocessing.pool` has no other use in workers."""

from __future__ import annotations

from multiprocessing.pool import MaybeEncodingError  # type: ignore[attr-defined] # typeshed lacks it


class UnsendableResultError(MaybeEncodingError, RuntimeError):  # type: ignore[misc] # the same
    """A function's result could not be pickled.

    Args:
        exc: what pickling raised, as text.
        value: the result, as text.
    """

    def __init__(self, exc: str, value: str) -> None:
        # Not the standard library's, which puts both in quotes once more each time that it is unpickled.
        Exception.__init__(self, exc, value)
        self.exc = exc
        self.value = value

    def __str__(self) -> str:
        return f"the result {self.value} cannot be pickled: {self.exc}"
