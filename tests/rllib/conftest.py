"""Recorded data that several tests learn from, and a session that modules share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import shoal
from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch import TorchRLModule


class Balancing(TorchRLModule):
    """Balances CartPole's pole by a rule."""

    def setup(self) -> None:
        self.register_buffer("gains", torch.tensor([0.1, 0.25, 1.0, 1.0]))

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTIONS: ((batch[Columns.OBS] * self.gains).sum(-1) > 0).long()}


def recording(output: Any, **offline: Any) -> PPOConfig:
    """Returns the configuration of a runner that balances, and records it."""
    config = PPOConfig().environment("CartPole-v1").debugging(seed=7)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=2, batch_mode="complete_episodes")
    config.rl_module(rl_module_spec=RLModuleSpec(module_class=Balancing))
    return config.offline_data(output=output, **offline)


@pytest.fixture(scope="session")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rows of steps: twelve episodes of CartPole, balanced by a rule."""
    from shoal.rllib.offline.offline_env_runner import OfflineSingleAgentEnvRunner

    folder = tmp_path_factory.mktemp("recorded")
    runner = OfflineSingleAgentEnvRunner(config=recording(folder, output_write_episodes=False))
    for _ in range(3):
        runner.sample(num_episodes=4)
    runner.stop()
    return folder


CPUS = 4.0
PRELOAD = ["torch", "gymnasium", "shoal.rllib.env.single_agent_env_runner"]


@pytest.fixture(scope="module")
def session() -> None:
    """A session whose processes have imported what runners need. It stays for the next module, unless something is left in it."""
    if not (
        shoal.is_initialized()
        and shoal.cluster_resources().get("CPU") == CPUS
        and shoal.available_resources().get("CPU") == CPUS
    ):
        shoal.shutdown()
        shoal.init(num_cpus=int(CPUS), log_to_driver=False, preload=PRELOAD)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Ends the session after the last of these tests."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        shoal.shutdown()
