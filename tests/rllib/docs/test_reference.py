"""The reference page says what the docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = (
    "algorithms.algorithm_config",
    "algorithms.algorithm",
    "algorithms.registry",
    "env.registration",
    "env.env_context",
    "env.env_runner",
    "env.single_agent_env_runner",
    "env.env_runner_group",
    "env.single_agent_episode",
    "env.multi_agent_episode",
    "callbacks.callbacks",
    "core.rl_module.rl_module",
    "core.rl_module.multi_rl_module",
    "core.rl_module.default_model_config",
    "core.rl_module.apis",
    "core.distribution.distribution",
    "core.learner.learner",
    "core.learner.learner_group",
    "connectors.connector_v2",
    "connectors.connector_pipeline_v2",
    "connectors.common.frame_stacking",
    "connectors.env_to_module.flatten_observations",
    "connectors.env_to_module.mean_std_filter",
    "connectors.env_to_module.observation_preprocessor",
    "connectors.env_to_module.prev_actions_prev_rewards",
    "offline.offline_data",
    "offline.offline_prelearner",
    "utils.metrics.metrics_logger",
    "utils.replay_buffers",
    "utils.checkpoints",
    "utils.schedules.scheduler",
    "utils.curves",
    "utils.videos",
    "utils.spaces.space_utils",
    "utils.numpy",
    "utils.torch_utils",
    "utils.error",
)


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    modules = [f"shoal.rllib.{name}" for name in MODULES]
    command = [sys.executable, ".ci/reference.py", "shoal.rllib", str(made), *modules]
    subprocess.run(command, cwd=ROOT, check=True)
    page = ROOT / "docs" / "reference-rllib.md"
    assert page.read_text() == made.read_text(), f"write it anew: {' '.join(command).replace(str(made), str(page))}"
