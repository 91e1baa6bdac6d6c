"""The replay buffers: what they keep, and how often they give it."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib._internal.replay.tree import Tree
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.replay_buffers import (
    EpisodeReplayBuffer,
    MultiAgentEpisodeReplayBuffer,
    MultiAgentPrioritizedEpisodeReplayBuffer,
    PrioritizedEpisodeReplayBuffer,
)


def chunk(
    name: int, start: int, length: int, *, terminated: bool = False, truncated: bool = False
) -> SingleAgentEpisode:
    """Steps `start` to `start + length` of an episode: everything in it says of which step it is."""
    at = np.arange(start, start + length + 1)
    return SingleAgentEpisode(
        id_=str(name),
        observations=[np.array([name, t], np.float32) for t in at],
        actions=[1000 * name + t for t in at[:-1]],
        rewards=[float(2.0**-t) for t in at[:-1]],
        terminated=terminated,
        truncated=truncated,
        extra_model_outputs={"action_logp": [-float(t) for t in at[:-1]]},
        t_started=start,
        len_lookback_buffer=0,
    )


def steps_of(batch: dict[str, Any]) -> list[tuple[int, int]]:
    return [(int(name), int(t)) for name, t in batch["obs"]]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.sampled_from(["goes on", "terminated", "truncated"])), max_size=25),
    st.integers(2, 12),
    st.integers(1, 4),
    st.booleans(),
)  # fmt: skip
def test_a_buffer_gives_the_transitions_of_the_latest_steps(
    chunks: list[tuple[int, int, str]], capacity: int, n: int, prioritized: bool
) -> None:
    buffer: Any = (PrioritizedEpisodeReplayBuffer if prioritized else EpisodeReplayBuffer)(capacity, seed=0)
    lengths: dict[int, int] = {}  # of episodes so far
    done: dict[int, str] = {}
    now: dict[int, int] = {}  # which episode each of the environments is in
    observed: list[tuple[int, int]] = []  # in the order of places
    for env, length, end in chunks:
        name = now.setdefault(env, len(lengths))
        start = lengths.setdefault(name, 0)
        buffer.add(chunk(name, start, length, terminated=end == "terminated", truncated=end == "truncated"))
        # The last observation before this chunk has its place already, unless that was taken, or would be.
        there = observed[-capacity:]
        goes_on = (name, start) in there and len(there) - there.index((name, start)) + length <= capacity
        kept = min(length, capacity - 1)
        observed += [(name, t) for t in range(start + length - kept + (1 if goes_on else 0), start + length + 1)]
        lengths[name] += length
        if end != "goes on":
            done[name] = end
            del now[env]
    kept_places = observed[-capacity:]
    # Of what was observed twice the later place has the step, and the one before it none.
    expected = {(name, t) for i, (name, t) in enumerate(kept_places) if (name, t + 1) in kept_places[i + 1 :]}
    assert len(buffer) == len(expected)
    if not expected:
        with pytest.raises(ValueError, match="no step"):
            buffer.sample_columns(1)
        return
    buffer = _carried_over(buffer, capacity)
    batch = buffer.sample_columns(64, n_step=n, gamma=0.5, include_extra_model_outputs=True)
    assert set(steps_of(batch)) <= expected
    for row, (name, t) in enumerate(steps_of(batch)):
        steps = int(batch["n_step"][row])
        assert 1 <= steps <= n
        ends_here = t + steps == lengths[name]
        assert ends_here or steps == n or (name, t + steps) not in expected
        assert batch["new_obs"][row].tolist() == [name, t + steps]
        assert batch["actions"][row] == 1000 * name + t
        assert batch["action_logp"][row] == -t
        assert batch["rewards"][row] == pytest.approx(sum(0.5**k * 2.0 ** -(t + k) for k in range(steps)), rel=1e-5)
        assert batch["terminateds"][row] == (ends_here and done.get(name) == "terminated")
        assert batch["truncateds"][row] == (ends_here and done.get(name) == "truncated")


def _carried_over(buffer: Any, capacity: int) -> Any:
    """The same, after its state went to another process."""
    other = type(buffer)(capacity)
    other.set_state(pickle.loads(pickle.dumps(buffer.get_state())))
    assert len(other) == len(buffer)
    assert other.get_num_episodes() == buffer.get_num_episodes()
    first, second = buffer.sample_columns(20, n_step=2), other.sample_columns(20, n_step=2)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    return other


def filled(buffer: Any, episodes: int = 10, length: int = 10) -> Any:
    for name in range(episodes):
        buffer.add(chunk(name, 0, length, terminated=True))
    return buffer


def chi_squared(counts: Counter[Any], expected: dict[Any, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[key] - value) ** 2 / value for key, value in expected.items())


def test_uniform_sampling_gives_each_step_as_often() -> None:
    buffer = filled(EpisodeReplayBuffer(60, seed=1))
    counts: Counter[Any] = Counter(steps_of(buffer.sample_columns(60_000)))
    stored = buffer.get_num_timesteps()
    assert stored < 60
    assert chi_squared(counts, dict.fromkeys(counts, 60_000 / stored)) < 95  # 54 degrees of freedom: 1 in 2000
    assert len(counts) == stored


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_prioritized_sampling_gives_each_step_as_often_as_its_priority_says(alpha: float) -> None:
    buffer = filled(PrioritizedEpisodeReplayBuffer(200, alpha=alpha, seed=2))
    priorities = np.random.default_rng(0).exponential(size=2000) + 0.01
    batch = buffer.sample_columns(2000, beta=0.7)
    assert batch["weights"].tolist() == [1.0] * 2000
    buffer.update_priorities(priorities)
    last = dict(zip(steps_of(batch), priorities, strict=True))
    assert len(last) == 100  # every step has come at least once
    whole = sum(p**alpha for p in last.values())
    expected = {key: 50_000 * p**alpha / whole for key, p in last.items()}
    again = buffer.sample_columns(50_000, beta=0.7)
    assert chi_squared(Counter(steps_of(again)), expected) < 150  # 99 degrees of freedom: 1 in 2000
    # (N P(i))^-beta over the largest that there is.
    weights = {key: (100 * p**alpha / whole) ** -0.7 for key, p in last.items()}
    largest = max(weights.values())
    for key, weight in zip(steps_of(again), again["weights"], strict=True):
        assert weight == pytest.approx(weights[key] / largest, rel=1e-4)


def test_weights_undo_the_bias_of_priorities() -> None:
    buffer = filled(PrioritizedEpisodeReplayBuffer(200, alpha=1.0, seed=3))
    batch = buffer.sample_columns(5000)
    buffer.update_priorities(1.0 + batch["obs"][:, 1])  # the later the likelier
    batch = buffer.sample_columns(100_000, beta=1.0)
    assert batch["obs"][:, 1].mean() > 5.5
    assert np.average(batch["obs"][:, 1], weights=batch["weights"]) == pytest.approx(4.5, abs=0.03)


def test_new_steps_have_the_largest_priority_there_was() -> None:
    buffer = filled(PrioritizedEpisodeReplayBuffer(1000, alpha=1.0, seed=4), episodes=1)
    buffer.sample_columns(1000)
    buffer.update_priorities(np.full(1000, 1e-6))
    buffer.add(chunk(77, 0, 5))
    counts = Counter(name for name, _ in steps_of(buffer.sample_columns(1000)))
    assert counts[77] == 1000
    buffer.add(chunk(78, 0, 5), weight=9.0)
    counts = Counter(name for name, _ in steps_of(buffer.sample_columns(1000)))
    assert counts[78] == pytest.approx(900, abs=5)


def test_priorities_are_checked_and_need_not_be_set() -> None:
    buffer = filled(PrioritizedEpisodeReplayBuffer(100, seed=0))
    buffer.sample_columns(4)
    with pytest.raises(ValueError, match="3 priorities"):
        buffer.update_priorities([1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="nan"):
        buffer.update_priorities([1.0, 1.0, 1.0, float("nan")])
    buffer.update_priorities([0.0, 0.0, 0.0, 0.0])
    assert len(set(steps_of(buffer.sample_columns(1000)))) > 80


def test_what_was_overwritten_since_it_was_sampled_gets_no_priority() -> None:
    buffer = PrioritizedEpisodeReplayBuffer(10, alpha=1.0, seed=0)
    buffer.add(chunk(0, 0, 9, terminated=True))
    buffer.sample_columns(200)
    buffer.add(chunk(1, 0, 3))
    buffer.update_priorities(np.full(200, 100.0))
    sampled = steps_of(buffer.sample_columns(500))
    assert set(sampled) <= {(1, 0), (1, 1), (1, 2), *((0, t) for t in range(4, 9))}


@given(
    st.integers(1, 9000),
    st.lists(st.tuples(st.integers(0, 8999), st.integers(0, 5)), min_size=1, max_size=40),
    st.integers(0, 99),
)
def test_a_tree_finds_what_a_search_in_running_sums_finds(size: int, values: list[tuple[int, int]], seed: int) -> None:
    sums, minima, numbers = Tree(size), Tree(size, minimum=True), np.zeros(size)
    minima.set(np.arange(size), numbers + 7.0)
    for index, value in values:
        numbers[index % size] = value
        sums.set(np.array([index % size]), np.array([float(value)]))
        minima.set(np.array([index % size]), np.array([float(value)]))
    assert sums.whole == numbers.sum()
    assert minima.whole == min(
        value if index in {i % size for i, _ in values} else 7.0 for index, value in enumerate(numbers)
    )
    if numbers.sum():
        wanted = np.random.default_rng(seed).uniform(0, numbers.sum(), 30)
        assert np.array_equal(sums.find(wanted), np.searchsorted(numbers.cumsum(), wanted, side="right"))
        assert numbers[sums.find(np.array([numbers.sum()]))][0] > 0  # beyond the last


def test_episodes_of_one_transition_each() -> None:
    buffer = filled(PrioritizedEpisodeReplayBuffer(100, seed=0))
    sampled = buffer.sample(
        8, n_step=3, gamma=0.5, beta=0.4, sample_episodes=True, to_numpy=True, include_extra_model_outputs=True
    )
    assert len(sampled) == 8
    for episode in sampled:
        (name, t), (_, after) = episode.get_observations().astype(int)
        steps = int(episode.get_extra_model_outputs("n_step")[0])
        assert len(episode) == 1
        assert episode.is_numpy
        assert after == t + steps
        assert episode.is_terminated == (after == 10)
        assert episode.get_actions(0) == 1000 * name + t
        assert episode.get_extra_model_outputs("action_logp", 0) == -t
        assert episode.get_extra_model_outputs("weights", 0) == 1.0


def test_rows_of_consecutive_steps() -> None:
    buffer = filled(EpisodeReplayBuffer(1000, batch_size_B=5, batch_length_T=7, seed=0), episodes=20, length=4)
    rows = buffer.sample()
    assert rows["obs"].shape == (5, 7, 2)
    assert buffer.get_sampled_timesteps() == 35
    for row in range(5):
        for t in range(7):
            name, step = (int(part) for part in rows["obs"][row, t])
            first = rows["is_first"][row, t]
            if t:
                before = (int(rows["obs"][row, t - 1][0]), int(rows["obs"][row, t - 1][1]))
                assert step == 0 if first else (name, step - 1) == before
                assert first == (before[1] == 4)
            else:
                assert first
            assert rows["is_last"][row, t] == (step == 4 or t == 6)
            assert rows["is_terminated"][row, t] == (step == 4)
            assert rows["rewards"][row, t] == (0.0 if step == 0 else 2.0 ** -(step - 1))
            assert rows["actions"][row, t] == 1000 * name + min(step, 3)


def test_a_range_of_steps_is_drawn_from() -> None:
    buffer = EpisodeReplayBuffer(1000, seed=0)
    buffer.add(chunk(0, 0, 900))
    steps = Counter(buffer.sample_columns(3000, n_step=(2, 4))["n_step"].tolist())
    assert set(steps) <= {1.0, 2.0, 3.0, 4.0}
    assert min(steps[2.0], steps[3.0], steps[4.0]) > 900


def test_nested_observations_and_infos_come_back() -> None:
    buffer = EpisodeReplayBuffer(20, seed=0)
    buffer.add(
        SingleAgentEpisode(
            observations=[{"a": np.full(2, t, np.uint8), "b": (t,)} for t in range(4)],
            actions=[(t, np.ones(1)) for t in range(3)],
            rewards=[0.0] * 3,
            infos=[{"t": t} for t in range(4)],
            len_lookback_buffer=0,
        )
    )
    batch = buffer.sample_columns(5, include_infos=True)
    assert batch["obs"]["a"].dtype == np.uint8
    assert np.array_equal(batch["obs"]["a"][:, 0], batch["obs"]["b"][0])
    assert np.array_equal(batch["actions"][0], batch["obs"]["b"][0])
    assert [info["t"] for info in batch["infos"]] == batch["new_obs"]["b"][0].tolist()
    with pytest.raises(ValueError, match="one shape only"):
        buffer.add(chunk_with_observations_of(3))


def chunk_with_observations_of(width: int) -> SingleAgentEpisode:
    return SingleAgentEpisode(
        observations=[{"a": np.ones(width, np.uint8), "b": (0,)}] * 2,
        actions=[(0, np.ones(1))],
        rewards=[0.0],
        len_lookback_buffer=0,
    )


def test_counts() -> None:
    buffer = filled(EpisodeReplayBuffer(44, seed=0))
    buffer.sample_columns(7)
    assert buffer.get_num_timesteps() == len(buffer) == 40
    assert buffer.get_num_episodes() == 4
    assert buffer.get_num_episodes_evicted() == 6
    assert buffer.get_added_timesteps() == 100
    assert buffer.get_sampled_timesteps() == 7
    metrics = buffer.get_metrics()
    assert metrics["num_env_steps_stored"] == 40
    assert metrics["num_env_steps_evicted_lifetime"] == 60


def test_bad_arguments_are_named() -> None:
    for arguments, text in (
        ({"capacity": 1}, "capacity"),
        ({"batch_size_B": 0}, "batch_size_B"),
        ({"size": 3}, "size"),
    ):
        with pytest.raises(ConfigError, match=text):
            EpisodeReplayBuffer(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="alpha"):
        PrioritizedEpisodeReplayBuffer(alpha=-1.0)
    with pytest.raises(ValueError, match="mean the same"):
        filled(EpisodeReplayBuffer()).sample(3, batch_size_B=3)
    with pytest.raises(ValueError, match="capacity=30"):
        EpisodeReplayBuffer(20).set_state(filled(EpisodeReplayBuffer(30)).get_state())
    with pytest.raises(ConfigError, match="beta"):
        filled(PrioritizedEpisodeReplayBuffer(30)).sample_columns(1, beta=float("nan"))


def test_modules_have_steps_of_their_own() -> None:
    buffer = MultiAgentPrioritizedEpisodeReplayBuffer(100, alpha=1.0, seed=0)
    for name in range(4):
        episode = chunk(name, 0, 5, terminated=True)
        episode.module_id = f"m{name % 2}"
        buffer.add([episode])
    assert buffer.get_module_ids() == ["m0", "m1"]
    assert (len(buffer), buffer.get_num_timesteps("m0"), buffer.get_num_episodes("m1")) == (20, 10, 2)
    batch = buffer.sample_columns(6)
    assert {name % 2 for name, _ in steps_of(batch["m0"])} == {0}
    assert {name % 2 for name, _ in steps_of(batch["m1"])} == {1}
    buffer.update_priorities(np.full(6, 3.0), "m0")
    sampled = buffer.sample(3, modules_to_sample=["m1"])
    assert [episode.module_id for episode in sampled] == ["m1"] * 3
    with pytest.raises(ValueError, match="m7"):
        buffer.sample(3, modules_to_sample=["m7"])
    with pytest.raises(ConfigError, match="independent"):
        buffer.sample(3, replay_mode="synchronized")
    other = MultiAgentPrioritizedEpisodeReplayBuffer(100, alpha=1.0)
    other.set_state(pickle.loads(pickle.dumps(buffer.get_state())))
    first, second = buffer.sample_columns(20), other.sample_columns(20)
    assert all(np.array_equal(first[m][key], second[m][key]) for m in first for key in first[m])
    assert other.get_metrics() == buffer.get_metrics()
    assert MultiAgentEpisodeReplayBuffer(10).get_num_timesteps() == 0
