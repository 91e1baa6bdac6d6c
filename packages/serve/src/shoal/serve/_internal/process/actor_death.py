"""Which errors tell of a replica's death."""

from __future__ import annotations

from shoal.exceptions import ActorError, TaskError


def is_death(error: BaseException) -> bool:
    """Whether an actor that was asked is dead; not where its code raised that another one is."""
    return isinstance(error, ActorError) and not isinstance(error, TaskError)
