"""Keeps what multi-agent sampling brings as episodes that grow step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shoal.rllib._internal.nested import own
from shoal.rllib._internal.sampling.stepping import Infos, Steps
from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode

Hook = Callable[[str, int, Any, list[Any] | None], None]


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


class MultiAgentRecorder:
    """The episodes of several multi-agent environments, step by step.

    Args:
        n: how many environments.
        spaces: of observations and actions, by agent.
        mapping: which module acts for an agent.
        lookback: how many steps of an episode its next chunk takes along.
        new_id: makes names of episodes.
        hook: called with the name of an episode's hook, the environment, the episode and, at its end, its earlier chunks.
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
        self.n = n
        self.resetting = [False] * n
        self.episodes: list[MultiAgentEpisode] = []
        self.mapping = mapping
        self._spaces = spaces
        self._lookback = lookback
        self._new_id = new_id
        self._hook = hook
        self._chunks: list[list[MultiAgentEpisode]] = [[] for _ in range(n)]
        self._done: list[MultiAgentEpisode] = []
        self._finished: list[FinishedMultiAgent] = []
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
                if not self.resetting[n]:
                    self._cut_off(n)
                self.resetting[n] = False
                self.episodes[n] = self._new_episode(n)
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

    def tell(self) -> None:
        """Calls the hooks of what was recorded last, now that connectors have seen it."""
        events, self._events = self._events, []
        for what, n in events:
            if what == "on_episode_end":
                self._end(n)
            else:
                self._hook(what, n, self.episodes[n], None)

    def finish(self, unfinished: bool) -> tuple[list[MultiAgentEpisode], list[FinishedMultiAgent]]:
        """Returns episodes that ended since the last call and, if wanted, chunks of those that go on; and what is known of the former."""
        episodes, finished = self._done, self._finished
        self._done, self._finished = [], []
        if unfinished:
            for n, episode in enumerate(self.episodes):
                if self.resetting[n] or not len(episode):
                    continue
                self.episodes[n] = episode.cut(self._lookback)
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
        self.episodes = [MultiAgentEpisode.from_state(each) for each in state["episodes"]]
        for episode in self.episodes:
            episode.agent_to_module_mapping_fn = self.mapping
        self._chunks = [[MultiAgentEpisode.from_state(each) for each in chunks] for chunks in state["chunks"]]

    def _new_episode(self, n: int) -> MultiAgentEpisode:
        self._chunks[n] = []
        episode = MultiAgentEpisode(
            self._new_id(),
            observation_space=self._spaces[0],
            action_space=self._spaces[1],
            agent_to_module_mapping_fn=self.mapping,
        )
        self._hook("on_episode_created", n, episode, None)
        return episode

    def _start(self, n: int, observations: Any, infos: Any) -> None:
        self.episodes[n].add_env_reset(observations=own(observations), infos=infos)
        self._events.append(("on_episode_start", n))

    def _cut_off(self, n: int) -> None:
        """Ends an episode whose environment failed: what it brought before counts as cut off by a limit."""
        episode = self.episodes[n]
        if len(episode):
            episode.is_truncated = True
            for single in episode.agent_episodes.values():
                single.is_truncated = not single.is_terminated
            self._end(n)

    def _end(self, n: int) -> None:
        episode = self.episodes[n]
        self._hook("on_episode_end", n, episode, self._chunks[n])
        self._done.append(episode)
        self._finished.append(FinishedMultiAgent([*self._chunks[n], episode]))
