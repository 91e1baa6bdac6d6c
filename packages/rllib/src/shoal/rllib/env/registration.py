"""Names for environments, and how whatever a user gives as one becomes an environment."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium as gym

from shoal import cloudpickle
from shoal.rllib.env.env_context import EnvContext
from shoal.rllib.utils.error import EnvError

EnvCreator = Callable[[EnvContext], Any]

Luggage = Mapping[str, bytes | str]
"""Creators by the names that they have in another process, pickled; a text says why one could not be."""

_CREATORS: dict[str, EnvCreator] = {}


def register_env(name: str, env_creator: EnvCreator) -> None:
    """Lets an environment be given by a name. Configurations with that name take the creator along to other processes.

    Args:
        name: a text; what had it before is forgotten.
        env_creator: makes an environment of an EnvContext.

    Raises:
        EnvError: (a ValueError) it is no text, or no function.

    Example:
        >>> import gymnasium as gym
        >>> register_env("short_pole", lambda context: gym.make("CartPole-v1", max_episode_steps=context["steps"]))
    """
    if not isinstance(name, str) or not name:
        raise EnvError(f"name={name!r}: give a text")
    if not callable(env_creator):
        raise EnvError(f"env_creator={env_creator!r}: give a function that makes an environment of an EnvContext")
    _CREATORS[name] = env_creator


def registered_creator(name: str) -> EnvCreator | None:
    """Returns what was registered under the name, here or by Tune."""
    if name in _CREATORS:
        return _CREATORS[name]
    tune_registry = sys.modules.get("shoal.tune.registry")
    if tune_registry is not None and name in tune_registry.ENVIRONMENTS:
        creator: EnvCreator = tune_registry.ENVIRONMENTS.get(name)
        return creator
    return None


def registered_creators() -> dict[str, EnvCreator]:
    """Returns what was registered here, by name, for Tune, which takes it along to trials."""
    return dict(_CREATORS)


def packed(names: Iterable[str], before: Luggage) -> dict[str, bytes | str]:
    """Returns what other processes need to make environments of these names.

    Args:
        names: those that nobody registered are left out.
        before: what came along to this process, for names that are registered elsewhere.
    """
    luggage: dict[str, bytes | str] = {}
    for name in names:
        creator = registered_creator(name)
        if creator is not None:
            try:
                luggage[name] = cloudpickle.dumps(creator)
            except Exception as error:  # whatever pickling of a user's objects raises
                luggage[name] = f"{type(error).__name__}: {error}"
        elif name in before:
            luggage[name] = before[name]
    return luggage


def _unpacked(name: str, luggage: Luggage) -> EnvCreator:
    found = luggage[name]
    if isinstance(found, str):
        raise EnvError(
            f"env={name!r}: what was given to register_env() cannot be sent to this process ({found}); give it a function "
            "that makes what it needs itself"
        )
    creator: EnvCreator = cloudpickle.loads(found)
    return creator


def resolve_env(env: Any, luggage: Luggage | None = None) -> EnvCreator:
    """Returns a function that makes environments of EnvContexts.

    Args:
        env: the id of a gymnasium environment, a registered name, a class whose
            constructor takes the configuration, or a function that does.
        luggage: what came from another process, for names that were registered there.

    Raises:
        EnvError: (a ValueError) there is no such environment, or it is none of these.
    """
    if isinstance(env, str):
        creator = registered_creator(env)
        if creator is None and luggage and env in luggage:
            creator = _unpacked(env, luggage)
        return creator if creator is not None else _gymnasium_creator(env)
    if inspect.isclass(env):
        return _class_creator(env)
    if isinstance(env, gym.Env | gym.vector.VectorEnv):
        raise EnvError(
            f"env={env!r} is an environment; give its class, or a function that makes one, so that each runner makes its own"
        )
    if callable(env):
        return env  # type: ignore[no-any-return]
    raise EnvError(f"env={env!r}: give the id of a gymnasium environment, a registered name, a class or a function")


def is_gymnasium_id(env: Any, luggage: Luggage | None = None) -> bool:
    """Whether gymnasium makes the environment, as nobody registered the name, here or where the luggage is from."""
    return isinstance(env, str) and registered_creator(env) is None and env not in (luggage or {})


def name_of(env: Any) -> str:
    """Returns how messages call the environment."""
    if isinstance(env, str):
        return env
    return str(getattr(env, "__qualname__", None) or type(env).__name__)


def _gymnasium_creator(env_id: str) -> EnvCreator:
    if env_id.startswith(("ale_py:", "ALE/")):
        _register_atari()
    try:
        gym.spec(env_id)
    except gym.error.Error as error:
        tune_registry = sys.modules.get("shoal.tune.registry")
        by_tune = tune_registry.ENVIRONMENTS.names() if tune_registry is not None else ()
        close = difflib.get_close_matches(env_id, sorted({*gym.registry, *_CREATORS, *by_tune}), n=3)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise EnvError(
            f"env={env_id!r}: gymnasium does not know it ({error}), and no register_env({env_id!r}, ...) was called in this "
            f"process{hint}"
        ) from None

    def create(context: EnvContext) -> gym.Env[Any, Any]:
        return gym.make(env_id, **dict(context))

    return create


def _class_creator(cls: type[Any]) -> EnvCreator:
    """Returns a function that gives the class the configuration, if it takes any."""
    try:
        parameters = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return cls
    if not parameters:
        return lambda context: cls()
    return cls


def _register_atari() -> None:
    try:
        import ale_py
    except ImportError:
        raise EnvError("Atari environments need ale-py: pip install 'shoal-rllib[atari]'") from None
    gym.register_envs(ale_py)
