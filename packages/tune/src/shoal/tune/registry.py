"""Names for trainables and environments."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from shoal import cloudpickle
from shoal.tune.exceptions import InvalidArgumentError

Luggage = Mapping[str, bytes | str]
"""What has these names in another process, pickled; a text says why it could not be."""


class Registry:
    """What was registered in this process, by name."""

    def __init__(self, what: str, call: str, elsewhere: Callable[[str], Any] | None = None) -> None:
        self._what = what
        self._call = call
        self._elsewhere = elsewhere
        self._known: dict[str, Any] = {}
        self._carried: dict[str, bytes | str] = {}

    def add(self, name: str, value: Any) -> None:
        """Registers under a name; what had it before is forgotten."""
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(f"name is {name!r}; give a text")
        self._known[name] = value

    def get(self, name: str) -> Any:
        """Returns what has the name. Raises InvalidArgumentError."""
        if name not in self._known and name in self._carried:
            return self._unpacked(name)
        if name not in self._known:
            found = self._elsewhere(name) if self._elsewhere is not None else None
            if found is not None:
                return found
            known = ", ".join(map(repr, sorted(self._known))) or "none"
            raise InvalidArgumentError(
                f"there is no {self._what} {name!r}; register it by {self._call}. There are: {known}"
            )
        return self._known[name]

    def names(self) -> list[str]:
        """Returns all names that were registered."""
        return [*self._known, *(name for name in self._carried if name not in self._known)]

    def carry(self, luggage: Luggage) -> None:
        """Takes what another process has registered. What was registered here goes before."""
        self._carried.update(luggage)

    def packed(self) -> dict[str, bytes | str]:
        """Returns what was registered, for `carry` in another process."""
        return {**self._carried, **packed(self._known)}

    def _unpacked(self, name: str) -> Any:
        found = self._carried[name]
        if isinstance(found, str):
            raise InvalidArgumentError(
                f"the {self._what} {name!r} was registered in the program, and cannot be sent to this process ({found}); register a "
                "function that makes what it needs itself"
            )
        return cloudpickle.loads(found)

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._carried


def packed(values: Mapping[str, Any]) -> dict[str, bytes | str]:
    """Returns values by name as they travel."""
    luggage: dict[str, bytes | str] = {}
    for name, value in values.items():
        try:
            luggage[name] = cloudpickle.dumps(value)
        except Exception as error:  # whatever pickling of a user's objects raises
            luggage[name] = f"{type(error).__name__}: {error}"
    return luggage


def _algorithm(name: str) -> Any:
    """Returns RLlib's algorithm of this name; None where there is none, or no RLlib."""
    try:
        from shoal.rllib.algorithms.registry import ALGORITHMS
    except ModuleNotFoundError:
        return None
    return ALGORITHMS[name]()[0] if name in ALGORITHMS else None


TRAINABLES = Registry("trainable", "tune.register_trainable(name, trainable)", _algorithm)
ENVIRONMENTS = Registry("environment", "tune.register_env(name, env_creator)")


def packed_environments() -> dict[str, bytes | str]:
    """Returns all environments that this process knows by name, also by RLlib's `register_env`, for the processes of trials."""
    rllib = sys.modules.get("shoal.rllib.env.registration")
    return {**ENVIRONMENTS.packed(), **(packed(rllib.registered_creators()) if rllib is not None else {})}


def register_trainable(name: str, trainable: Callable[..., Any] | type[Any], warn: bool = True) -> None:
    """Lets a trainable be given by a name.

    Args:
        name: a text.
        trainable: a function of a configuration, or a class.
        warn: accepted for Ray's sake.

    Raises:
        InvalidArgumentError: (a ValueError) it is neither.

    Example:
        >>> from shoal import tune
        >>> tune.register_trainable("twice", lambda config: {"score": 2 * config["x"]})
        >>> tuner = tune.Tuner("twice", param_space={"x": tune.grid_search([1, 2])})
    """
    if not callable(trainable):
        raise InvalidArgumentError(f"trainable is {trainable!r}; give a function or a class")
    TRAINABLES.add(name, trainable)


def register_env(name: str, env_creator: Callable[[Any], Any]) -> None:
    """Lets an environment be given by a name.

    Args:
        name: a text.
        env_creator: makes an environment of a configuration.

    Raises:
        InvalidArgumentError: (a ValueError) it is no function.
    """
    if not callable(env_creator):
        raise InvalidArgumentError(f"env_creator is {env_creator!r}; give a function")
    ENVIRONMENTS.add(name, env_creator)


def get_trainable_cls(name: str) -> type[Any]:
    """Returns a registered trainable as a class. Raises InvalidArgumentError."""
    from shoal.tune.trainable.function_trainable import wrap_function

    trainable = TRAINABLES.get(name)
    return trainable if inspect.isclass(trainable) else wrap_function(trainable)
