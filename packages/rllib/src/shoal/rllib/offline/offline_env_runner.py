"""A runner that writes down what it samples."""

from __future__ import annotations

from typing import Any

from shoal.rllib._internal.offline.recording import Recorder
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode


class OfflineSingleAgentEnvRunner(SingleAgentEnvRunner):
    """Samples, and records all of it in `config.output`: what is used for runners where `offline_data(output=...)` was called.

    Arguments as of `SingleAgentEnvRunner`.

    Raises:
        ConfigError: (a ValueError) there is no such method to write with.
        MissingLibraryError: (an ImportError) shoal-data is not installed.

    Example:
        >>> import tempfile
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> config = PPOConfig().environment("CartPole-v1").offline_data(output=tempfile.mkdtemp(), output_write_episodes=False)
        >>> runner = OfflineSingleAgentEnvRunner(config=config)
        >>> _ = runner.sample(num_episodes=2)
        >>> runner.stop()
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._writer = Recorder(self.config, self._env_spaces()["__env_single__"][1], self.worker_index)

    def sample(self, **kwargs: Any) -> list[SingleAgentEpisode]:
        episodes = super().sample(**kwargs)
        self._writer.add(episodes)
        return episodes

    def stop(self) -> None:
        if self.env is not None:
            self._writer.close()
        super().stop()
