"""Whether settings fit one another."""

from __future__ import annotations

from typing import Any

from shoal.rllib._internal.config.checks import is_search_space
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.utils.error import ConfigError, close_matches


def check_fit(config: Any) -> None:
    """Raises ConfigError where settings of a configuration cannot go together."""
    for name, value in config.items():
        if is_search_space(value) and name != "env_config":
            raise ConfigError(
                f"{name} is {value!r}, which Tune has to put a value for; give the configuration to tune.Tuner(..., param_space=config)"
            )
    size = config.minibatch_size
    if size is not None and size > config.train_batch_size_per_learner:
        raise ConfigError(
            f"minibatch_size is {size}, and a learner's batch has train_batch_size_per_learner = {config.train_batch_size_per_learner} "
            "steps; make the minibatch no larger than the batch"
        )
    if config.lr is None and "actor_lr" not in config:
        raise ConfigError("lr is None; give a learning rate, or a schedule: [[timestep, rate], ...]")
    algorithm = config.algo_class
    samples = algorithm is not None and algorithm.__module__.startswith("shoal.rllib.") and algorithm.needs_env_runners
    if samples and config.is_offline and not config.in_evaluation:
        raise ConfigError(
            f"input_ is {config.input_!r}, and {algorithm.__name__} learns from what it samples; BC, MARWIL, CQL and IQL learn from "
            "recorded data"
        )
    if config.evaluation_parallel_to_training and config.evaluation_num_env_runners < 1:
        raise ConfigError(
            "evaluation_parallel_to_training needs actors that evaluate: set evaluation_num_env_runners to 1 or more"
        )
    if config.evaluation_duration == "auto" and not config.evaluation_parallel_to_training:
        raise ConfigError(
            "evaluation_duration is 'auto': for as long as training takes; so it needs evaluation_parallel_to_training=True"
        )
    if not isinstance(config.policies, set | list | tuple | dict | frozenset) or not config.policies:
        raise ConfigError(
            f"policies is {config.policies!r}; give the ids of one or more policies, in a set, a list or a dict"
        )
    if isinstance(config.policies_to_train, list | tuple | set | frozenset):
        strange = [policy for policy in config.policies_to_train if policy not in config.policies]
        if strange:
            raise ConfigError(
                f"policies_to_train has {strange[0]!r}, which is none of policies: {sorted(config.policies)}."
                + close_matches(str(strange[0]), config.policies)
            )
    modules = {*config.policies, *getattr(config._rl_module_spec, "rl_module_specs", {})}
    for module_id in config.algorithm_config_overrides_per_module:
        if module_id not in modules and module_id != DEFAULT_MODULE_ID:
            raise ConfigError(
                f"algorithm_config_overrides_per_module has {module_id!r}, which is none of policies: {sorted(modules)}."
                + close_matches(module_id, modules)
            )
    mode = getattr(config.gym_env_vectorize_mode, "value", config.gym_env_vectorize_mode)
    if config.render_env and mode != "sync":
        raise ConfigError(
            f"render_env shows one of several environments, and gym_env_vectorize_mode={mode!r} lets none be reached; leave it 'sync'"
        )
