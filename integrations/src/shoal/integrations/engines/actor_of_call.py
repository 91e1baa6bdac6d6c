"""The actor that a call is one of."""

from __future__ import annotations

from typing import Protocol, TypeVar

A_co = TypeVar("A_co", covariant=True)


class Call(Protocol[A_co]):
    """What both engines know of the call that runs."""

    @property
    def actor(self) -> A_co | None:
        """What the worker knows of the actor; None for tasks."""


def actor_of(call: Call[A_co] | None) -> A_co:
    """Returns the actor that a call is one of.

    Args:
        call: the one that runs; None where none does.

    Raises:
        RuntimeError: none runs, or that of a task.
    """
    if call is None or call.actor is None:
        raise RuntimeError("current_actor is a handle to the actor that asks, and was asked outside of actors")
    return call.actor
