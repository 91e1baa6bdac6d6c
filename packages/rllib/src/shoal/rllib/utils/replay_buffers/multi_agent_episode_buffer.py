"""A replay buffer of several agents' episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError, close_matches
from shoal.rllib.utils.metrics import NUM_AGENT_STEPS_STORED, NUM_ENV_STEPS_ADDED_LIFETIME
from shoal.rllib.utils.replay_buffers.episode_replay_buffer import EpisodeReplayBuffer

if TYPE_CHECKING:
    from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode


class MultiAgentEpisodeReplayBuffer:
    """The latest steps of each module's agents, which are sampled apart from each other.

    Args:
        capacity: how many observations are kept for each module.
        batch_size_B: how many items `sample` gives for each module where it is not told.
        batch_length_T: accepted for Ray's sake.
        seed: of the generators that choose; None for others each time.
        **kwargs: of each module's buffer.
    """

    def __init__(
        self,
        capacity: int = 10000,
        *,
        batch_size_B: int = 16,
        batch_length_T: int = 1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.capacity = capacity
        self.batch_size_B = batch_size_B
        self._arguments = {"batch_size_B": batch_size_B, "batch_length_T": batch_length_T, **kwargs}
        self._seeds = np.random.SeedSequence(seed)
        self._buffers: dict[str, Any] = {}
        self._env_steps_added = 0
        self._make_buffer()  # arguments that cannot be are named at once

    def _make_buffer(self, **arguments: Any) -> Any:
        return EpisodeReplayBuffer(self.capacity, **self._arguments, **arguments)

    def add(self, episodes: MultiAgentEpisode | Sequence[MultiAgentEpisode | SingleAgentEpisode]) -> None:
        """Stores episodes or chunks of them: each agent's for the module that acts for it."""
        chunks: list[Any] = list(episodes) if isinstance(episodes, list | tuple) else [episodes]
        for episode in chunks:
            if isinstance(episode, SingleAgentEpisode):
                self._of(episode.module_id or "default_policy").add(episode)
                self._env_steps_added += len(episode)
                continue
            self._env_steps_added += len(episode)
            for agent_id, its in episode.agent_episodes.items():
                self._of(str(its.module_id or episode.module_for(agent_id))).add(its)

    def _of(self, module_id: str) -> Any:
        if module_id not in self._buffers:
            seed = np.random.SeedSequence(
                entropy=self._seeds.entropy, spawn_key=tuple(module_id.encode())
            ).generate_state(1)[0]
            self._buffers[module_id] = self._make_buffer(seed=int(seed))
        return self._buffers[module_id]

    def sample_columns(
        self,
        num_items: int | None = None,
        *,
        modules_to_sample: Iterable[str] | None = None,
        **arguments: Any,
    ) -> dict[str, dict[str, Any]]:
        """For each module `num_items` transitions as columns.

        Args:
            num_items: how many for each; None for batch_size_B.
            modules_to_sample: which; None for all that have steps.
            **arguments: see EpisodeReplayBuffer.sample_columns.
        """
        return {
            module_id: self._buffers[module_id].sample_columns(num_items, **arguments)
            for module_id in self._modules(modules_to_sample)
        }

    def sample(
        self,
        num_items: int | None = None,
        *,
        batch_size_B: int | None = None,
        modules_to_sample: Iterable[str] | None = None,
        replay_mode: str = "independent",
        **arguments: Any,
    ) -> list[SingleAgentEpisode]:
        """Episodes of one transition each, `num_items` for each module, whose `module_id` says which.

        Args:
            num_items: how many for each module; the same as batch_size_B.
            batch_size_B: how many; None for the buffer's own.
            modules_to_sample: which; None for all that have steps.
            replay_mode: 'independent' is the only one: the steps of different agents have nothing to do with each other.
            **arguments: see EpisodeReplayBuffer.sample.
        """
        if replay_mode != "independent":
            raise ConfigError(f"replay_mode is {replay_mode!r}; 'independent' is the only one")
        arguments.pop("sample_episodes", None)
        items = num_items or batch_size_B or self.batch_size_B
        sampled = []
        for module_id in self._modules(modules_to_sample):
            for episode in self._buffers[module_id].sample(items, sample_episodes=True, **arguments):
                episode.module_id = module_id
                sampled.append(episode)
        return sampled

    def _modules(self, wanted: Iterable[str] | None) -> list[str]:
        if wanted is None:
            return [module_id for module_id, buffer in self._buffers.items() if len(buffer)]
        names = list(wanted)
        for name in names:
            if name not in self._buffers:
                raise ValueError(
                    f"modules_to_sample has {name!r}, and there are steps of {', '.join(self._buffers) or 'no module'}."
                    f"{close_matches(name, self._buffers)}"
                )
        return names

    def __len__(self) -> int:
        """How many steps are stored for all modules together."""
        return self.get_num_agent_timesteps()

    def get_module_ids(self) -> list[str]:
        """The modules that steps are stored for."""
        return list(self._buffers)

    def get_num_agent_timesteps(self) -> int:
        """How many steps are stored for all modules together."""
        return sum(len(buffer) for buffer in self._buffers.values())

    def get_num_timesteps(self, module_id: str | None = None) -> int:
        """How many steps are stored for a module; None for all together."""
        return self._count("get_num_timesteps", module_id)

    def get_num_episodes(self, module_id: str | None = None) -> int:
        """How many agents' episodes are stored for a module, or parts of them; None for all together."""
        return self._count("get_num_episodes", module_id)

    def get_num_episodes_evicted(self, module_id: str | None = None) -> int:
        """How many agents' episodes have made room for others."""
        return self._count("get_num_episodes_evicted", module_id)

    def get_added_timesteps(self, module_id: str | None = None) -> int:
        """How many steps were ever added: a module's; None for steps of the environment."""
        return self._env_steps_added if module_id is None else self._count("get_added_timesteps", module_id)

    def get_added_agent_timesteps(self) -> int:
        """How many steps of agents were ever added."""
        return self._count("get_added_timesteps", None)

    def get_sampled_timesteps(self, module_id: str | None = None) -> int:
        """How many steps were ever sampled for a module; None for all together."""
        return self._count("get_sampled_timesteps", module_id)

    def _count(self, what: str, module_id: str | None) -> int:
        if module_id is not None:
            return int(getattr(self._buffers[module_id], what)()) if module_id in self._buffers else 0
        return sum(int(getattr(buffer, what)()) for buffer in self._buffers.values())

    def get_metrics(self) -> dict[str, Any]:
        """Counts, under RLlib's names."""
        return {
            NUM_AGENT_STEPS_STORED: len(self),
            NUM_ENV_STEPS_ADDED_LIFETIME: self._env_steps_added,
            "modules": {module_id: buffer.get_metrics() for module_id, buffer in self._buffers.items()},
        }

    def get_state(self) -> dict[str, Any]:
        """All that is stored, and the generators' states."""
        return {
            "buffers": {module_id: buffer.get_state() for module_id, buffer in self._buffers.items()},
            "entropy": self._seeds.entropy,
            "env_steps_added": self._env_steps_added,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up what `get_state` gave."""
        self._seeds = np.random.SeedSequence(state["entropy"])
        self._env_steps_added = state["env_steps_added"]
        self._buffers = {}
        for module_id, its in state["buffers"].items():
            self._of(module_id).set_state(its)
