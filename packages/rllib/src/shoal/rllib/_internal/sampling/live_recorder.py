"""Keeps what sampling brings as episodes that grow step by step: for connectors and callbacks that look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym

from shoal.rllib._internal.nested import map_leaves, own
from shoal.rllib._internal.sampling.answer_checks import check_form, check_reward, check_values
from shoal.rllib._internal.sampling.column_recorder import Finished
from shoal.rllib._internal.sampling.columns import Ongoing
from shoal.rllib._internal.sampling.stepping import Infos, Steps
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode

Hook = Callable[[str, int, SingleAgentEpisode, list[SingleAgentEpisode] | None], None]


class LiveRecorder:
    """The episodes of several environments, step by step.

    Args:
        n: how many environments.
        env_space: of an observation as the environments give it.
        action_space: of an action as the module makes it.
        lookback: how many steps of an episode its next chunk takes along.
        new_id: makes names of episodes.
        name: how messages call environment n.
        checked: whether answers are looked at.
        hook: called with the name of an episode's hook, the environment, the episode and, at its end, its earlier chunks.
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
        self.n = n
        self.resetting = [False] * n
        self.episodes: list[SingleAgentEpisode] = []
        self._env_space = env_space
        self._action_space = action_space
        self._lookback = lookback
        self._new_id = new_id
        self._name = name
        self._checked = checked
        self._hook = hook
        self._chunks: list[list[SingleAgentEpisode]] = [[] for _ in range(n)]
        self._done: list[SingleAgentEpisode] = []
        self._finished: list[Finished] = []
        self._events: list[tuple[str, int]] = []

    @property
    def is_reset(self) -> bool:
        """Whether there are episodes to go on with."""
        return bool(self.episodes)

    @property
    def num_finished(self) -> int:
        """How many episodes ended since the last finish()."""
        return len(self._finished)

    def forget(self) -> None:
        """Drops all episodes: what follows starts with a reset."""
        self.episodes = []
        self._events, self._done, self._finished = [], [], []
        self._chunks = [[] for _ in range(self.n)]

    def create(self) -> None:
        """Makes an episode for each environment, which is about to be reset."""
        self.resetting = [False] * self.n
        self.episodes = [self._new_episode(n) for n in range(self.n)]

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
                if not self.resetting[n]:
                    self._cut_off(n)
                self.resetting[n] = False
                self.episodes[n] = self._new_episode(n)
                self._start(n, observation, info)
                continue
            episode = self.episodes[n]
            where = f"{self._name(n)}, step {episode.t} of its episode"
            check_form(where, self._env_space, observation, types_too=self._checked)
            if self._checked:
                check_values(where, self._env_space, observation)
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

    def tell(self) -> None:
        """Calls the hooks of what was recorded last, now that connectors have seen it."""
        events, self._events = self._events, []
        for what, n in events:
            episode = self.episodes[n]
            if what != "on_episode_end":
                self._hook(what, n, episode, None)
                continue
            self._hook(what, n, episode, self._chunks[n])
            self._end(n, episode)

    def finish(self, unfinished: bool) -> tuple[list[SingleAgentEpisode], list[Finished]]:
        """Returns what was recorded since the last call, as ColumnRecorder.finish() does."""
        episodes, finished = self._done, self._finished
        self._done, self._finished = [], []
        if unfinished:
            for n, episode in enumerate(self.episodes):
                if self.resetting[n] or not len(episode):
                    continue
                self.episodes[n] = episode.cut(self._lookback)
                self.episodes[n].observation_space = episode.observation_space
                self._chunks[n].append(episode)
                episodes.append(episode)
        return [episode.to_numpy() for episode in episodes], finished

    def get_state(self) -> dict[str, Any]:
        return {
            "resetting": list(self.resetting),
            "episodes": [episode.get_state() for episode in self.episodes],
            "chunks": [[chunk.get_state() for chunk in chunks] for chunks in self._chunks],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.resetting = list(state["resetting"])
        self.episodes = [SingleAgentEpisode.from_state(each) for each in state["episodes"]]
        self._chunks = [[SingleAgentEpisode.from_state(each) for each in chunks] for chunks in state["chunks"]]

    def _new_episode(self, n: int) -> SingleAgentEpisode:
        self._chunks[n] = []
        episode = SingleAgentEpisode(self._new_id(), observation_space=self._env_space, action_space=self._action_space)
        self._hook("on_episode_created", n, episode, None)
        return episode

    def _start(self, n: int, observation: Any, info: Infos) -> None:
        where = f"{self._name(n)}, reset()"
        check_form(where, self._env_space, observation, types_too=self._checked)
        if self._checked:
            check_values(where, self._env_space, observation)
        self.episodes[n].add_env_reset(own(observation), info)
        self._events.append(("on_episode_start", n))

    def _cut_off(self, n: int) -> None:
        """Ends an episode whose environment failed: what it brought before counts as cut off by a limit."""
        episode = self.episodes[n]
        if len(episode):
            episode.is_truncated = True
            self._hook("on_episode_end", n, episode, self._chunks[n])
            self._end(n, episode)

    def _end(self, n: int, episode: SingleAgentEpisode) -> None:
        returned = episode.get_return() + sum(chunk.get_return() for chunk in self._chunks[n])
        self._done.append(episode)
        self._finished.append(
            Finished(n, Ongoing(episode.id_), 0, episode.is_terminated, episode.is_truncated, returned, episode.t)
        )


def rows_of(tree: Any, n: int) -> list[Any]:
    """Returns the first n rows of a tree of arrays, as items."""
    return [map_leaves(lambda leaf, i=i: leaf[i], tree) for i in range(n)]
