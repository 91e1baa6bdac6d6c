"""The configuration of an algorithm: set by chained methods, frozen once an algorithm goes by it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, Self

from shoal.rllib._internal.config.checks import check_setting, is_search_space
from shoal.rllib._internal.config.fit import check_fit
from shoal.rllib._internal.config.old_names import OLD_NAMES, SCHEDULES
from shoal.rllib._internal.config.setters import SETTERS, ConfigSetters
from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.config.values import as_dict, copied, differs, plain
from shoal.rllib._internal.config.without_effect import passed_over, tell
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.utils.error import ConfigError, UnknownSettingError, close_matches

if TYPE_CHECKING:
    import gymnasium as gym

    from shoal.rllib.algorithms.algorithm import Algorithm
    from shoal.rllib.core.learner.learner import Learner
    from shoal.rllib.core.learner.learner_group import LearnerGroup
    from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
    from shoal.rllib.core.rl_module.rl_module import RLModuleSpec

Spaces = Mapping[str, tuple["gym.Space[Any]", "gym.Space[Any]"]]

NotProvided = UNSET
"""The default of arguments of setters: what was not given leaves a setting as it is. For setters of one's own."""

# Attributes that are no settings.
_NOT_SET = frozenset({"_frozen", "_luggage", "algo_class"})
# Settings whose attribute has another name than the argument.
_STORED_AS = {
    "is_atari": "_is_atari",
    "learner_class": "_learner_class",
    "model": "_model_config",
    "model_config": "_model_config",
    "rl_module_spec": "_rl_module_spec",
    "train_batch_size_per_learner": "_train_batch_size_per_learner",
    "callbacks": "callbacks_class",
    "framework": "framework_str",
}
_SHOWN_AS = {
    "_is_atari": "is_atari",
    "_learner_class": "learner_class",
    "_model_config": "model_config",
    "_rl_module_spec": "rl_module_spec",
    "_train_batch_size_per_learner": "train_batch_size_per_learner",
}


