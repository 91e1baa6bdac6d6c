"""Batches in parts, episodes in shares, sequences of steps."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib._internal.learning.chance import OwnChance, derived_seed
from shoal.rllib._internal.learning.episode_batch import batch_of
from shoal.rllib._internal.learning.minibatches import Minibatches
from shoal.rllib._internal.learning.sequences import sequences_of
from shoal.rllib._internal.learning.sharding import shard
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode


@given(rows=st.integers(1, 40), size=st.integers(1, 50), passes=st.integers(1, 4), shuffle=st.booleans())
def test_each_row_is_had_once_a_pass(rows: int, size: int, passes: int, shuffle: bool) -> None:
    stream = Minibatches({"x": torch.arange(rows), "y": {"z": torch.arange(rows) * 2}}, size, shuffle)
    parts = [stream.next() for _ in range(stream.count(passes))]
    assert all(len(part["x"]) == size and torch.equal(part["y"]["z"], part["x"] * 2) for part in parts)
    seen = torch.cat([part["x"] for part in parts])
    assert passes * rows <= len(seen) < passes * rows + size
    for one in range(passes):
        assert sorted(seen[one * rows : (one + 1) * rows].tolist()) == list(range(rows))


def test_without_a_size_the_batch_is_one_part() -> None:
    batch = {"x": torch.arange(3)}
    stream = Minibatches(batch, None, True)
    assert stream.count(5) == 5 and stream.next() is batch


def episode(length: int, first: int = 0, *, t_started: int = 0, terminated: bool = False) -> SingleAgentEpisode:
    """Observations count on from `first`; the state after a step is its observation plus 100; one step of lookback where it goes on."""
    lookback = 1 if t_started else 0
    total = length + lookback
    observations = np.arange(first - lookback, first - lookback + total + 1, dtype=np.float32)[:, None]
    return SingleAgentEpisode(
        observations=observations,
        actions=np.zeros(total, np.int64),
        rewards=np.ones(total, np.float32),
        extra_model_outputs={Columns.STATE_OUT: {"h": observations[:-1] + 100}},
        terminated=terminated,
        t_started=t_started,
        len_lookback_buffer=lookback,
    )


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), parts=st.integers(1, 5))
def test_learners_have_as_many_steps(lengths: list[int], parts: int) -> None:
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    episodes = [episode(length, start) for length, start in zip(lengths, starts, strict=True)]
    total = sum(lengths)
    if total < parts:
        return
    shares = shard(episodes, parts)
    counts = [sum(len(one) for one in share) for share in shares]
    assert sum(counts) == total and max(counts) - min(counts) <= 1
    seen = [float(x) for share in shares for one in share for x in one.get_observations()[:-1, 0]]
    assert seen == [float(x) for x in range(total)]


def test_a_batch_has_the_observations_after_each_episode() -> None:
    batch = batch_of([episode(2, 0, terminated=True), episode(3, 10)])
    assert batch.observations[:, 0].tolist() == [0, 1, 2, 10, 11, 12, 13]
    assert batch.columns[Columns.OBS][:, 0].tolist() == [0, 1, 10, 11, 12]
    assert batch.observations[batch.last_rows][:, 0].tolist() == [2, 13]
    assert batch.terminated.tolist() == [True, False] and batch.lengths.tolist() == [2, 3]


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    longest=st.integers(1, 5),
    goes_on=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_sequences_have_each_step_once_and_the_state_before_it(
    lengths: list[int], longest: int, goes_on: list[bool]
) -> None:
    episodes = [
        episode(length, 20 * index, t_started=3 if late else 0)
        for index, (length, late) in enumerate(zip(lengths, goes_on, strict=False))
    ]
    batch = batch_of(episodes)
    sequences = sequences_of(batch, {"h": np.full(1, -1, np.float32)}, longest)
    flat = batch.columns[Columns.OBS]
    assert torch.equal(sequences.flatten(sequences.pad(flat)), flat)
    padded = sequences.pad(flat)[..., 0]
    firsts = {20 * index for index, late in zip(range(len(lengths)), goes_on, strict=False) if not late}
    for row, state, mask in zip(padded, sequences.state_in["h"][:, 0], sequences.mask, strict=True):
        first = float(row[0])
        assert float(state) == (-1 if first in firsts else first - 1 + 100)
        assert not row[~mask].any()
    assert all(int(mask.sum()) <= longest for mask in sequences.mask)


def test_chance_is_ones_own() -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    chance = OwnChance(7)
    with chance():
        first = torch.rand(2)
    state = chance.get_state()
    with chance():
        second = torch.rand(2)
    assert torch.equal(torch.rand(4), expected), "the chance of others was changed"
    again = OwnChance(7)
    with again():
        assert torch.equal(torch.rand(2), first)
    again.set_state(state)
    with again():
        assert torch.equal(torch.rand(2), second)


def test_seeds_differ_by_kind_and_number() -> None:
    seeds = [derived_seed(seed, kind, index) for seed, kind, index in itertools.product(range(3), range(5), range(4))]
    assert len(set(seeds)) == len(seeds)
    assert derived_seed(None, 0) is None
