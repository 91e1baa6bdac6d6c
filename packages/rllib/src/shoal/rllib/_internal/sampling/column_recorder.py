"""Keeps what sampling brings by columns, and makes episodes of them when the fragment ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.nested import assign, map_leaves, stack
from shoal.rllib._internal.sampling.answer_checks import check_form, short
from shoal.rllib._internal.sampling.columns import Columns, Ongoing
from shoal.rllib._internal.sampling.fused_acting import FusedActing
from shoal.rllib._internal.sampling.observation_checks import impossible, outside, parts
from shoal.rllib._internal.sampling.stepping import Infos, Steps
from shoal.rllib._internal.sampling.value_forms import form_of
from shoal.rllib.core.columns import Columns as Keys
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import EnvError

logger = logging.getLogger(__name__)

Transform = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """An episode that ended."""

    n: int
    episode: Ongoing
    end: int
    terminated: bool
    truncated: bool
    returned: float
    length: int


class ColumnRecorder:
    """The episodes of several environments, by columns.

    Args:
        n: how many environments.
        env_space: of an observation as the environments give it.
        observation_space: of an observation as the module takes it, after `transform`.
        action_space: of an action as the module makes it.
        lookback: how many steps of an episode its next chunk takes along.
        new_id: makes names of episodes.
        name: how messages call environment n.
        checked: whether answers are looked at.
        transform: what is made of all environments' observations, if anything.
    """

    def __init__(
        self,
        n: int,
        env_space: gym.Space[Any],
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        lookback: int,
        new_id: Callable[[], str],
        name: Callable[[int], str],
        checked: bool,
        transform: Transform | None,
    ) -> None:
        self.n = n
        self.resetting = [False] * n
        self._env_space = env_space
        self._observation_space = observation_space
        self._action_space = action_space
        self._lookback = lookback
        self._new_id = new_id
        self._name = name
        self._checked = checked
        self._transform = transform
        self._observation_form = form_of(observation_space)
        self._raw_form: Any = form_of(env_space)
        self._action_form = form_of(action_space)
        self._plain = isinstance(env_space, gym.spaces.Box)
        self._ongoing: list[Ongoing] = []
        self._tail: dict[str, Any] | None = None
        self._columns: Columns | None = None
        self._finished: list[Finished] = []
        self._warned = False

    @property
    def is_reset(self) -> bool:
        """Whether there are episodes to go on with."""
        return self._tail is not None

    @property
    def columns(self) -> Columns:
        assert self._columns is not None
        return self._columns

    def forget(self) -> None:
        """Drops all episodes: the next fragment starts with a reset."""
        self._tail = None
        self._ongoing = []

    def begin(self, steps: int) -> None:
        """Starts a fragment of about so many steps of each environment."""
        self._columns = Columns(self.n, steps, self._lookback, self._observation_form, self._action_form)
        self._finished = []
        if self._tail is not None:
            self._columns.put_tail(self._tail)

    def reset(self, observations: Sequence[Any], infos: Sequence[Infos]) -> None:
        """Starts an episode in each environment."""
        self.resetting = [False] * self.n
        self._ongoing = [self._new_episode() for _ in range(self.n)]
        for n, info in enumerate(infos):
            self.columns.infos[n].append(info)
        self._put_observations(observations, self.columns.t)

    def observation(self) -> Any:
        """Returns the observations at hand, of all environments."""
        return self.columns.observation_at(self.columns.t)

    def record(self, actions: Any, extras: dict[str, Any], steps: Steps, failed: Sequence[int]) -> int:
        """Keeps a step of all environments, and returns how many of them stepped rather than were reset."""
        columns = self.columns
        columns.room()
        t = columns.t
        columns.put_actions(actions)
        for key, value in extras.items():
            columns.put_extras(key, value)
        self._put_observations(steps.observations, t + 1)
        stepped = self.n
        resetting = self.resetting
        terminateds, truncateds, infos = steps.terminateds, steps.truncateds, steps.infos
        for n, reward in enumerate(steps.rewards):
            columns.infos[n].append(infos[n])
            if resetting[n] or n in failed:
                stepped -= 1
                if not resetting[n]:
                    self._cut_off(n, t)
                resetting[n] = False
                self._ongoing[n] = self._new_episode()
                self._ongoing[n].start = t + 1
                continue
            try:
                columns.rewards[n, t] = reward
            except (TypeError, ValueError):
                raise EnvError(f"{self._name(n)}: step() returned the reward {reward!r}; return a number") from None
            if terminateds[n] or truncateds[n]:
                self._finish(n, t + 1, bool(terminateds[n]), bool(truncateds[n]))
                resetting[n] = True
        columns.t = t + 1
        return stepped

    @property
    def num_finished(self) -> int:
        """How many episodes ended in this fragment."""
        return len(self._finished)

    def put_log_probabilities(self, acting: FusedActing, explore: bool) -> None:
        """Adds how likely the actions were, where the module has not told. At once for the whole fragment: cheaper than step by step."""
        columns = self.columns
        if not columns.gave(Keys.ACTION_DIST_INPUTS) or columns.gave(Keys.ACTION_LOGP):
            return
        steps = (slice(None), slice(columns.first, columns.t))
        inputs = columns.extras[Keys.ACTION_DIST_INPUTS][steps]
        actions = map_leaves(lambda leaf: leaf[steps], columns.actions)
        self._put_column(Keys.ACTION_LOGP, acting.log_probabilities(inputs, actions, explore))

    def _put_column(self, key: str, value: Any) -> None:
        """Keeps an output of the module for all steps of the fragment at once: a tree of arrays of shape (environments, steps, ...)."""
        columns = self.columns

        def column(leaf: Any) -> Any:
            full = np.zeros((self.n, columns.capacity, *leaf.shape[2:]), leaf.dtype)
            full[:, columns.first : columns.t] = leaf
            return full

        tail = columns.extras.get(key)
        columns.extras[key] = map_leaves(column, value)
        columns.mark(key)
        if tail is not None:
            before = (slice(None), slice(columns.first))
            assign(columns.extras[key], before, map_leaves(lambda leaf: leaf[before], tail))

    def finish(self, unfinished: bool) -> tuple[list[SingleAgentEpisode], list[Finished]]:
        """Ends the fragment.

        Args:
            unfinished: whether chunks of episodes that go on are wanted, too.

        Returns:
            Episodes, those that ended first, in the order of their ends, and what is known of those.

        Raises:
            EnvError: a reward is not finite, or an observation cannot be what the space says.
        """
        columns = self.columns
        if self._checked:
            self._check()
        episodes = [
            columns.episode(
                done.n,
                done.episode,
                done.end,
                done.terminated,
                done.truncated,
                self._observation_space,
                self._action_space,
            )
            for done in self._finished
        ]
        for n, ongoing in enumerate(self._ongoing):
            if self.resetting[n] or columns.t == ongoing.start:
                continue
            if unfinished:
                episodes.append(
                    columns.episode(n, ongoing, columns.t, False, False, self._observation_space, self._action_space)
                )
            start = ongoing.start
            ongoing.returned += float(columns.rewards[n, start : columns.t].sum())
            ongoing.t_started += columns.t - start
            ongoing.lookback = min(self._lookback, ongoing.lookback + columns.t - start)
        for ongoing in self._ongoing:
            ongoing.lookback = min(ongoing.lookback, self._lookback)
            ongoing.start = self._lookback
        self._tail = columns.tail(self._lookback)
        finished = self._finished
        self._columns = None
        self._finished = []
        return episodes, finished

    def get_state(self) -> dict[str, Any]:
        """Returns the episodes that go on, between fragments."""
        return {
            "tail": self._tail,
            "resetting": list(self.resetting),
            "ongoing": [
                (episode.id_, episode.lookback, episode.t_started, episode.returned) for episode in self._ongoing
            ],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._tail = state["tail"]
        self.resetting = list(state["resetting"])
        self._ongoing = []
        for id_, lookback, t_started, returned in state["ongoing"]:
            ongoing = Ongoing(id_)
            ongoing.lookback, ongoing.t_started, ongoing.returned = lookback, t_started, returned
            ongoing.start = self._lookback
            self._ongoing.append(ongoing)

    def _new_episode(self) -> Ongoing:
        ongoing = Ongoing(self._new_id())
        ongoing.start = self.columns.first
        return ongoing

    def _finish(self, n: int, end: int, terminated: bool, truncated: bool) -> None:
        ongoing = self._ongoing[n]
        returned = ongoing.returned + float(self.columns.rewards[n, ongoing.start : end].sum())
        length = ongoing.t_started + end - ongoing.start
        self._finished.append(Finished(n, ongoing, end, terminated, truncated, returned, length))

    def _cut_off(self, n: int, t: int) -> None:
        """Ends an episode whose environment failed: what it brought before counts as cut off by a limit."""
        if t > self._ongoing[n].start:
            self._finish(n, t, False, True)

    def _put_observations(self, observations: Sequence[Any], t: int) -> None:
        columns = self.columns
        if self._transform is not None:
            for n, observation in enumerate(observations):
                self._check_form(n, observation)
            raw = stack(observations)
            if self._checked:
                self._check_values(map_leaves(lambda leaf: leaf[:, None], raw), t)
            assign(columns.observations, (slice(None), t), self._transform(raw))
            return
        if self._plain:
            column = columns.observations
            shape, dtype = self._raw_form.shape, self._raw_form.dtype
            for n, observation in enumerate(observations):
                try:
                    if observation.shape != shape or observation.dtype != dtype:
                        self._check_form(n, observation)
                except AttributeError:
                    self._check_form(n, observation)
                column[n, t] = observation
            return
        for n, observation in enumerate(observations):
            self._check_form(n, observation)
            assign(columns.observations, (n, t), observation)

    def _check_form(self, n: int, observation: Any) -> None:
        check_form(self._name(n), self._env_space, observation, types_too=self._checked)

    def _check(self) -> None:
        columns = self.columns
        rewards = columns.rewards[:, columns.first : columns.t]
        if rewards.size and not np.isfinite(rewards).all():
            n, step = (int(i[0]) for i in np.nonzero(~np.isfinite(rewards)))
            raise EnvError(
                f"{self._where(n, step)}: the reward is {rewards[n, step]}; rewards have to be finite numbers. The action (as the module "
                f"made it) was {short(map_leaves(lambda leaf: leaf[n, columns.first + step], columns.actions))}"
            )
        if self._transform is None:
            seen = map_leaves(lambda leaf: leaf[:, columns.first : columns.t + 1], columns.observations)
            self._check_values(seen, None)

    def _check_values(self, values: Any, t: int | None) -> None:
        for path, space, leaf in parts(self._env_space, values):
            wrong = impossible(space, leaf)
            if wrong is not None:
                n, step = (int(i[0]) for i in np.nonzero(wrong)[:2])
                raise EnvError(
                    f"{self._where(n, self._step(step, t))}: observation{path} is {short(leaf[n, step])}, which is not in {space}"
                )
            if self._warned:
                continue
            wrong = outside(space, leaf)
            if wrong is not None:
                n, step = (int(i[0]) for i in np.nonzero(wrong)[:2])
                self._warned = True
                logger.warning(
                    "%s: observation%s is %s, which lies outside of %s; widen the space's bounds. (This is said once.)",
                    self._where(n, self._step(step, t)),
                    path,
                    short(leaf[n, step]),
                    space,
                )

    def step_of(self, n: int) -> int:
        """Returns how many steps environment n has made in its episode."""
        return self._ongoing[n].t_started + max(self.columns.t - self._ongoing[n].start, 0)

    def _step(self, step: int, t: int | None) -> int:
        """Returns the number, from 0 at the fragment's start, of the action that an observation came of."""
        return step - 1 if t is None else t - self.columns.first - 1

    def _where(self, n: int, step: int) -> str:
        """Returns the name of environment n and which step of its episode came after `step` columns of this fragment."""
        column = self.columns.first + max(step, 0)
        for done in self._finished:
            if done.n == n and done.episode.start <= column < done.end:
                return f"{self._name(n)}, step {done.episode.t_started + column - done.episode.start} of its episode"
        ongoing = self._ongoing[n]
        return f"{self._name(n)}, step {ongoing.t_started + max(column - ongoing.start, 0)} of its episode"
