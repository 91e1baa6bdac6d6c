"""What errors of actors that were asked tell: that one is dead, or what its code raised."""

from __future__ import annotations

from shoal.exceptions import ActorError, TaskError


def is_death(error: BaseException) -> bool:
    """Whether an actor that was asked is dead; not where its code raised that another one is."""
    return isinstance(error, ActorError) and not isinstance(error, TaskError)


def told(error: Exception) -> str:
    """Returns what was raised, and then where."""
    cause = error.cause if isinstance(error, TaskError) else None
    return f"{type(error).__name__}: {error}" if cause is None else f"{type(cause).__name__}: {cause}\n{error}"
