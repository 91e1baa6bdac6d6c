"""A runner of this process that hangs says where."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner


class Held(gym.Env[Any, Any]):
    """Its third step lasts as long as a file is there."""

    def __init__(self, config: Any) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.path = Path(config["path"])
        self.t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        while self.t == 3 and self.path.exists():
            time.sleep(0.01)  # the work of an environment that hangs
        return np.zeros(1, np.float32), 1.0, False, False, {}


class Release(logging.Handler):
    """Lets the environment go on as soon as something is said."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.path.unlink(missing_ok=True)


@pytest.mark.parametrize("watched", [False, True])
def test_where_it_hangs_is_said_once(tmp_path: Path, watched: bool) -> None:
    path = tmp_path / "held"
    path.touch()
    config = PPOConfig().environment(Held, env_config={"path": str(path)})
    config.env_runners(num_env_runners=0, sample_timeout_s=0.3)
    if watched:
        config.callbacks(on_episode_step=lambda **kwargs: None)
    runner = SingleAgentEnvRunner(config=config)
    handler = Release(path)
    log = logging.getLogger("shoal.rllib")
    log.addHandler(handler)
    try:
        assert sum(map(len, runner.sample(num_timesteps=5))) == 5
    finally:
        log.removeHandler(handler)
        runner.stop()
    assert len(handler.said) == 1
    said = handler.said[0]
    assert "Held" in said and "environment 0" in said and "in step" in said and "0.3 s" in said and "time.sleep" in said
