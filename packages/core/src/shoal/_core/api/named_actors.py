"""Finding actors, and ending them."""

from __future__ import annotations

from typing import Any, NoReturn

from shoal._core.api.actor_handle import ActorHandle
from shoal._core.api.actor_method import session_ended
from shoal._core.api.checks import flag, text
from shoal._core.api.runtime import SESSION
from shoal._core.api.where_code_runs import WrongPlaceError
from shoal.exceptions import InvalidOptionError


def get_actor(name: str, namespace: str | None = None) -> ActorHandle[Any]:
    """Returns a handle to the living actor of a name. The handle does not keep the actor alive.

    Args:
        name: its `name` option.
        namespace: where to look; by default this session's namespace.

    Raises:
        ValueError: there is none.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... class Register:
        ...     def read(self):
        ...         return 7
        >>> register = Register.options(name="register").remote()
        >>> shoal.get(shoal.get_actor("register").read.remote())
        7
        >>> shoal.shutdown()
    """
    text("name", name, may_be_empty=False)
    if namespace is not None:
        text("namespace", namespace, may_be_empty=False)
    return ActorHandle(SESSION.require().named_actor(name, namespace), SESSION.serial)


def list_named_actors(all_namespaces: bool = False) -> list[str] | list[dict[str, str]]:
    """Returns the names of the living actors that have one.

    Args:
        all_namespaces: False for the names of this session's namespace; True for {'name', 'namespace'} of all.
    """
    found = SESSION.require().named_actors(all_namespaces)
    if all_namespaces:
        return [{"name": name, "namespace": namespace} for namespace, name in found]
    return [name for _, name in found]


def kill(actor: Any, *, no_restart: bool = True) -> None:
    """Ends an actor at once: its running and waiting calls fail with ActorDiedError, its exit handlers do not run.

    Args:
        actor: a handle to it.
        no_restart: False if it may be made again, as its `max_restarts` says.

    Raises:
        InvalidOptionError: (a ValueError) something else than a handle.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... class Worker:
        ...     def work(self):
        ...         return 1
        >>> worker = Worker.remote()
        >>> shoal.kill(worker)
        >>> shoal.shutdown()
    """
    if not isinstance(actor, ActorHandle):
        raise InvalidOptionError("actor", actor, "give a handle to an actor; shoal.cancel() ends tasks")
    flag("no_restart", no_restart)
    engine = SESSION.engine
    if engine is None or actor._shoal_serial != SESSION.serial:
        raise session_ended(actor._shoal_actor)
    engine.kill_actor(actor._shoal_actor.actor_id, no_restart)


def exit_actor() -> NoReturn:
    """Ends the actor that calls this, after what it does now. For use in an actor's methods.

    The call it is made in, and those that wait, fail with ActorDiedError. Exit handlers run.

    Raises:
        WrongPlaceError: (a TypeError) called elsewhere than in an actor.
    """
    engine = SESSION.running()
    if not engine.context().actor_id:
        raise WrongPlaceError(
            "exit_actor() ends the actor that calls it, and was called outside of actors; see shoal.kill"
        )
    engine.exit_actor()
    raise WrongPlaceError("the actor goes on: the engine cannot end it from here")
