"""The arithmetic of the algorithms against slow references that are written as the papers write them: one step at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.rllib._internal.numerics.distributional import project
from shoal.rllib._internal.numerics.gae import generalized_advantages, returns_to_go
from shoal.rllib._internal.numerics.n_step import n_step_transitions
from shoal.rllib._internal.numerics.scan import following, reverse_scan
from shoal.rllib._internal.numerics.vtrace import vtrace

lengths_of_episodes = st.lists(st.integers(1, 40), min_size=1, max_size=6)
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0, 1)


def episodes(lengths: list[int]) -> list[slice]:
    ends = np.cumsum(lengths)
    return [slice(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]


@given(lengths_of_episodes, seeds, shares, shares)
def test_advantages(lengths: list[int], seed: int, gamma: float, lambda_: float) -> None:
    chance = np.random.default_rng(seed)
    rewards, values = chance.normal(size=sum(lengths)), chance.normal(size=sum(lengths))
    bootstrap = chance.normal(size=len(lengths)) * chance.integers(0, 2, len(lengths))
    expected = np.zeros(sum(lengths))
    expected_returns = np.zeros(sum(lengths))
    for number, its in enumerate(episodes(lengths)):
        following_values = [*values[its][1:], bootstrap[number]]
        for t in range(its.stop - its.start):
            # The sum over all k of (gamma lambda)^k delta(t + k), as the definition has it.
            expected[its.start + t] = sum(
                (gamma * lambda_) ** k * (rewards[its][t + k] + gamma * following_values[t + k] - values[its][t + k])
                for k in range(its.stop - its.start - t)
            )
            left = rewards[its][t:]
            expected_returns[its.start + t] = (
                sum(gamma**k * reward for k, reward in enumerate(left)) + gamma ** len(left) * bootstrap[number]
            )
    arrays = {"rewards": rewards, "bootstrap_values": bootstrap, "lengths": np.array(lengths)}
    advantages, targets = generalized_advantages(values=values, gamma=gamma, lambda_=lambda_, **arrays)
    assert np.allclose(advantages, expected)
    assert np.allclose(targets, expected + values)
    assert np.allclose(returns_to_go(gamma=gamma, **arrays), expected_returns)
    tensors = {name: torch.as_tensor(array) for name, array in arrays.items()}
    on_tensors, _ = generalized_advantages(values=torch.as_tensor(values), gamma=gamma, lambda_=lambda_, **tensors)
    assert np.allclose(on_tensors, expected)


def test_a_lambda_of_one_gives_the_return_and_of_zero_one_step() -> None:
    arrays = {
        "rewards": np.array([1.0, 2.0, 3.0]),
        "values": np.array([0.5, 0.25, 2.0]),
        "bootstrap_values": np.array([10.0]),
        "lengths": np.array([3]),
    }
    whole, targets = generalized_advantages(**arrays, gamma=1.0, lambda_=1.0)
    assert targets.tolist() == [16.0, 15.0, 13.0]
    assert whole.tolist() == [15.5, 14.75, 11.0]
    one_step, _ = generalized_advantages(**arrays, gamma=1.0, lambda_=0.0)
    assert one_step.tolist() == [1 + 0.25 - 0.5, 2 + 2 - 0.25, 3 + 10 - 2.0]


def test_inputs_are_left_as_they_were() -> None:
    x, coefficients = np.ones(5, np.float32), np.full(5, 0.5, np.float32)
    reverse_scan(x, coefficients)
    assert x.tolist() == [1.0] * 5
    assert coefficients.tolist() == [0.5] * 5


@given(seeds, st.integers(1, 70), st.integers(1, 3))
def test_a_scan_goes_along_the_first_axis(seed: int, steps: int, columns: int) -> None:
    chance = np.random.default_rng(seed)
    x, coefficients = chance.normal(size=(steps, columns)), chance.uniform(-1, 1, (steps, columns))
    expected = np.zeros_like(x)
    after: NDArray[np.float64] = np.zeros(columns)
    for t in reversed(range(steps)):
        after = expected[t] = x[t] + coefficients[t] * after
    assert np.allclose(reverse_scan(x, coefficients), expected)


def test_what_follows_stays_within_an_episode() -> None:
    given_ = following(np.arange(5.0), np.array([-1.0, -2.0]), np.array([2, 3]))
    assert given_.tolist() == [1.0, -1.0, 3.0, 4.0, -2.0]


@given(lengths_of_episodes, seeds, shares, st.floats(0.1, 3), st.floats(0.1, 3), shares)
def test_vtrace(lengths: list[int], seed: int, gamma: float, rho_bar: float, pg_rho_bar: float, lambda_: float) -> None:
    chance = np.random.default_rng(seed)
    total = sum(lengths)
    target_logp, behaviour_logp, rewards, values = (chance.normal(size=total) for _ in range(4))
    bootstrap = chance.normal(size=len(lengths)) * chance.integers(0, 2, len(lengths))
    expected_targets, expected_advantages = np.zeros(total), np.zeros(total)
    for number, its in enumerate(episodes(lengths)):
        steps = its.stop - its.start
        v = [*values[its], bootstrap[number]]
        ratio = [math.exp(target_logp[its][t] - behaviour_logp[its][t]) for t in range(steps)]
        targets = [0.0] * steps + [bootstrap[number]]
        for s in range(steps):
            # v_s = V(x_s) + sum over t of gamma^(t - s) (product of c_s ... c_(t-1)) delta_t V
            targets[s] = v[s]
            for t in range(s, steps):
                product = math.prod(lambda_ * min(1.0, ratio[i]) for i in range(s, t))
                delta = min(rho_bar, ratio[t]) * (rewards[its][t] + gamma * v[t + 1] - v[t])
                targets[s] += gamma ** (t - s) * product * delta
        for s in range(steps):
            ahead = rewards[its][s] + gamma * targets[s + 1] - v[s]
            expected_advantages[its.start + s] = min(pg_rho_bar, ratio[s]) * ahead
        expected_targets[its] = targets[:-1]
    given_ = vtrace(
        target_logp=torch.as_tensor(target_logp).requires_grad_(),
        behaviour_logp=torch.as_tensor(behaviour_logp),
        rewards=torch.as_tensor(rewards),
        values=torch.as_tensor(values).requires_grad_(),
        bootstrap_values=torch.as_tensor(bootstrap),
        lengths=torch.as_tensor(lengths),
        gamma=gamma,
        lambda_=lambda_,
        clip_rho_threshold=rho_bar,
        clip_pg_rho_threshold=pg_rho_bar,
    )
    assert np.allclose(given_.value_targets, expected_targets)
    assert np.allclose(given_.advantages, expected_advantages)
    assert not given_.value_targets.requires_grad
    assert not given_.advantages.requires_grad


def test_vtrace_of_the_own_policy_gives_n_step_returns() -> None:
    logp, rewards, values = torch.randn(6), torch.randn(6), torch.randn(6)
    bootstrap, lengths = torch.tensor([0.5, 0.0]), torch.tensor([4, 2])
    given_ = vtrace(
        target_logp=logp,
        behaviour_logp=logp,
        rewards=rewards,
        values=values,
        bootstrap_values=bootstrap,
        lengths=lengths,
        gamma=0.9,
    )
    expected = returns_to_go(rewards=rewards, bootstrap_values=bootstrap, lengths=lengths, gamma=0.9)
    torch.testing.assert_close(given_.value_targets, expected)


@given(lengths_of_episodes, seeds, st.integers(1, 6), shares)
def test_n_step_transitions(lengths: list[int], seed: int, n: int, gamma: float) -> None:
    chance = np.random.default_rng(seed)
    # Places lie anyhow; each episode has one more than it has steps.
    order = chance.permutation(sum(lengths) + len(lengths))
    rewards, following = chance.normal(size=len(order)), np.full(len(order), -1)
    ways = []
    for length in lengths:
        way, order = order[: length + 1], order[length + 1 :]
        following[way[:-1]] = way[1:]
        ways.append(way)
    starts = [(way, t) for way in ways for t in range(len(way) - 1)]
    many = chance.integers(1, n + 1, len(starts))
    given_ = n_step_transitions(rewards, following, np.array([way[t] for way, t in starts]), many, gamma)
    for row, (way, t) in enumerate(starts):
        steps = min(int(many[row]), len(way) - 1 - t)
        assert given_.steps[row] == steps
        assert given_.after[row] == way[t + steps]
        assert given_.last[row] == way[t + steps - 1]
        expected = sum(gamma**k * rewards[way[t + k]] for k in range(steps))
        assert given_.returns[row] == pytest.approx(expected, abs=1e-4)


@given(seeds, st.integers(2, 9), st.floats(-10, 0), st.floats(0.5, 10))
def test_projection(seed: int, atoms: int, v_min: float, width: float) -> None:
    chance = np.random.default_rng(seed)
    v_max = v_min + width
    probs = chance.dirichlet(np.ones(atoms), size=5)
    rewards, discounts = chance.normal(size=5) * 3, chance.uniform(0, 1, 5) * chance.integers(0, 2, 5)
    spacing = width / (atoms - 1)
    support = [v_min + i * spacing for i in range(atoms)]
    expected = np.zeros((5, atoms))
    for row in range(5):
        for j in range(atoms):
            moved = min(max(rewards[row] + discounts[row] * support[j], v_min), v_max)
            for i in range(atoms):
                # The paper's equation 7.
                expected[row, i] += min(max(1 - abs(moved - support[i]) / spacing, 0), 1) * probs[row, j]
    given_ = project(
        torch.as_tensor(probs), torch.as_tensor(rewards), torch.as_tensor(discounts), v_min=v_min, v_max=v_max
    )
    assert np.allclose(given_, expected, atol=1e-9)
    assert np.allclose(given_.sum(-1), 1)


def test_projection_keeps_the_mean_where_nothing_is_clipped() -> None:
    support = torch.linspace(-10, 10, 51)
    probs = torch.softmax(torch.randn(7, 51, generator=torch.Generator().manual_seed(0)), -1)
    moved = project(probs, torch.full((7,), 0.37), torch.full((7,), 0.9), v_min=-10.0, v_max=10.0)
    assert (moved @ support).tolist() == pytest.approx((0.37 + 0.9 * (probs @ support)).tolist(), abs=1e-4)
    unmoved = project(probs, torch.zeros(7), torch.ones(7), v_min=-10.0, v_max=10.0)
    torch.testing.assert_close(unmoved, probs, atol=1e-5, rtol=1e-4)