class AlgorithmConfig(ConfigSetters):
    """What an algorithm does, and on what. Each algorithm has a class of its own, with defaults of its own.

    The setters (`environment`, `env_runners`, `training`, `learners`, `rl_module`, `multi_agent`, `evaluation`, ...) return the
    configuration, so they can be chained. Settings can also be read and set as attributes, and read as in a dict.

    Args:
        algo_class: what it builds.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> config = PPOConfig().environment("CartPole-v1").training(lr=3e-4, gamma=0.98)
        >>> config.gamma, config["lr"]
        (0.98, 0.0003)
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__()
        self.algo_class = algo_class

    # --- as a whole ---------------------------------------------------------------------------------------------------------------

    def copy(self, copy_frozen: bool | None = None) -> Self:
        """Returns a copy that shares nothing with this one that either could change.

        Args:
            copy_frozen: whether the copy is frozen; None for as this one is.
        """
        made = type(self).__new__(type(self))
        for name, value in vars(self).items():
            object.__setattr__(made, name, copied(value))
        object.__setattr__(made, "_frozen", self._frozen if copy_frozen is None else copy_frozen)
        return made

    def __deepcopy__(self, memo: Any) -> Self:
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        # To other processes, and to checkpoints, go also the creators of environments that this process knows by name.
        from shoal.rllib.env.registration import packed

        return {**vars(self), "_luggage": packed(self._names_of_envs(), self._luggage)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({**vars(type(self)()), **state})  # an older checkpoint's has not all of today's settings

    def _names_of_envs(self) -> list[str]:
        evaluating = self.evaluation_config
        of = [self.env, evaluating.get("env") if isinstance(evaluating, Mapping) else None]
        return [env for env in of if isinstance(env, str)]

    def freeze(self) -> None:
        """Forbids changes from here on; they raise FrozenConfigError."""
        if isinstance(self.evaluation_config, AlgorithmConfig):
            self.evaluation_config.freeze()
        self._frozen = True

    @property
    def is_frozen(self) -> bool:
        return bool(self._frozen)

    def __setattr__(self, name: str, value: Any) -> None:
        known = vars(self)
        if known.get("_frozen") is None or name.startswith("_"):
            super().__setattr__(name, value)
            return
        name = OLD_NAMES.get(name, name)
        of_class = getattr(type(self), name, None)
        if callable(of_class) and name not in known:
            raise ConfigError(f"{type(self).__name__}.{name} is a method, and no setting; call config.{name}(...)")
        if isinstance(of_class, property) and of_class.fset is None:
            if name not in _STORED_AS:
                raise UnknownSettingError(f"{type(self).__name__}.{name} follows from settings, and cannot be set")
        elif name not in known and of_class is None:
            self._refuse_misspelled(name)
        check_setting(name, value)
        tell(name, value, known.get(name))
        super().__setattr__(_STORED_AS.get(name, name) if isinstance(of_class, property) else name, value)

    def _refuse_misspelled(self, name: str) -> None:
        """Raises UnknownSettingError where a name looks like a setting's. Others may be kept: they are the program's own."""
        close = difflib.get_close_matches(name, list(self.keys()), n=1, cutoff=0.85)
        if close:
            raise UnknownSettingError(
                f"{type(self).__name__} has no setting {name!r}. Did you mean {close[0]!r}? (What a program keeps of its own needs another "
                "name.)"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns all settings by name. `update_from_dict` takes them."""
        return {_SHOWN_AS.get(name, name): copied(value) for name, value in vars(self).items() if name not in _NOT_SET}

    def as_param_space(self) -> dict[str, Any]:
        """Returns the settings that differ from the defaults, for Tune: what of them is a domain or a grid is what is searched."""
        defaults = type(self)().to_dict()
        return {name: value for name, value in self.to_dict().items() if differs(value, defaults.get(name))}

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any]) -> Self:
        """Returns this class's defaults, changed by a dict of settings. Raises ConfigError."""
        return cls().update_from_dict(config_dict)

    def update_from_dict(self, config_dict: Mapping[str, Any]) -> Self:
        """Sets what a dict has.

        Args:
            config_dict: settings by name; old names are understood.

        Returns:
            This configuration.

        Raises:
            UnknownSettingError: (a ConfigError) there is no such setting; the message has those that look like it.
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        for given, value in config_dict.items():
            name = OLD_NAMES.get(given, given)
            if given in SCHEDULES and value is None:
                continue
            if name == "multiagent" and isinstance(value, Mapping):
                self.multi_agent(**value)
            elif name == "callbacks_functions" and isinstance(value, Mapping):
                self.callbacks_functions = {**self.callbacks_functions, **value}
            elif (stored := _STORED_AS.get(name, name)) in vars(self) and stored not in _NOT_SET:
                check_setting(name, value)
                tell(name, value, getattr(self, stored))
                if (
                    stored in ("env_config", "replay_buffer_config")
                    and isinstance(value, Mapping)
                    and not is_search_space(value)
                ):
                    value = {**getattr(self, stored), **value}
                self._assign(stored, copied(value))
            elif name.startswith("on_") and callable(value):
                self.callbacks(**{name: value})
            elif not passed_over(name, value):
                raise UnknownSettingError(
                    f"{type(self).__name__} has no setting {given!r}.{close_matches(name, [*self.keys(), *OLD_NAMES])}"
                )
        return self

    @classmethod
    def overrides(cls, **kwargs: Any) -> dict[str, Any]:
        """Returns settings as a dict, checked: for `evaluation_config` and `algorithm_config_overrides_per_module`.

        Raises:
            ConfigError: (a ValueError) there is no such setting, or it cannot have the value.

        Example:
            >>> from shoal.rllib.algorithms.ppo import PPOConfig
            >>> PPOConfig.overrides(explore=False)
            {'explore': False}
        """
        cls().update_from_dict(kwargs)
        return kwargs

    def get_state(self) -> dict[str, Any]:
        """Returns what `from_state` makes it of again."""
        return {"class": type(self), "settings": {name: copied(value) for name, value in vars(self).items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> AlgorithmConfig:
        """Returns the configuration that `get_state` was asked of. Settings that came later have their defaults."""
        made: AlgorithmConfig = state["class"]()
        vars(made).update({name: copied(value) for name, value in state["settings"].items()})
        return made

    def serialize(self) -> dict[str, Any]:
        """Returns all settings as what JSON has: classes and functions by their names, spaces as texts."""
        return {name: plain(value) for name, value in self.to_dict().items()}

    def keys(self) -> KeysView[str]:
        return self.to_dict().keys()

    def values(self) -> ValuesView[Any]:
        return self.to_dict().values()

    def items(self) -> ItemsView[str, Any]:
        return self.to_dict().items()

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a setting, or the default where there is none of that name."""
        return getattr(self, key, default)

    def pop(self, key: str, default: Any = None) -> Any:
        """Returns a setting. It stays: a configuration always has all."""
        return self.get(key, default)

    def __getitem__(self, key: str) -> Any:
        name = OLD_NAMES.get(key, key)
        if not isinstance(key, str) or not hasattr(self, name):
            raise KeyError(f"{type(self).__name__} has no setting {key!r}.{close_matches(str(key), self.keys())}")
        return getattr(self, name)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update_from_dict({key: value})

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and hasattr(self, OLD_NAMES.get(key, key))

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AlgorithmConfig) and type(self) is type(other) and self.to_dict() == other.to_dict()

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        defaults = vars(type(self)())
        changed = [
            f"{_SHOWN_AS.get(name, name)}={value!r}"
            for name, value in vars(self).items()
            if name not in _NOT_SET and differs(value, defaults.get(name))
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    # --- what it is ---------------------------------------------------------------------------------------------------------------

    @property
    def is_multi_agent(self) -> bool:
        """Whether several policies, or a mapping of agents to policies, were given."""
        from shoal.rllib._internal.config.settings import default_policy_mapping

        one = len(self.policies) == 1 and DEFAULT_MODULE_ID in self.policies
        return not one or self.policy_mapping_fn is not default_policy_mapping

    @property
    def is_offline(self) -> bool:
        """Whether it learns from recorded data."""
        return self.input_ is not None and not (isinstance(self.input_, str) and self.input_ == "sampler")

    @property
    def is_online(self) -> bool:
        return not self.is_offline

    @property
    def enable_rl_module_and_learner(self) -> bool:
        """True: Ray's new API stack is the only one. Setting it to False raises ConfigError."""
        return True

    @enable_rl_module_and_learner.setter
    def enable_rl_module_and_learner(self, value: bool) -> None:
        self.api_stack(enable_rl_module_and_learner=value)

    @property
    def enable_env_runner_and_connector_v2(self) -> bool:
        """True: Ray's new API stack is the only one. Setting it to False raises ConfigError."""
        return True

    @enable_env_runner_and_connector_v2.setter
    def enable_env_runner_and_connector_v2(self, value: bool) -> None:
        self.api_stack(enable_env_runner_and_connector_v2=value)

    @property
    def is_atari(self) -> bool:
        """Whether the environment is an Atari game."""
        if self._is_atari is None:
            return isinstance(self.env, str) and self.env.startswith("ALE/")
        return self._is_atari

    @property
    def learner_class(self) -> type[Learner]:
        """The class that learns."""
        return self._learner_class or self.get_default_learner_class()

    @property
    def model_config(self) -> dict[str, Any]:
        """What modules are made by: the algorithm's defaults, changed by what was given."""
        return {**self._model_config_auto_includes, **as_dict(self._model_config)}

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return {}

    @property
    def rl_module_spec(self) -> RLModuleSpec | MultiRLModuleSpec:
        """What was given, over the algorithm's default."""
        return self._rl_module_spec if self._rl_module_spec is not None else self.get_default_rl_module_spec()

    @property
    def train_batch_size_per_learner(self) -> int:
        """Steps of a batch for each learner."""
        if self._train_batch_size_per_learner is not None:
            return self._train_batch_size_per_learner
        return max(1, self.train_batch_size // max(self.num_learners, 1))

    @train_batch_size_per_learner.setter
    def train_batch_size_per_learner(self, value: int | None) -> None:
        check_setting("train_batch_size_per_learner", value)
        self._train_batch_size_per_learner = value

    @property
    def total_train_batch_size(self) -> int:
        """Steps of a batch, of all learners together."""
        return self.train_batch_size_per_learner * max(self.num_learners, 1)

    # --- what algorithms override ---------------------------------------------------------------------------------------------------

    def get_default_learner_class(self) -> type[Learner]:
        """Returns the algorithm's learner."""
        raise NotImplementedError(
            f"{type(self).__name__} has no get_default_learner_class(); define it, or set learner_class"
        )

    def get_default_rl_module_spec(self) -> RLModuleSpec | MultiRLModuleSpec:
        """Returns what the algorithm's modules are made by."""
        raise NotImplementedError(
            f"{type(self).__name__} has no get_default_rl_module_spec(); define it, or set rl_module_spec"
        )

    def validate(self) -> None:
        """Looks at settings that have to fit one another. `build_algo` calls it. Raises ConfigError."""
        check_fit(self)
        self._validate_batch()

    def _validate_batch(self) -> None:
        """Whether the fragments of all environments make up a batch. Algorithms that sample otherwise override it."""

    # --- what is worked out ---------------------------------------------------------------------------------------------------------

    def get_rollout_fragment_length(self, worker_index: int = 0) -> int:
        """Returns how many steps each environment of a runner makes at a time.

        Args:
            worker_index: the runner's number, from 1; those before get the steps that do not divide evenly.
        """
        if self.rollout_fragment_length != "auto":
            return int(self.rollout_fragment_length)
        lanes = self.num_envs_per_env_runner * max(self.num_env_runners, 1)
        whole, rest = divmod(self.total_train_batch_size, lanes)
        takes_one_more = max(worker_index - 1, 0) * self.num_envs_per_env_runner < rest
        return max(1, whole + (1 if takes_one_more else 0))

    def get_config_for_module(self, module_id: str) -> Self:
        """Returns the configuration with what differs for a module."""
        found = self.algorithm_config_overrides_per_module.get(module_id)
        if not found:
            return self
        changed = self.copy(copy_frozen=False).update_from_dict(as_dict(found))
        changed.algorithm_config_overrides_per_module = {}
        changed.freeze()
        return changed

    def get_evaluation_config_object(self) -> AlgorithmConfig | None:
        """Returns what evaluation goes by; None where it is given by nothing."""
        if isinstance(self.evaluation_config, AlgorithmConfig):
            changed: AlgorithmConfig = self.evaluation_config.copy(copy_frozen=False)
        else:
            changed = self.copy(copy_frozen=False)
            changed.callbacks_class = self.callbacks_class
            if self.evaluation_config:
                changed.update_from_dict(self.evaluation_config)
        changed.in_evaluation = True
        changed.evaluation_config = None
        changed.num_env_runners = self.evaluation_num_env_runners
        changed.create_env_on_local_worker = self.evaluation_num_env_runners == 0
        if self.evaluation_duration_unit == "episodes":
            changed.batch_mode = "complete_episodes"
        return changed

    def get_multi_agent_setup(
        self, *, policies: Any = None, env: Any = None, spaces: Spaces | None = None, **_: Any
    ) -> tuple[dict[str, Any], Callable[..., bool]]:
        """Returns the policies with their spaces, and which of them are trained: a function of an id and a batch."""
        from shoal.rllib._internal.config.module_specs import spaces_of

        given = policies if policies is not None else self.policies
        ids = list(given) if isinstance(given, dict | list | tuple) else sorted(given)
        found = {module_id: spaces_of(self, module_id, env, spaces) for module_id in ids}
        return found, self.is_policy_to_train

    def is_policy_to_train(self, module_id: str, batch: Any = None) -> bool:
        """Whether a policy is trained."""
        wanted = self.policies_to_train
        if wanted is None:
            return True
        if callable(wanted):
            return bool(wanted(module_id, batch))
        return module_id in wanted

    def get_rl_module_spec(
        self, env: Any = None, spaces: Spaces | None = None, inference_only: bool | None = None
    ) -> RLModuleSpec:
        """Returns what a single policy's module is made by, with all gaps filled.

        Args:
            env: an environment (or vector of them) that has spaces, where `spaces` does not give them.
            spaces: the module's observation and action space, under its id.
            inference_only: whether only what computes actions is made.

        Raises:
            ConfigError: the spaces are not known.
        """
        return self.get_multi_rl_module_spec(env=env, spaces=spaces, inference_only=inference_only)[DEFAULT_MODULE_ID]

    def get_multi_rl_module_spec(
        self, *, env: Any = None, spaces: Spaces | None = None, inference_only: bool | None = None
    ) -> MultiRLModuleSpec:
        """Returns what all policies' modules are made by, with all gaps filled. Arguments as of `get_rl_module_spec`."""
        from shoal.rllib._internal.config.module_specs import filled_specs

        return filled_specs(self, env, spaces, bool(inference_only))

    # --- what is built ------------------------------------------------------------------------------------------------------------

    def build_algo(self, env: Any = None, logger_creator: Any = None, use_copy: bool = True) -> Algorithm:
        """Returns the algorithm, with its runners and learners at work.

        Args:
            env: as of `environment(env)`, where that was not called.
            logger_creator: accepted for Ray's sake.
            use_copy: whether the algorithm has a (frozen) copy; otherwise this very configuration is frozen.

        Raises:
            ConfigError: (a ValueError) settings that cannot work.
            EnvError: (a ValueError) the environment does not do what its spaces say.

        Example:
            >>> from shoal.rllib.algorithms.ppo import PPOConfig
            >>> algo = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0).build_algo()
            >>> algo.train()["training_iteration"]
            1
            >>> algo.stop()
        """
        if self.algo_class is None:
            raise ConfigError(
                f"{type(self).__name__} builds nothing: it was made without algo_class. Use an algorithm's own class"
            )
        config = self.copy(copy_frozen=False) if use_copy else self
        if env is not None:
            config.environment(env)
        return self.algo_class(config=config)

    build = build_algo

    def build_learner(self, *, env: Any = None, spaces: Spaces | None = None) -> Learner:
        """Returns a learner in this process, built. Raises ConfigError."""
        learner = self.learner_class(config=self, module_spec=self.get_multi_rl_module_spec(env=env, spaces=spaces))
        learner.build()
        return learner

    def build_learner_group(
        self, *, env: Any = None, spaces: Spaces | None = None, rl_module_spec: Any = None, placement_group: Any = None
    ) -> LearnerGroup:
        """Returns the group of learners, here or as actors. Raises ConfigError."""
        from shoal.rllib.core.learner.learner_group import LearnerGroup

        spec = rl_module_spec if rl_module_spec is not None else self.get_multi_rl_module_spec(env=env, spaces=spaces)
        return LearnerGroup(config=self, module_spec=spec, placement_group=placement_group)

    def build_env_to_module_connector(self, env: Any = None, spaces: Spaces | None = None, device: Any = None) -> Any:
        """Returns the pipeline from episodes to a module's batch."""
        from shoal.rllib.connectors.env_to_module.env_to_module_pipeline import build_env_to_module_pipeline

        return build_env_to_module_pipeline(self, env=env, spaces=dict(spaces) if spaces else None, device=device)

    def build_module_to_env_connector(self, env: Any = None, spaces: Spaces | None = None) -> Any:
        """Returns the pipeline from a module's outputs to actions."""
        from shoal.rllib.connectors.module_to_env.module_to_env_pipeline import build_module_to_env_pipeline

        return build_module_to_env_pipeline(self, env=env, spaces=dict(spaces) if spaces else None)

    def build_learner_connector(self, input_observation_space: Any, input_action_space: Any, device: Any = None) -> Any:
        """Returns the pipeline from episodes to a learner's batch."""
        from shoal.rllib.connectors.learner.learner_connector_pipeline import build_learner_pipeline

        return build_learner_pipeline(self, input_observation_space, input_action_space, device)


__all__ = ["SETTERS", "AlgorithmConfig", "Spaces"]
