"""Actors: their classes, handles and methods.

For type checkers: handles take any method, unless they are declared as `ActorProxy[Counter]`, where the methods that `Counter`
decorates with `shoal.method` are known with their arguments and results. mypy does not see what a decorator makes of a class: write
`CounterActor = shoal.remote(Counter)` where it shall.
"""

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
