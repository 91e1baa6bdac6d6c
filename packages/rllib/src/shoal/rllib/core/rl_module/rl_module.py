"""A module: networks, and how actions come out of them."""

from __future__ import annotations

import abc
import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.rllib.utils.checkpoints import Checkpointable, Components
from shoal.rllib.utils.error import ConfigError

if TYPE_CHECKING:
    import gymnasium as gym

    from shoal.rllib.core.distribution.distribution import Distribution
    from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModule


class RLModule(Checkpointable, abc.ABC):
    """A policy, with whatever else is learned beside it. Derive from `TorchRLModule`; build networks in `setup`, use them in `_forward`.

    Args:
        observation_space: of the observations that it gets.
        action_space: of the actions that its outputs stand for.
        inference_only: whether only what computes actions is wanted.
        learner_only: whether environment runners have no copy of it.
        model_config: anything that `setup` wants to know, as `self.model_config`.
        catalog_class: accepted for Ray's sake; kept as `self.catalog_class`.
    """

    framework = "torch"
    action_dist_cls: type[Distribution] | None = None
    STATE_FILE_NAME = "module_state"

    def __init__(
        self,
        config: Any = None,
        *,
        observation_space: gym.Space[Any] | None = None,
        action_space: gym.Space[Any] | None = None,
        inference_only: bool | None = None,
        learner_only: bool = False,
        model_config: Any = None,
        catalog_class: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise ConfigError(f"{type(self).__name__} has no argument {next(iter(kwargs))!r}")
        self.observation_space = observation_space
        self.action_space = action_space
        self.inference_only = bool(inference_only)
        self.learner_only = learner_only
        self.catalog_class = catalog_class
        self.catalog: Any = None
        if dataclasses.is_dataclass(model_config) and not isinstance(model_config, type):
            model_config = {item.name: getattr(model_config, item.name) for item in dataclasses.fields(model_config)}
        self.model_config: dict[str, Any] = dict(model_config or {})
        self._set_up()

    def _set_up(self) -> None:
        from shoal.rllib.core.rl_module.apis.inference_only_api import InferenceOnlyAPI

        self.setup()
        if self.inference_only and isinstance(self, InferenceOnlyAPI):
            for path in self.get_non_inference_attributes():
                *parents, name = path.split(".")
                owner: Any = self
                for parent in parents:
                    owner = getattr(owner, parent)
                if hasattr(owner, name):
                    delattr(owner, name)

    # --- what a module defines ----------------------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Builds the networks. `self.observation_space`, `self.action_space` and `self.model_config` are there."""

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs for a batch, wherever none of the three below is defined: `action_dist_inputs`, or `actions`."""
        raise NotImplementedError(
            f"{type(self).__name__} has no _forward(batch); define it, and return {{'action_dist_inputs': ...}} from it"
        )

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs for the likeliest actions."""
        return self._forward(batch, **kwargs)

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs that actions are sampled of."""
        return self._forward(batch, **kwargs)

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs for the loss."""
        return self._forward(batch, **kwargs)

    def get_initial_state(self) -> Any:
        """Returns the state that an episode starts with, by name: arrays without a batch axis. Empty for modules without a memory."""
        return {}

    # --- what is called -----------------------------------------------------------------------------------------------------------

    def forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs for the likeliest actions, without gradients."""
        return self._forward_inference(batch, **kwargs)

    def forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs that actions are sampled of, without gradients."""
        return self._forward_exploration(batch, **kwargs)

    def forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Computes outputs for the loss."""
        return self._forward_train(batch, **kwargs)

    def is_stateful(self) -> bool:
        """Whether it has a memory."""
        return bool(self.get_initial_state())

    def _distribution_class(self) -> type[Distribution]:
        if self.action_dist_cls is not None:
            return self.action_dist_cls
        raise ConfigError(f"{type(self).__name__} has no action_dist_cls; set it in setup()")

    def get_inference_action_dist_cls(self) -> type[Distribution]:
        """Returns the class of distributions that `forward_inference`'s outputs stand for."""
        return self._distribution_class()

    def get_exploration_action_dist_cls(self) -> type[Distribution]:
        """Returns the class of distributions that `forward_exploration`'s outputs stand for."""
        return self._distribution_class()

    def get_train_action_dist_cls(self) -> type[Distribution]:
        """Returns the class of distributions that `forward_train`'s outputs stand for."""
        return self._distribution_class()

    def as_multi_rl_module(self) -> MultiRLModule:
        """Returns a MultiRLModule that has this one alone."""
        from shoal.rllib.core import DEFAULT_MODULE_ID
        from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModule

        multi = MultiRLModule()
        multi.add_module(DEFAULT_MODULE_ID, self)
        return multi

    def unwrapped(self) -> RLModule:
        """Returns the module itself, where something wraps it."""
        return self

    def input_specs_inference(self) -> list[str]:
        return ["obs"]

    def input_specs_exploration(self) -> list[str]:
        return ["obs"]

    def input_specs_train(self) -> list[str]:
        return ["obs"]

    def output_specs_inference(self) -> list[str]:
        return ["action_dist_inputs"]

    def output_specs_exploration(self) -> list[str]:
        return ["action_dist_inputs"]

    def output_specs_train(self) -> list[str]:
        return ["action_dist_inputs"]

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "inference_only": self.inference_only,
            "learner_only": self.learner_only,
            "model_config": self.model_config,
            "catalog_class": self.catalog_class,
        }

    def get_state(
        self,
        components: Components = None,
        *,
        not_components: Components = None,
        inference_only: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns what it has learned: nothing, where it has no parameters."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` gave."""


@dataclass
class RLModuleSpec:
    """How a module is made. What is None is filled in by the algorithm.

    Args:
        module_class: a class derived from `TorchRLModule`.
        observation_space: as of `RLModule`.
        action_space: as of `RLModule`.
        inference_only: as of `RLModule`.
        learner_only: as of `RLModule`.
        model_config: as of `RLModule`.
        catalog_class: as of `RLModule`.
        load_state_path: a module's folder in a checkpoint, from which it starts.

    Example:
        >>> import gymnasium as gym
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
        >>> config = PPOConfig().rl_module(rl_module_spec=RLModuleSpec(model_config={"fcnet_hiddens": [64]}))
    """

    module_class: type[RLModule] | None = None
    observation_space: gym.Space[Any] | None = None
    action_space: gym.Space[Any] | None = None
    inference_only: bool = False
    learner_only: bool = False
    model_config: Any = None
    catalog_class: Any = None
    load_state_path: str | None = None

    def __post_init__(self) -> None:
        given = self.module_class
        if given is not None and (not callable(given) or (inspect.isclass(given) and not issubclass(given, RLModule))):
            raise ConfigError(f"module_class is {self.module_class!r}; give a class derived from TorchRLModule")

    def build(self) -> RLModule:
        """Returns the module.

        Raises:
            ConfigError: there is no module_class, or no space.
            CheckpointError: `load_state_path` has no module.
        """
        if self.module_class is None:
            raise ConfigError("module_class is None; give a class derived from TorchRLModule")
        for name in ("observation_space", "action_space"):
            if getattr(self, name) is None:
                raise ConfigError(
                    f"{name} is None, so {self.module_class.__name__} cannot be made; give it, or an environment"
                )
        module = self.module_class(
            observation_space=self.observation_space,
            action_space=self.action_space,
            inference_only=self.inference_only,
            learner_only=self.learner_only,
            model_config=self.model_config,
            catalog_class=self.catalog_class,
        )
        if self.load_state_path is not None:
            module.restore_from_path(self.load_state_path)
        return module

    @classmethod
    def from_module(cls, module: RLModule) -> RLModuleSpec:
        """Returns how another module like this one is made."""
        return cls(
            module_class=type(module),
            observation_space=module.observation_space,
            action_space=module.action_space,
            inference_only=module.inference_only,
            learner_only=module.learner_only,
            model_config=module.model_config,
            catalog_class=module.catalog_class,
        )

    def copy(self) -> RLModuleSpec:
        return dataclasses.replace(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields by name."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> RLModuleSpec:
        """Returns what `to_dict` was asked of."""
        return cls(**given)

    def update(self, other: RLModuleSpec, override: bool = True) -> None:
        """Takes what another one has, where it is not None; with `override=False` only where this one has nothing."""
        for item in dataclasses.fields(other):
            value = getattr(other, item.name)
            if value is not None and (override or getattr(self, item.name) in (None, False)):
                setattr(self, item.name, value)

    def as_multi_rl_module_spec(self) -> Any:
        """Returns a MultiRLModuleSpec that has this one alone."""
        from shoal.rllib.core import DEFAULT_MODULE_ID
        from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec

        return MultiRLModuleSpec(rl_module_specs={DEFAULT_MODULE_ID: self})
