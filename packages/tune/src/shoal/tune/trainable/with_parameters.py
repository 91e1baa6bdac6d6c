"""A trainable with large objects that all trials share."""

from __future__ import annotations

import inspect
from typing import Any

import shoal
from shoal.tune.exceptions import InvalidArgumentError


class WithParameters:
    """What `with_parameters` returns. Its objects travel once, through the object store, when a search begins."""

    def __init__(self, trainable: Any, parameters: dict[str, Any]) -> None:
        self.trainable = trainable
        self.parameters = parameters
        self.__name__ = getattr(trainable, "__name__", type(trainable).__name__)

    def __call__(self, config: dict[str, Any]) -> Any:
        return self.trainable(config, **self.parameters)

    def shared(self) -> SharedParameters:
        """Returns the same with its objects in the object store. Raises SerializationError where one cannot be pickled."""
        return SharedParameters(self.trainable, {name: shoal.put(value) for name, value in self.parameters.items()})


class SharedParameters:
    """A trainable, and references to what it gets beside its configuration."""

    def __init__(self, trainable: Any, references: dict[str, shoal.ObjectRef[Any]]) -> None:
        self.trainable = trainable
        self.references = references

    def bound(self) -> Any:
        """Returns the trainable with its objects, in the process that runs it."""
        names = list(self.references)
        values = dict(zip(names, shoal.get([self.references[name] for name in names]), strict=True))
        trainable = self.trainable
        if inspect.isclass(trainable):

            class Bound(trainable):  # type: ignore[misc,valid-type]
                def setup(self, config: dict[str, Any], **_: Any) -> None:
                    super().setup(config, **values)

            Bound.__name__ = trainable.__name__
            return Bound
        return lambda config: trainable(config, **values)


def with_parameters(trainable: Any, **kwargs: Any) -> Any:
    """Returns a trainable that gets large objects beside its configuration.

    They travel once to each process instead of with each trial. A function gets them as keywords, a class gets them in `setup`.

    Args:
        trainable: a function of `config` and of the keywords, or a class.
        **kwargs: objects, by the name of the argument.

    Raises:
        InvalidArgumentError: (a ValueError) it is no function or class, or takes no such arguments.

    Example:
        >>> from shoal import tune
        >>> def train(config, data):
        ...     return {"score": config["x"] + len(data)}
        >>> trainable = tune.with_parameters(train, data=[1, 2, 3])
    """
    from shoal.tune.trainable.with_resources import WithResources

    if isinstance(trainable, WithResources):
        return WithResources(with_parameters(trainable.trainable, **kwargs), trainable.resources)
    if not callable(trainable):
        raise InvalidArgumentError(f"trainable is {trainable!r}; with_parameters takes a function or a class")
    takes = inspect.signature(
        trainable.setup if inspect.isclass(trainable) and hasattr(trainable, "setup") else trainable
    )
    if not any(one.kind is one.VAR_KEYWORD for one in takes.parameters.values()):
        for name in kwargs:
            if name not in takes.parameters:
                known = ", ".join(one for one in takes.parameters if one != "self")
                raise InvalidArgumentError(
                    f"with_parameters: {getattr(trainable, '__name__', trainable)!r} has no argument {name!r}; it has: {known}"
                )
    return WithParameters(trainable, kwargs)
