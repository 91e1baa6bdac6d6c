"""A replay buffer of several agents' episodes that is sampled by priority."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from shoal.rllib.utils.replay_buffers.multi_agent_episode_buffer import MultiAgentEpisodeReplayBuffer
from shoal.rllib.utils.replay_buffers.prioritized_episode_buffer import PrioritizedEpisodeReplayBuffer


class MultiAgentPrioritizedEpisodeReplayBuffer(MultiAgentEpisodeReplayBuffer):
    """The latest steps of each module's agents, each as likely to be sampled as its priority to the power of alpha.

    Args:
        capacity: how many observations are kept for each module.
        alpha: 0 for uniform, 1 for proportional to priorities.
        **kwargs: see MultiAgentEpisodeReplayBuffer.
    """

    def __init__(self, capacity: int = 10000, *, alpha: float = 1.0, **kwargs: Any) -> None:
        self._alpha = alpha
        super().__init__(capacity, **kwargs)

    def _make_buffer(self, **arguments: Any) -> Any:
        return PrioritizedEpisodeReplayBuffer(self.capacity, alpha=self._alpha, **self._arguments, **arguments)

    def update_priorities(self, priorities: ArrayLike, module_id: str) -> None:
        """Sets the priorities of what the last sample gave for a module, in its order. See PrioritizedEpisodeReplayBuffer."""
        self._buffers[module_id].update_priorities(priorities)
