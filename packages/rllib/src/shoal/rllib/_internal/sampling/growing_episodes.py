"""Episodes that grow step by step, one for each environment, and who hears of them. What one step adds is up to the recorders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode

E = TypeVar("E", SingleAgentEpisode, MultiAgentEpisode)
F = TypeVar("F")

Hook = Callable[[str, int, Any, list[Any] | None], None]


class GrowingEpisodes(ABC, Generic[E, F]):
    """The episodes of several environments. F is what is kept of one that ended.

    Args:
        n: how many environments.
        lookback: how many steps of an episode its next chunk takes along.
        new_id: makes names of episodes.
        hook: called with the name of an episode's hook, the environment, the episode and, at its end, its earlier chunks.
    """

    def __init__(self, n: int, *, lookback: int, new_id: Callable[[], str], hook: Hook) -> None:
        self.n = n
        self.resetting = [False] * n
        self.episodes: list[E] = []
        self._lookback = lookback
        self._new_id = new_id
        self._hook = hook
        self._chunks: list[list[E]] = [[] for _ in range(n)]
        self._done: list[E] = []
        self._finished: list[F] = []
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
        self.episodes = [self._new(n) for n in range(self.n)]

    def tell(self) -> None:
        """Calls the hooks of what was recorded last, now that connectors have seen it."""
        events, self._events = self._events, []
        for what, n in events:
            if what == "on_episode_end":
                self._end(n)
            else:
                self._hook(what, n, self.episodes[n], None)

    def finish(self, unfinished: bool) -> tuple[list[E], list[F]]:
        """Returns episodes that ended since the last call and, if wanted, chunks of those that go on; and what is known of the former."""
        episodes, finished = self._done, self._finished
        self._done, self._finished = [], []
        if unfinished:
            for n, episode in enumerate(self.episodes):
                if self.resetting[n] or not len(episode):
                    continue
                self.episodes[n] = self._next_chunk(episode)
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
        self.episodes = [self._restored(each) for each in state["episodes"]]
        self._chunks = [[self._restored(each) for each in chunks] for chunks in state["chunks"]]

    def _new(self, n: int) -> E:
        self._chunks[n] = []
        episode = self._made(self._new_id())
        self._hook("on_episode_created", n, episode, None)
        return episode

    def _begin_another(self, n: int) -> None:
        """An environment was reset, on its own or because it failed: an episode that had not ended counts as cut off by a limit."""
        if not self.resetting[n] and len(self.episodes[n]):
            self._cut_off(self.episodes[n])
            self._end(n)
        self.resetting[n] = False
        self.episodes[n] = self._new(n)

    def _end(self, n: int) -> None:
        episode = self.episodes[n]
        self._hook("on_episode_end", n, episode, self._chunks[n])
        self._done.append(episode)
        self._finished.append(self._known(n, episode))

    def _next_chunk(self, episode: E) -> E:
        return episode.cut(self._lookback)

    @abstractmethod
    def _made(self, id_: str) -> E:
        """Returns an episode of that name."""

    @abstractmethod
    def _restored(self, state: dict[str, Any]) -> E:
        """Returns the episode that had a state."""

    @abstractmethod
    def _cut_off(self, episode: E) -> None:
        """Marks it as truncated."""

    @abstractmethod
    def _known(self, n: int, episode: E) -> F:
        """Returns what is kept of an episode that ended."""
