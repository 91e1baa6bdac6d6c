"""Configurations after modules came or went: what is saved, and what runners and learners are made by from then on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig

    Config = TypeVar("Config", bound=AlgorithmConfig)


def with_modules(
    config: Config,
    specs: Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    mapping: Callable[..., str] | None = None,
    to_train: Any = None,
) -> Config:
    """Returns a frozen configuration with these modules and no others.

    Args:
        config: of before.
        specs: by id, how each is made (an RLModuleSpec), or None for the algorithm's own way.
        overrides: settings that differ, by module, besides those that there are.
        mapping: of agents to modules; None for as before.
        to_train: which are trained; None for as before.
    """
    changed = config.copy(copy_frozen=False)
    changed.policies = {module_id: _settled(spec) for module_id, spec in specs.items()}
    kept = {**changed.algorithm_config_overrides_per_module, **(overrides or {})}
    changed.algorithm_config_overrides_per_module = {name: own for name, own in kept.items() if name in specs}
    given = changed._rl_module_spec
    if hasattr(given, "rl_module_specs"):  # one for each: those that are still there
        own = {module_id: spec for module_id, spec in given.rl_module_specs.items() if module_id in specs}
        changed._rl_module_spec = replace(given, rl_module_specs=own)
    if mapping is not None:
        changed.policy_mapping_fn = mapping
    if to_train is not None:
        changed.policies_to_train = to_train
    elif isinstance(changed.policies_to_train, Collection):
        changed.policies_to_train = [name for name in changed.policies_to_train if name in specs]
    changed.freeze()
    return changed


def _settled(spec: Any) -> Any:
    """How a module is made again: not from the checkpoint that it first started from."""
    return spec if getattr(spec, "load_state_path", None) is None else replace(spec, load_state_path=None)
