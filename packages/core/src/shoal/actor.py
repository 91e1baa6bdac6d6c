"""Actors: their classes, handles and methods."""

from __future__ import annotations

from shoal._core.api.actor_class import ActorClass, ActorClassInheritanceException
from shoal._core.api.actor_handle import ActorHandle, ActorProxy
from shoal._core.api.actor_method import ActorMethod
from shoal._core.api.method_decorator import method
from shoal._core.api.named_actors import exit_actor
from shoal._core.api.where_code_runs import WrongPlaceError
from shoal.exceptions import ActorAlreadyExistsError, AsyncioActorExit

__all__ = [
    "ActorAlreadyExistsError",
    "ActorClass",
    "ActorClassInheritanceException",
    "ActorHandle",
    "ActorMethod",
    "ActorProxy",
    "AsyncioActorExit",
    "WrongPlaceError",
    "exit_actor",
    "method",
]
