"""Modules of RLlib's that are not there: importing them says what to use instead."""

from __future__ import annotations

from typing import NoReturn

_CATALOGS = (
    "Catalogs build networks that model_config describes; leave out catalog_class, and set model_config, or derive a module from "
    "shoal.rllib.core.rl_module.torch.TorchRLModule and build the networks in its setup()."
)
_META_LEARNING = (
    "Learning by gradients of gradients waits; derive a learner from TorchLearner and define compute_gradients()."
)
_STEPPED = (
    "It is of Ray's old API stack. Environments are Gymnasium's, or MultiAgentEnvs; num_envs_per_env_runner copies of them are stepped "
    "together."
)
_OUTSIDE = (
    "Simulators that ask for actions over a socket are not served. Wrap the simulator as a gymnasium.Env, or serve the policy "
    "(examples/rllib_serve.py), record what happens as episodes, and learn from these: offline_data(input_=...)."
)
_WRAP = (
    "Wrap the environment as a gymnasium.Env, or as a MultiAgentEnv; Shimmy has wrappers for dm_control and OpenSpiel."
)
_SCRIPTS = "It has helpers of Ray's own examples and tests; a few lines of argparse, tune.Tuner and pytest do the same."
_OFF_POLICY = "Off-policy estimates are not there; evaluate_offline() gives losses of recorded steps, and evaluate() plays episodes."
ALTERNATIVES = {
    "evaluation": "It is of Ray's old API stack. What samples is in shoal.rllib.env, callbacks are in shoal.rllib.callbacks.callbacks.",
    "execution": "It is of Ray's old API stack. Define training_step() of an Algorithm: sample, learn, hand weights on.",
    "models": "It is of Ray's old API stack. Derive modules from shoal.rllib.core.rl_module.torch.TorchRLModule, with torch.nn's layers, "
    "activations and initializers; distributions are in shoal.rllib.core.distribution.torch.torch_distribution.",
    "policy": "It is of Ray's old API stack. Policies are modules (shoal.rllib.core.rl_module), names of columns are in "
    "shoal.rllib.core.columns.Columns, and batches are dictionaries.",
    "env.base_env": _STEPPED,
    "env.external": _OUTSIDE,
    "env.external_env": _OUTSIDE,
    "env.vector_env": _STEPPED,
    "env.wrappers.dm_control_wrapper": _WRAP,
    "env.wrappers.dm_env_wrapper": _WRAP,
    "env.wrappers.group_agents_wrapper": "Write a MultiAgentEnv whose agents are the groups: their spaces are Tuples of the members'.",
    "env.wrappers.open_spiel": _WRAP,
    "examples.utils": _SCRIPTS,
    "offline.estimators": _OFF_POLICY,
    "utils.test_utils": _SCRIPTS,
    "core.models.base": _CATALOGS,
    "core.models.catalog": _CATALOGS,
    "core.models.configs": _CATALOGS,
    "algorithms.bc.bc_catalog": _CATALOGS,
    "algorithms.dqn.dqn_catalog": _CATALOGS,
    "algorithms.ppo.ppo_catalog": _CATALOGS,
    "algorithms.sac.sac_catalog": _CATALOGS,
    "core.learner.differentiable_learner_config": _META_LEARNING,
    "core.learner.torch.torch_differentiable_learner": _META_LEARNING,
    "core.learner.torch.torch_meta_learner": _META_LEARNING,
}
"""By name below `shoal.rllib`."""


def refuse_import(name: str) -> NoReturn:
    """Raises ModuleNotFoundError.

    Args:
        name: `__name__` of the module that stands for the missing one.
    """
    instead = ALTERNATIVES[name.removeprefix("shoal.rllib.")]
    raise ModuleNotFoundError(f"There is no {name}. {instead}", name=name)
