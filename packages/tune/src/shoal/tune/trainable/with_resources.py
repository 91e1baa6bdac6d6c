"""A trainable, and what each of its trials needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory

if TYPE_CHECKING:
    from shoal.train import ScalingConfig

    Resources = Mapping[str, Any] | PlacementGroupFactory | ScalingConfig | Callable[[dict[str, Any]], Any]


class WithResources:
    """What `with_resources` returns: the trainable, called as before, and what it needs."""

    def __init__(self, trainable: Any, resources: Resources) -> None:
        self.trainable = trainable
        self.resources = resources
        self.__name__ = getattr(trainable, "__name__", type(trainable).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.trainable(*args, **kwargs)


def with_resources(trainable: Any, resources: Resources) -> Any:
    """Returns a trainable whose trials have other resources than one CPU.

    Args:
        trainable: a function, a class, a trainer or a registered name.
        resources: a dict (`cpu`, `gpu`, `memory` in bytes, or any resource by name, also in `custom_resources`), a
            PlacementGroupFactory, a ScalingConfig, or a function from a configuration to one of these.

    Raises:
        InvalidArgumentError: (a ValueError) resources is none of these.

    Example:
        >>> from shoal import tune
        >>> trainable = tune.with_resources(lambda config: {"loss": 1}, {"cpu": 2})
    """
    if not callable(resources):
        bundles_for(resources)  # checks
    return WithResources(trainable, resources)


def bundles_for(resources: Any) -> PlacementGroupFactory:
    """Returns what a user's description of resources says. Raises InvalidArgumentError."""
    from shoal.train import ScalingConfig

    if isinstance(resources, PlacementGroupFactory):
        return resources
    if isinstance(resources, ScalingConfig):
        workers = [dict(resources.resources) for _ in range(max(1, resources.max_workers))]
        return PlacementGroupFactory([{}, *workers], strategy=resources.placement_strategy)
    if isinstance(resources, Mapping):
        bundle: dict[str, float] = {}
        own = resources.get("custom_resources", {})
        if not isinstance(own, Mapping):
            raise InvalidArgumentError(f"resources has 'custom_resources': {own!r}; give a dict of names and amounts")
        named = [(name, amount) for name, amount in resources.items() if name != "custom_resources"]
        for name, amount in [*named, *own.items()]:
            if isinstance(amount, bool) or not isinstance(amount, int | float):
                raise InvalidArgumentError(f"resources has {name!r}: {amount!r}; give an amount >= 0")
            bundle[_NAMES.get(str(name), str(name))] = float(amount)
        return PlacementGroupFactory([bundle])
    raise InvalidArgumentError(
        f"resources is {resources!r}; give a dict such as {{'cpu': 2}}, a PlacementGroupFactory, a ScalingConfig, or a function of the "
        "configuration that returns one"
    )


_NAMES = {"cpu": "CPU", "gpu": "GPU", "num_cpus": "CPU", "num_gpus": "GPU"}
