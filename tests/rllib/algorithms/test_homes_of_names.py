"""Parts of algorithms are found where programs written for Ray look for them."""

from __future__ import annotations

import importlib

import pytest

from shoal.rllib import algorithms
from shoal.rllib.core.learner.torch.torch_learner import TorchLearner
from shoal.rllib.core.learner.utils import make_target_network, update_target_network
from shoal.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule

HOMES = {
    "ppo.ppo": "PPO PPOConfig LEARNER_RESULTS_KL_KEY LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY",
    "dqn.dqn": "DQN DQNConfig",
    "dqn.dqn_learner": "QF_LOSS_KEY QF_MEAN_KEY QF_PREDS TD_ERROR_MEAN_KEY",
    "sac.sac": "SAC SACConfig",
    "sac.sac_learner": "LOGPS_KEY QF_LOSS_KEY TD_ERROR_MEAN_KEY",
    "impala.impala": "IMPALA IMPALAConfig",
    "appo.appo": "APPO APPOConfig LEARNER_RESULTS_KL_KEY",
    "bc.bc": "BC BCConfig",
    "marwil.marwil": "MARWIL MARWILConfig",
    "cql.cql": "CQL CQLConfig",
    "iql.iql": "IQL IQLConfig",
}
WITH_LEARNER_FILES = ("ppo", "dqn", "sac", "impala", "appo", "marwil", "iql")
WITH_MODULES = ("ppo", "dqn", "sac", "appo", "bc", "cql", "iql")


@pytest.mark.parametrize(("module", "names"), HOMES.items())
def test_names_of_algorithms(module: str, names: str) -> None:
    home = importlib.import_module(f"shoal.rllib.algorithms.{module}")
    assert all(hasattr(home, name) for name in names.split())


@pytest.mark.parametrize("name", ["ppo", "dqn", "sac", "impala", "appo", "marwil", "cql", "iql"])
def test_learners_to_derive_from(name: str) -> None:
    home = importlib.import_module(f"shoal.rllib.algorithms.{name}.torch.{name}_torch_learner")
    learner = getattr(home, f"{name.upper()}TorchLearner")
    assert issubclass(learner, TorchLearner)
    if name in WITH_LEARNER_FILES:
        general = importlib.import_module(f"shoal.rllib.algorithms.{name}.{name}_learner")
        assert issubclass(learner, getattr(general, f"{name.upper()}Learner"))


@pytest.mark.parametrize("name", WITH_MODULES)
def test_modules_to_derive_from(name: str) -> None:
    home = importlib.import_module(f"shoal.rllib.algorithms.{name}.torch.default_{name}_torch_rl_module")
    assert issubclass(getattr(home, f"Default{name.upper()}TorchRLModule"), TorchRLModule)


def test_the_default_is_what_can_be_derived_from() -> None:
    from shoal.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
    from shoal.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
    from shoal.rllib.algorithms.ppo.torch.ppo_torch_rl_module import PPOTorchRLModule

    config = algorithms.PPOConfig()
    assert config.get_default_learner_class() is PPOTorchLearner
    assert config.get_default_rl_module_spec().module_class is DefaultPPOTorchRLModule is PPOTorchRLModule


def test_the_package_has_the_names_of_all() -> None:
    assert algorithms.Algorithm in algorithms.SAC.__mro__
    assert algorithms.AlgorithmConfig in algorithms.BCConfig.__mro__
    with pytest.raises(AttributeError, match="has no attribute 'PP0'"):
        _ = algorithms.PP0


def test_a_setter_of_ones_own_leaves_what_was_not_given() -> None:
    from shoal.rllib.algorithms.algorithm_config import NotProvided

    class Config(algorithms.PPOConfig):
        def __init__(self) -> None:
            super().__init__()
            self.num_things = 5

        def training(self, *, num_things: int = NotProvided, **others: object) -> Config:
            super().training(**others)
            if num_things is not NotProvided:
                self.num_things = num_things
            return self

    assert Config().training(lr=0.1).num_things == 5
    assert Config().training(num_things=7).copy().num_things == 7


def test_a_target_network_takes_no_gradients_and_follows() -> None:
    import torch

    main = torch.nn.Linear(2, 1)
    target = make_target_network(main)
    with torch.no_grad():
        main.weight += 1.0
    assert not any(weights.requires_grad for weights in target.parameters())
    update_target_network(main_net=main, target_net=target, tau=1.0)
    assert torch.equal(main.weight, target.weight)
