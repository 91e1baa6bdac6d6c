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
ALTERNATIVES = {
    "evaluation": "It is of Ray's old API stack. What samples is in shoal.rllib.env, callbacks are in shoal.rllib.callbacks.callbacks.",
    "execution": "It is of Ray's old API stack. Define training_step() of an Algorithm: sample, learn, hand weights on.",
    "models": "It is of Ray's old API stack. Derive modules from shoal.rllib.core.rl_module.torch.TorchRLModule, with torch.nn's layers, "
    "activations and initializers; distributions are in shoal.rllib.core.distribution.torch.torch_distribution.",
    "policy": "It is of Ray's old API stack. Policies are modules (shoal.rllib.core.rl_module), names of columns are in "
    "shoal.rllib.core.columns.Columns, and batches are dictionaries.",
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
