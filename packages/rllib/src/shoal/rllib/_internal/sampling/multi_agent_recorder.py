"""Keeps what multi-agent sampling brings as episodes that grow step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shoal.rllib._internal.nested import own
from shoal.rllib._internal.sampling.growing_episodes import GrowingEpisodes, Hook
from shoal.rllib._internal.sampling.stepping import Infos, Steps
from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode


class FinishedMultiAgent:
    """An episode that ended: its return and length, and the returns by agent and by module."""

    __slots__ = ("by_agent", "by_module", "length", "returned", "seconds")

    def __init__(self, chunks: Sequence[MultiAgentEpisode]) -> None:
        self.by_agent: dict[Any, float] = {}
        self.by_module: dict[Any, float] = {}
        for chunk in chunks:
            for agent, episode in chunk.agent_episodes.items():
                own_return = episode.get_return()
                self.by_agent[agent] = self.by_agent.get(agent, 0.0) + own_return
                self.by_module[episode.module_id] = self.by_module.get(episode.module_id, 0.0) + own_return
        self.returned = sum(self.by_agent.values())
        self.length = chunks[-1].env_t
        self.seconds = sum(chunk.get_duration_s() for chunk in chunks)


class MultiAgentRecorder(GrowingEpisodes[MultiAgentEpisode, FinishedMultiAgent]):
    """The episodes of several multi-agent environments, step by step.

    Args:
        n, lookback, new_id, hook: as of `GrowingEpisodes`.
        spaces: of observations and actions, by agent.
        mapping: which module acts for an agent.
    """

    def __init__(
        self,
        n: int,
        spaces: tuple[Any, Any],
        mapping: Callable[..., str],
        *,
        lookback: int,
        new_id: Callable[[], str],
        hook: Hook,
    ) -> None:
        super().__init__(n, lookback=lookback, new_id=new_id, hook=hook)
        self.mapping = mapping
        self._spaces = spaces

    def reset(self, observations: Sequence[Any], infos: Sequence[Infos]) -> None:
        """Gives the new episodes their first observations. Call tell() when connectors have seen them."""
        for n in range(self.n):
            self._start(n, observations[n], infos[n])

    def record(
        self,
        actions: Sequence[dict[Any, Any]],
        extras: Sequence[dict[Any, dict[str, Any]]],
        steps: Steps,
        failed: Sequence[int],
    ) -> tuple[int, int]:
        """Adds a step to all episodes. Returns how many environments stepped, and how many agents acted. Call tell() afterwards."""
        stepped = acted = 0
        for n in range(self.n):
            if self.resetting[n] or n in failed:
                self._begin_another(n)
                self._start(n, steps.observations[n], steps.infos[n])
                continue
            stepped += 1
            acted += len(actions[n])
            episode = self.episodes[n]
            episode.add_env_step(
                own(steps.observations[n]),
                actions[n],
                steps.rewards[n],
                steps.infos[n],
                terminateds=steps.terminateds[n],  # type: ignore[arg-type]
                truncateds=steps.truncateds[n],  # type: ignore[arg-type]
                extra_model_outputs=extras[n],
            )
            self._events.append(("on_episode_step", n))
            if episode.is_done:
                self._events.append(("on_episode_end", n))
                self.resetting[n] = True
        return stepped, acted

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        for episode in self.episodes:
            episode.agent_to_module_mapping_fn = self.mapping

    def _start(self, n: int, observations: Any, infos: Any) -> None:
        self.episodes[n].add_env_reset(observations=own(observations), infos=infos)
        self._events.append(("on_episode_start", n))

    def _made(self, id_: str) -> MultiAgentEpisode:
        return MultiAgentEpisode(
            id_,
            observation_space=self._spaces[0],
            action_space=self._spaces[1],
            agent_to_module_mapping_fn=self.mapping,
        )

    def _restored(self, state: dict[str, Any]) -> MultiAgentEpisode:
        return MultiAgentEpisode.from_state(state)

    def _cut_off(self, episode: MultiAgentEpisode) -> None:
        episode.is_truncated = True
        for single in episode.agent_episodes.values():
            single.is_truncated = not single.is_terminated

    def _known(self, n: int, episode: MultiAgentEpisode) -> FinishedMultiAgent:
        return FinishedMultiAgent([*self._chunks[n], episode])
