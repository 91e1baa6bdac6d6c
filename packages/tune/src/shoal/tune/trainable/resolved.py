"""What a user gave as the trainable, taken apart once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shoal.tune._internal.logic.slots import Bundles
from shoal.tune._internal.logic.trial_names import clean_name
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.registry import TRAINABLES
from shoal.tune.trainable.function_trainable import FunctionTrainable
from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory
from shoal.tune.trainable.trainable import Trainable
from shoal.tune.trainable.with_parameters import WithParameters
from shoal.tune.trainable.with_resources import WithResources, bundles_for

if TYPE_CHECKING:
    from shoal.train import ScalingConfig

ONE_CPU = PlacementGroupFactory([{"CPU": 1.0}])


class ResolvedTrainable:
    """What runs, what it is called, and what it needs.

    Args:
        trainable: a function, a class, a trainer, a registered name, or one of these with parameters or resources.

    Raises:
        InvalidArgumentError: it is none of these.
    """

    def __init__(self, trainable: Any) -> None:
        if isinstance(trainable, str):
            name: str | None = trainable
            trainable = TRAINABLES.get(trainable)
        else:
            name = None
        self._resources: Any = None
        if isinstance(trainable, WithResources):
            self._resources, trainable = trainable.resources, trainable.trainable
            if isinstance(trainable, str):
                name, trainable = trainable, TRAINABLES.get(trainable)
        inner = trainable.trainable if isinstance(trainable, WithParameters) else trainable
        if inspect.isclass(inner) and issubclass(inner, FunctionTrainable):
            name = name or inner.__name__
            trainable = inner = inner._function
        self.is_trainer = not inspect.isclass(inner) and callable(getattr(inner, "as_trainable", None))
        self._scaling: ScalingConfig | None = None
        if self.is_trainer:
            name = name or type(inner).__name__
            self._scaling = getattr(inner, "scaling_config", None) or getattr(inner, "_scaling", None)
            trainable = inner = inner.as_trainable()
        elif (
            inspect.isclass(inner)
            and not issubclass(inner, Trainable)
            and callable(getattr(inner, "as_trainable", None))
        ):
            # A class of another library (RLlib's algorithms) that makes a Trainable of itself, where Tune is.
            name = name or inner.__name__
            inner = inner.as_trainable()  # type: ignore[attr-defined]
            trainable = WithParameters(inner, trainable.parameters) if isinstance(trainable, WithParameters) else inner
        self.is_class = inspect.isclass(inner)
        if self.is_class and not issubclass(inner, Trainable):
            raise InvalidArgumentError(f"trainable is the class {inner.__name__}; derive it from shoal.tune.Trainable")
        if not callable(inner):
            raise InvalidArgumentError(
                f"trainable is {inner!r}; give a function of a configuration, a subclass of tune.Trainable, a trainer, or a registered name"
            )
        if not self.is_class and not self.is_trainer and not isinstance(trainable, WithParameters):
            _check_signature(inner)
        self.trainable = trainable
        self.name = clean_name(name or name_of(inner))
        self._class = inner if self.is_class else None

    @property
    def reserves(self) -> bool:
        """Whether a trial's resources are taken for it; trainers take them themselves."""
        return self._scaling is None or self._resources is not None

    @property
    def strategy(self) -> str:
        """Of placement groups, where resources do not depend on the configuration."""
        if self._resources is None or callable(self._resources):
            return "PACK"
        return bundles_for(self._resources).strategy

    @property
    def fixed_resources(self) -> Bundles | None:
        """A trial's bundles, where they do not depend on its configuration."""
        if callable(self._resources) or (self._resources is None and (self.is_class or self.is_trainer)):
            return None
        return self.resources({})

    @property
    def resources(self) -> Callable[[dict[str, Any]], Bundles]:
        """A trial's bundles, by its configuration."""
        given, kind, scaling = self._resources, self._class, self._scaling

        def bundles(config: dict[str, Any]) -> Bundles:
            if given is not None:
                found = bundles_for(given(config) if callable(given) else given)
            elif scaling is not None:
                found = _workers(config.get("scaling_config"), scaling)
            else:
                asked = kind.default_resource_request(config) if kind is not None else None
                found = bundles_for(asked) if asked is not None else ONE_CPU
            return tuple(dict(bundle) for bundle in found.bundles)

        return bundles


def _workers(given: Any, default: ScalingConfig) -> PlacementGroupFactory:
    """Returns what a trainer's workers need; a configuration may have others than the trainer."""
    from shoal.train import ScalingConfig

    scaling = ScalingConfig(**given) if isinstance(given, Mapping) else given or default
    return bundles_for(scaling) if scaling.max_workers > 0 else ONE_CPU


def name_of(trainable: Any) -> str:
    """Returns what a function or class is called."""
    while isinstance(trainable, functools.partial):
        trainable = trainable.func
    name = getattr(trainable, "__name__", type(trainable).__name__)
    return "lambda" if name == "<lambda>" else str(name)


def _check_signature(function: Any) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind({})
    except TypeError as error:
        raise InvalidArgumentError(
            f"trainable {name_of(function)!r} is called with one argument, the configuration, and has the arguments {signature}: {error}. "
            "Give it `config` alone; tune.with_parameters(trainable, ...) gives it others."
        ) from error
