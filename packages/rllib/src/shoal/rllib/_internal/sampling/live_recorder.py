"""Keeps what sampling brings as episodes that grow step by step: for connectors and callbacks that look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym

from shoal.rllib._internal.nested import own
from shoal.rllib._internal.sampling.answer_checks import check_form, check_reward, check_values
from shoal.rllib._internal.sampling.column_recorder import Finished
from shoal.rllib._internal.sampling.columns import Ongoing
from shoal.rllib._internal.sampling.growing_episodes import GrowingEpisodes, Hook
from shoal.rllib._internal.sampling.stepping import Infos, Steps
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode


class LiveRecorder(GrowingEpisodes[SingleAgentEpisode, Finished]):
    """The episodes of several environments, step by step.

    Args:
        n, lookback, new_id, hook: as of `GrowingEpisodes`.
        env_space: of an observation as the environments give it.
        action_space: of an action as the module makes it.
        name: how messages call environment n.
        checked: whether answers are looked at.
    """

    def __init__(
        self,
        n: int,
        env_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        lookback: int,
        new_id: Callable[[], str],
        name: Callable[[int], str],
        checked: bool,
        hook: Hook,
    ) -> None:
        super().__init__(n, lookback=lookback, new_id=new_id, hook=hook)
        self._env_space = env_space
        self._action_space = action_space
        self._name = name
        self._checked = checked

    def reset(self, observations: Sequence[Any], infos: Sequence[Infos]) -> None:
        """Gives the new episodes their first observations. Call tell() when connectors have seen them."""
        for n, (observation, info) in enumerate(zip(observations, infos, strict=True)):
            self._start(n, observation, info)

    def record(
        self, actions: Sequence[Any], extras: Sequence[dict[str, Any]], steps: Steps, failed: Sequence[int]
    ) -> int:
        """Adds a step to all episodes. Returns how many environments stepped rather than were reset. Call tell() afterwards."""
        stepped = self.n
        for n in range(self.n):
            observation, info = steps.observations[n], steps.infos[n]
            if self.resetting[n] or n in failed:
                stepped -= 1
                self._begin_another(n)
                self._start(n, observation, info)
                continue
            episode = self.episodes[n]
            where = f"{self._name(n)}, step {episode.t} of its episode"
            self._check(where, observation)
            check_reward(where, steps.rewards[n])
            episode.observation_space = self._env_space
            terminated, truncated = bool(steps.terminateds[n]), bool(steps.truncateds[n])
            episode.add_env_step(
                own(observation),
                actions[n],
                float(steps.rewards[n]),
                info,
                terminated=terminated,
                truncated=truncated,
                extra_model_outputs=extras[n],
            )
            self._events.append(("on_episode_step", n))
            if terminated or truncated:
                self._events.append(("on_episode_end", n))
                self.resetting[n] = True
        return stepped

    def step_of(self, n: int) -> int:
        """Returns how many steps environment n has made in its episode."""
        return self.episodes[n].t

    def _start(self, n: int, observation: Any, info: Infos) -> None:
        self._check(f"{self._name(n)}, reset()", observation)
        self.episodes[n].add_env_reset(own(observation), info)
        self._events.append(("on_episode_start", n))

    def _check(self, where: str, observation: Any) -> None:
        check_form(where, self._env_space, observation, types_too=self._checked)
        if self._checked:
            check_values(where, self._env_space, observation)

    def _made(self, id_: str) -> SingleAgentEpisode:
        return SingleAgentEpisode(id_, observation_space=self._env_space, action_space=self._action_space)

    def _restored(self, state: dict[str, Any]) -> SingleAgentEpisode:
        return SingleAgentEpisode.from_state(state)

    def _next_chunk(self, episode: SingleAgentEpisode) -> SingleAgentEpisode:
        chunk = super()._next_chunk(episode)
        chunk.observation_space = episode.observation_space
        return chunk

    def _cut_off(self, episode: SingleAgentEpisode) -> None:
        episode.is_truncated = True

    def _known(self, n: int, episode: SingleAgentEpisode) -> Finished:
        returned = episode.get_return() + sum(chunk.get_return() for chunk in self._chunks[n])
        return Finished(n, Ongoing(episode.id_), 0, episode.is_terminated, episode.is_truncated, returned, episode.t)
