"""How the modules are made that a configuration asks for, with all gaps filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.config.values import as_dict, differs
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.core.rl_module.default_model_config import mask_key
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.utils.error import ConfigError

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig


def filled_specs(config: AlgorithmConfig, env: Any, spaces: Any, inference_only: bool) -> MultiRLModuleSpec:
    """Returns what all policies' modules are made by. Arguments as of `AlgorithmConfig.get_multi_rl_module_spec`."""
    default = config.get_default_rl_module_spec() if _has_default(config) else None
    given = config._rl_module_spec
    base = config.model_config
    if isinstance(given, MultiRLModuleSpec):
        multi = given.copy()
        specs = dict(multi.rl_module_specs)
        of_several = as_dict(multi.model_config)
    else:
        multi = MultiRLModuleSpec(model_config=base)
        specs = {}
        of_several = {}
    ids = config.policies if not isinstance(config.policies, set | frozenset) else sorted(config.policies)
    for module_id in [*specs, *(module_id for module_id in ids if module_id not in specs)]:
        own = config.policies[module_id] if isinstance(config.policies, dict) else None
        spec_of_all = module_id not in specs and not isinstance(own, RLModuleSpec)
        spec = specs.get(module_id) or (own if isinstance(own, RLModuleSpec) else given)
        spec = RLModuleSpec() if spec is None or isinstance(spec, MultiRLModuleSpec) else spec.copy()
        fallback = default.rl_module_specs.get(module_id) if isinstance(default, MultiRLModuleSpec) else default
        of_default: dict[str, Any] = {}
        if spec.module_class is None and fallback is not None:
            spec.module_class = fallback.module_class
            spec.catalog_class = spec.catalog_class or fallback.catalog_class
            of_default = {**as_dict(fallback.model_config), **as_dict(config._model_config)}
        if spec.observation_space is None or spec.action_space is None:
            observations, actions = spaces_of(config, module_id, env, spaces)
            spec.observation_space = observations if spec.observation_space is None else spec.observation_space
            spec.action_space = actions if spec.action_space is None else spec.action_space
        # From what is said of all modules to what is said of this one.
        of_all = {**base, **of_default, **of_several, **(as_dict(spec.model_config) if spec_of_all else {})}
        changed = config.get_config_for_module(module_id).model_config
        of_it = {name: value for name, value in changed.items() if differs(value, base.get(name, UNSET))}
        spec.model_config = {**of_all, **of_it, **({} if spec_of_all else as_dict(spec.model_config))}
        _set_action_mask(config, spec)
        if inference_only:
            spec.inference_only = True
        specs[module_id] = spec
    if inference_only:
        specs = {module_id: spec for module_id, spec in specs.items() if not spec.learner_only}
    multi.rl_module_specs = specs
    multi.inference_only = inference_only
    return multi


def spaces_of(config: AlgorithmConfig, module_id: str, env: Any, spaces: Any) -> tuple[Any, Any]:
    """Returns the spaces of a module's observations and actions. Raises ConfigError."""
    # Beside a single policy, a module sees what that sees.
    known = next((name for name in (module_id, DEFAULT_MODULE_ID) if spaces is not None and name in spaces), None)
    if known is not None:
        found: tuple[Any, Any] = spaces[known]
        return found
    if spaces is not None and config.is_multi_agent and "__env__" in spaces:
        raise ConfigError(
            f"the spaces of module {module_id!r} are not known: no agent of the environment is mapped to it. Give them in an "
            f"RLModuleSpec; known are {sorted(map(str, spaces))}"
        )
    observations, actions = config.observation_space, config.action_space
    if env is not None:
        observations = getattr(env, "single_observation_space", getattr(env, "observation_space", observations))
        actions = getattr(env, "single_action_space", getattr(env, "action_space", actions))
    return observations, actions


def _set_action_mask(config: AlgorithmConfig, spec: RLModuleSpec) -> None:
    """Has a module that knows of it keep to the mask that its observations have."""
    key = mask_key(spec.observation_space, spec.action_space, config.action_mask_key)
    if key is not None and spec.model_config.get("action_mask_key") is None:
        spec.model_config = {**spec.model_config, "action_mask_key": key}


def _has_default(config: AlgorithmConfig) -> bool:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig

    return type(config).get_default_rl_module_spec is not AlgorithmConfig.get_default_rl_module_spec
