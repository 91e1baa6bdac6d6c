"""Multi-agent episodes: who acts when, and which rewards count for what."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode
from shoal.rllib.utils.error import MultiAgentEnvError


def turns() -> MultiAgentEpisode:
    """a and b act in turns; rewards come for both at each step."""
    episode = MultiAgentEpisode("it", agent_to_module_mapping_fn=lambda agent, episode: f"module_{agent}")
    episode.add_env_reset(observations={"a": 0})
    episode.add_env_step({"b": 10}, {"a": 100}, {"a": 1.0})
    episode.add_env_step({"a": 1}, {"b": 200}, {"a": 0.25, "b": 2.0})
    episode.add_env_step({"b": 11}, {"a": 101}, {"a": 4.0, "b": 0.5})
    return episode


def test_rewards_count_for_the_step_that_waits() -> None:
    episode = turns()
    a, b = episode.agent_episodes["a"], episode.agent_episodes["b"]
    assert (a.get_observations(), a.get_actions(), a.get_rewards()) == ([0, 1], [100], [1.25])
    assert (b.get_observations(), b.get_actions(), b.get_rewards()) == ([10, 11], [200], [2.5])
    assert (a.module_id, a.multi_agent_episode_id, a.agent_id) == ("module_a", "it", "a")
    assert episode.get_agents_to_act() == {"b"}
    assert episode.get_return() == 3.75
    assert episode.get_return(consider_hanging_rewards=True) == 7.75
    assert (len(episode), episode.agent_steps()) == (3, 2)


def test_the_end_closes_what_waits() -> None:
    episode = turns()
    episode.add_env_step({}, {"b": 201}, {"a": 8.0, "b": 3.0}, terminateds={"__all__": True})
    a, b = episode.agent_episodes["a"], episode.agent_episodes["b"]
    assert (a.get_observations(), a.get_rewards(), a.is_terminated) == ([0, 1, 1], [1.25, 12.0], True)
    assert (b.get_observations(), b.get_rewards(), b.is_terminated) == ([10, 11, 11], [2.5, 3.0], True)
    assert episode.get_return() == 18.75
    assert episode.is_done and episode.get_agents_to_act() == set()
    with pytest.raises(MultiAgentEnvError, match="over"):
        episode.add_env_step({}, {}, {})


def test_a_reward_after_the_last_step_is_not_lost() -> None:
    episode = MultiAgentEpisode()
    episode.add_env_reset(observations={"a": 0, "b": 0})
    episode.add_env_step({"a": 1, "b": 1}, {"a": 0, "b": 0}, {"a": 1.0, "b": 1.0})
    episode.add_env_step({"a": 2}, {"a": 0}, {"a": 1.0, "b": 5.0}, terminateds={"__all__": True})
    assert episode.agent_episodes["b"].get_rewards() == [6.0]


def test_agents_end_before_the_episode_does() -> None:
    episode = MultiAgentEpisode()
    episode.add_env_reset(observations={"a": 0, "b": 0})
    episode.add_env_step({"a": 1, "b": 1}, {"a": 0, "b": 0}, {"a": 1.0}, terminateds={"a": True, "__all__": False})
    assert episode.agent_episodes["a"].is_terminated and not episode.is_done
    assert episode.get_agents_to_act() == {"b"}
    assert episode.get_agents_that_stepped() == ["a", "b"]
    with pytest.raises(MultiAgentEnvError, match="'a' acted at step 1, but has ended"):
        episode.add_env_step({}, {"a": 0}, {})
    with pytest.raises(MultiAgentEnvError, match="'c' acted at step 2, but has not been observed"):
        episode.add_env_step({}, {"c": 0}, {})


def test_a_cut_episode_goes_on_with_what_waits() -> None:
    episode = turns()
    successor = episode.cut(len_lookback_buffer=2)
    assert (len(successor), successor.env_t_started, successor.get_agents_to_act()) == (0, 3, {"b"})
    successor.add_env_step({"a": 2}, {"b": 201}, {"a": 0.125})
    a = successor.agent_episodes["a"]
    assert (a.get_observations(), a.get_actions(), a.get_rewards()) == ([1, 2], [101], [4.125])
    assert a.t_started == 1
    successor.validate()
    episode.concat_episode(successor)
    episode.validate()
    assert episode.agent_episodes["a"].get_rewards() == [1.25, 4.125]
    assert (len(episode), episode.get_observations(-1)) == (4, {"a": 2})


def test_getters_by_steps_of_the_environment() -> None:
    episode = turns()
    assert episode.get_observations() == {"a": [0, 1], "b": [10, 11]}
    assert episode.get_observations(return_list=True) == [{"a": 0}, {"b": 10}, {"a": 1}, {"b": 11}]
    assert episode.get_observations(1) == {"b": 10}
    assert episode.get_observations(-2) == {"a": 1}
    assert episode.get_observations([0, 1], "b") == {"b": [10]}
    assert episode.get_observations(1, fill=-1) == {"a": -1, "b": 10}
    assert episode.get_actions(return_list=True) == [{"a": 100}, {"b": 200}, {}]
    assert episode.get_rewards(0) == {"a": 1.25}
    assert episode.get_observations(-1, env_steps=False) == {"a": 1, "b": 11}
    assert episode.env_t_to_agent_t("a", 2) == 1
    assert episode.env_t_to_agent_t("a", 3) == "S"


def test_given_lists_become_a_chunk_with_lookback() -> None:
    episode = MultiAgentEpisode(
        observations=[{"a": 0, "b": 0}, {"a": 1}, {"a": 2, "b": 1}, {"a": 3}],
        actions=[{"a": 0, "b": 0}, {"a": 1}, {"a": 2, "b": 1}],
        rewards=[{"a": 1.0}, {"a": 2.0, "b": 1.0}, {"a": 3.0}],
        len_lookback_buffer=2,
        env_t_started=7,
    )
    episode.validate()
    assert (len(episode), episode.env_t, episode.env_t_started) == (1, 8, 7)
    assert episode.get_observations(-2, neg_index_as_lookback=True) == {"a": 0, "b": 0}
    assert episode.get_rewards() == {"a": [3.0]}
    assert episode.agent_episodes["b"].get_rewards(-1, neg_index_as_lookback=True) == 1.0
    with pytest.raises(MultiAgentEnvError, match="2 observations, 2 actions"):
        MultiAgentEpisode(observations=[{"a": 0}, {"a": 1}], actions=[{}, {}], rewards=[{}])


def random_episode(draws: list[tuple[bool, bool]]) -> MultiAgentEpisode:
    """At each step each of two agents is observed or not; who was observed last acts; each step brings rewards."""
    episode = MultiAgentEpisode("it")
    episode.add_env_reset(observations={"a": 0, "b": 0})
    acting = {"a", "b"}
    for i, (a, b) in enumerate(draws):
        observed = {agent: i + 1 for agent, there in (("a", a), ("b", b)) if there}
        episode.add_env_step(observed, dict.fromkeys(sorted(acting), i), {"a": 1.0, "b": 0.5})
        acting = set(observed)
    return episode


draws = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=10)


@given(draws, st.integers(0, 10), st.integers(0, 3))
def test_cut_anywhere_and_joined_again_it_is_the_same(steps: list[tuple[bool, bool]], at: int, lookback: int) -> None:
    at = min(at, len(steps))
    whole = random_episode(steps)
    first = random_episode(steps[:at])
    second = first.cut(lookback)
    second.validate()
    acting = first.get_agents_to_act() if at else {"a", "b"}
    for i, (a, b) in enumerate(steps[at:], start=at):
        observed = {agent: i + 1 for agent, there in (("a", a), ("b", b)) if there}
        second.add_env_step(observed, dict.fromkeys(sorted(acting), i), {"a": 1.0, "b": 0.5})
        acting = set(observed)
    second.validate()
    first.concat_episode(second)
    first.validate()
    assert first.get_observations(return_list=True) == whole.get_observations(return_list=True)
    assert first.get_rewards() == whole.get_rewards()
    assert first.get_actions() == whole.get_actions()
    assert first.get_return(True) == whole.get_return(True)


@given(draws, st.integers(0, 10), st.integers(0, 10))
def test_slices_hold_whole_steps(steps: list[tuple[bool, bool]], start: int, stop: int) -> None:
    whole = random_episode(steps)
    part = whole.slice(slice(start, stop))
    part.validate()
    low, high, _ = slice(start, stop).indices(len(steps))
    high = max(low, high)
    seen = whole.get_observations(return_list=True)
    assert part.get_observations(return_list=True) == seen[low : high + 1]
    assert len(part) == high - low


@given(draws, st.booleans())
def test_states_and_pickles_are_the_same(steps: list[tuple[bool, bool]], as_arrays: bool) -> None:
    episode = random_episode(steps)
    if as_arrays:
        episode.to_numpy()
    for copy in (MultiAgentEpisode.from_state(episode.get_state()), pickle.loads(pickle.dumps(episode))):
        copy.validate()
        assert str(copy.get_observations()) == str(episode.get_observations())
        assert copy.get_agents_to_act() == episode.get_agents_to_act()


def test_arrays_come_as_arrays() -> None:
    episode = random_episode([(True, True)] * 3).to_numpy()
    assert episode.is_numpy
    found = episode.get_observations(slice(0, 2))
    assert isinstance(found["a"], np.ndarray) and found["a"].tolist() == [0, 1]
