"""Episodes against a plain list of steps."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib.env.single_agent_episode import SingleAgentEpisode


def episode_of(steps: int, lookback: int = 0, **arguments: Any) -> SingleAgentEpisode:
    """Observations 0, 1, 2, ..., actions 100, 101, ..., rewards 0.5, 1.5, ..."""
    return SingleAgentEpisode(
        "it",
        observations=list(range(steps + 1)),
        actions=[100 + i for i in range(steps)],
        rewards=[i + 0.5 for i in range(steps)],
        extra_model_outputs={"extra": [-i for i in range(steps)]},
        len_lookback_buffer=lookback,
        **arguments,
    )


episodes = st.integers(0, 8).flatmap(lambda steps: st.tuples(st.just(steps), st.integers(0, steps), st.booleans()))


def made(shape: tuple[int, int, bool]) -> SingleAgentEpisode:
    steps, lookback, as_arrays = shape
    episode = episode_of(steps, lookback)
    return episode.to_numpy() if as_arrays else episode


def as_list(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else [np.asarray(value).item() for value in values]


@given(episodes, st.integers(-12, 12), st.booleans())
def test_an_index_is_that_of_a_list(shape: tuple[int, int, bool], index: int, lookback: bool) -> None:
    steps, before, _ = shape
    episode = made(shape)
    everything = list(range(steps + 1))
    position = before + index if index >= 0 or lookback else len(everything) + index
    if 0 <= position < len(everything):
        assert episode.get_observations(index, neg_index_as_lookback=lookback) == everything[position]
        assert episode.get_observations(index, neg_index_as_lookback=lookback, fill=9) == everything[position]
    else:
        with pytest.raises(IndexError, match="lookback buffer"):
            episode.get_observations(index, neg_index_as_lookback=lookback)
        assert episode.get_observations(index, neg_index_as_lookback=lookback, fill=9) == 9


@given(episodes, st.one_of(st.none(), st.integers(-5, 9)), st.one_of(st.none(), st.integers(-5, 12)), st.booleans())
def test_a_slice_is_that_of_a_list_with_or_without_fill(
    shape: tuple[int, int, bool], start: int | None, stop: int | None, lookback: bool
) -> None:
    steps, before, _ = shape
    episode = made(shape)
    rewards = [i + 0.5 for i in range(steps)]

    def position(index: int | None, default: int) -> int:
        if index is None:
            return default
        return before + index if index >= 0 or lookback else steps + index

    low, high = position(start, before), position(stop, steps)
    found = episode.get_rewards(slice(start, stop), neg_index_as_lookback=lookback)
    assert as_list(found) == rewards[max(low, 0) : max(high, 0)]
    filled = episode.get_rewards(slice(start, stop), neg_index_as_lookback=lookback, fill=-1.0)
    assert as_list(filled) == [rewards[i] if 0 <= i < steps else -1.0 for i in range(low, high)]


@given(episodes, st.integers(0, 4))
def test_cut_and_concat_give_the_whole_back(shape: tuple[int, int, bool], lookback: int) -> None:
    steps, before, _ = shape
    episode = episode_of(steps, before)
    successor = episode.cut(len_lookback_buffer=lookback)
    assert (len(successor), successor.t_started, successor.id_) == (0, episode.t, episode.id_)
    assert successor.get_observations(0) == steps
    kept = min(lookback, steps)
    assert (
        successor.get_rewards(slice(-kept, 0), neg_index_as_lookback=True)
        == [i + 0.5 for i in range(steps)][steps - kept :]
    )
    successor.add_env_step(77, 7, 7.0, extra_model_outputs={"extra": 3}, terminated=True)
    successor.validate()
    episode.concat_episode(successor)
    assert episode.get_observations() == [*range(before, steps + 1), 77]
    assert episode.get_actions() == [*(100 + i for i in range(before, steps)), 7]
    assert episode.get_extra_model_outputs("extra") == [*(-i for i in range(before, steps)), 3]
    assert episode.is_terminated and len(episode) == steps - before + 1


@given(episodes, st.integers(-6, 8), st.integers(-6, 8), st.one_of(st.none(), st.integers(0, 5)))
def test_slices_of_episodes_are_episodes(
    shape: tuple[int, int, bool], start: int, stop: int, lookback: int | None
) -> None:
    steps, before, _ = shape
    episode = made(shape)
    chunk = episode.slice(slice(start, stop), len_lookback_buffer=lookback)
    chunk.validate()
    low, high, _ = slice(start, stop).indices(steps - before)
    high = max(low, high)
    assert as_list(chunk.get_rewards()) == [i + 0.5 for i in range(before + low, before + high)]
    assert as_list(chunk.get_observations()) == list(range(before + low, before + high + 1))
    assert as_list(chunk.get_extra_model_outputs("extra")) == [-i for i in range(before + low, before + high)]
    assert chunk.t_started == episode.t_started + low
    assert chunk.rewards.lookback == min(before if lookback is None else lookback, before + low)


@given(episodes)
def test_states_and_pickles_are_the_same_episode(shape: tuple[int, int, bool]) -> None:
    episode = made(shape)
    for copy in (SingleAgentEpisode.from_state(episode.get_state()), pickle.loads(pickle.dumps(episode))):
        assert as_list(copy.get_observations()) == as_list(episode.get_observations())
        assert copy.get_state().keys() == episode.get_state().keys()
        assert (copy.id_, len(copy), copy.is_numpy) == (episode.id_, len(episode), episode.is_numpy)


def test_a_state_does_not_change_with_the_episode() -> None:
    episode = episode_of(2)
    state = episode.get_state()
    episode.add_env_step(9, 9, 9.0, extra_model_outputs={"extra": 1})
    assert SingleAgentEpisode.from_state(state).get_rewards() == [0.5, 1.5]


def test_it_grows_step_by_step() -> None:
    episode = SingleAgentEpisode(observation_space=gym.spaces.Discrete(9))
    assert not episode.is_reset and len(episode) == 0 and episode.get_observations() == []
    with pytest.raises(ValueError, match="add_env_reset"):
        episode.add_env_step(1, 0, 0.0)
    episode.add_env_reset(0, {"first": True})
    with pytest.raises(ValueError, match="started already"):
        episode.add_env_reset(0)
    episode.add_env_step(1, 0, 1.0, {"k": 1}, extra_model_outputs={"logp": -0.5})
    episode.add_env_step(2, 1, 2.0, truncated=True, extra_model_outputs={"logp": -0.7})
    assert (episode.get_return(), episode.is_done, episode.is_truncated, episode.env_steps()) == (3.0, True, True, 2)
    assert episode.get_infos() == [{"first": True}, {"k": 1}, {}]
    assert episode.get_infos(5, fill={"none": 0}) == {"none": 0}
    assert episode.get_extra_model_outputs("logp") == [-0.5, -0.7]
    with pytest.raises(KeyError, match="logp"):
        episode.get_extra_model_outputs("log")
    with pytest.raises(ValueError, match="over"):
        episode.add_env_step(3, 0, 0.0)
    with pytest.raises(ValueError, match="no chunk follows"):
        episode.cut()
    assert episode.to_numpy().get_rewards().dtype == np.float64


def test_lengths_have_to_fit() -> None:
    with pytest.raises(ValueError, match="2 observations"):
        SingleAgentEpisode(observations=[0, 1], actions=[], rewards=[])
    with pytest.raises(ValueError, match=r"extra_model_outputs\['x'\] has 1 items for 2"):
        SingleAgentEpisode(
            observations=[0, 1, 2],
            actions=[0, 0],
            rewards=[0.0, 0.0],
            extra_model_outputs={"x": [1]},
            len_lookback_buffer=0,
        )
    with pytest.raises(ValueError, match="len_lookback_buffer"):
        SingleAgentEpisode(len_lookback_buffer=-1)


def test_everything_is_lookback_unless_said_otherwise() -> None:
    episode = SingleAgentEpisode(observations=[0, 1, 2], actions=[0, 0], rewards=[1.0, 2.0], t_started=5)
    assert (len(episode), episode.t, episode.get_rewards(-1, neg_index_as_lookback=True)) == (0, 5, 2.0)


@pytest.mark.parametrize("as_arrays", [False, True])
def test_values_are_overwritten_where_indices_say(as_arrays: bool) -> None:
    episode = episode_of(4, 1)
    if as_arrays:
        episode.to_numpy()
    episode.set_observations(new_data=50, at_indices=0)
    episode.set_observations(new_data=[60], at_indices=slice(-1, None))
    episode.set_observations(new_data=[70], at_indices=[-1], neg_index_as_lookback=True)
    assert as_list(episode.observations.data) == [70, 50, 2, 3, 60]
    episode.set_rewards(new_data=[1.0, 2.0, 3.0])
    assert as_list(episode.rewards.data) == [0.5, 1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="2 items"):
        episode.set_rewards(new_data=[1.0, 2.0])
    with pytest.raises(IndexError):
        episode.set_actions(new_data=1, at_indices=9)
    episode.set_extra_model_outputs(key="new", new_data=[7, 8, 9])
    assert as_list(episode.get_extra_model_outputs("new")) == [7, 8, 9]
    with pytest.raises(ValueError, match="3 steps"):
        episode.set_extra_model_outputs(key="newer", new_data=[7])


def test_discrete_values_are_encoded_and_filled() -> None:
    episode = SingleAgentEpisode(
        observations=[0, 1, 2],
        actions=[1, 0],
        rewards=[0.0, 0.0],
        observation_space=gym.spaces.Discrete(3),
        action_space=gym.spaces.Discrete(2),
        len_lookback_buffer=0,
    ).to_numpy()
    encoded = episode.get_actions(slice(-1, 2), neg_index_as_lookback=True, fill=0, one_hot_discrete=True)
    assert encoded.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert episode.get_observations(one_hot_discrete=True).tolist() == np.eye(3).tolist()


def test_nested_observations_and_actions() -> None:
    def seen(i: int) -> dict[str, Any]:
        return {"a": np.full(2, i, np.float32), "b": (i, np.int64(i))}

    episode = SingleAgentEpisode(
        observations=[seen(i) for i in range(4)],
        actions=[(i, np.ones(2)) for i in range(3)],
        rewards=[0.0] * 3,
        len_lookback_buffer=1,
    )
    episode.to_numpy()
    assert episode.get_observations()["a"].shape == (3, 2)
    assert episode.get_observations(-1)["b"] == (3, 3)
    assert episode.get_observations(slice(-2, 1), neg_index_as_lookback=True, fill=0.0)["a"][:, 0].tolist() == [0, 0, 1]
    assert episode.get_actions()[0].tolist() == [1, 2]
    assert len(episode[1:]) == 1


def test_what_does_not_follow_is_not_joined() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        episode_of(2).concat_episode(episode_of(2))
    with pytest.raises(ValueError, match="follow one another"):
        episode_of(4).slice(slice(0, 4, 2))
    with pytest.raises(TypeError, match="take slices"):
        episode_of(2)[1]  # type: ignore[index]


def test_outputs_are_as_many_as_actions_where_some_were_drawn_at_random() -> None:
    episode = SingleAgentEpisode()
    episode.add_env_reset(0)
    episode.add_env_step(1, 0, 0.0)
    episode.add_env_step(
        2, 1, 0.0, extra_model_outputs={"logits": np.array([1.0, 2.0]), "state": {"h": np.array([3.0])}}
    )
    episode.add_env_step(3, 0, 0.0)
    episode.validate()
    assert np.array_equal(episode.get_extra_model_outputs("logits"), [[0, 0], [1, 2], [0, 0]])
    assert [given["h"][0] for given in episode.get_extra_model_outputs("state")] == [0, 3, 0]
    rest = episode.cut()
    rest.add_env_step(4, 1, 0.0)
    rest.validate()
