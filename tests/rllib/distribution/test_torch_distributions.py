"""The distributions, against torch.distributions and against the frequencies of what they draw."""

from __future__ import annotations

import math
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, Normal, TransformedDistribution, kl_divergence
from torch.distributions.transforms import AffineTransform, TanhTransform

from shoal.rllib.core.distribution.torch.action_distributions import distribution_class_for
from shoal.rllib.core.distribution.torch.torch_distribution import (
    TorchCategorical,
    TorchDeterministic,
    TorchDiagGaussian,
    TorchMultiCategorical,
    TorchMultiDistribution,
    TorchSquashedGaussian,
)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_categorical_agrees_with_torch() -> None:
    logits, others = numbers(50, 4), numbers(50, 4, seed=1)
    dist, other = TorchCategorical.from_logits(logits), TorchCategorical.from_logits(others)
    reference = Categorical(logits=logits)
    actions = dist.sample()
    torch.testing.assert_close(dist.logp(actions), reference.log_prob(actions))
    torch.testing.assert_close(dist.entropy(), reference.entropy())
    torch.testing.assert_close(dist.kl(other), kl_divergence(reference, Categorical(logits=others)))
    torch.testing.assert_close(TorchCategorical(probs=dist.probs).entropy(), reference.entropy())
    assert torch.equal(dist.to_deterministic().sample(), logits.argmax(-1))


def test_categorical_draws_as_often_as_its_probabilities_say() -> None:
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05])
    draws = TorchCategorical(probs=probs).sample(sample_shape=(100_000,), generator=torch.Generator().manual_seed(3))
    counts = torch.bincount(draws, minlength=4)
    chi_squared = float(((counts - 100_000 * probs) ** 2 / (100_000 * probs)).sum())
    assert chi_squared < 16.3  # three degrees of freedom: once in a thousand


def test_an_action_that_is_masked_is_never_drawn_and_breaks_nothing() -> None:
    logits = torch.tensor([[0.0, -math.inf, 1.0]]).repeat(1000, 1).requires_grad_()
    dist = TorchCategorical(logits)
    assert not (dist.sample() == 1).any()
    (dist.entropy().sum() + dist.kl(TorchCategorical(logits.detach())).sum()).backward()
    assert logits.grad is not None
    assert torch.isfinite(dist.entropy()).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("kind", "columns"), [(TorchCategorical, 4), (TorchDiagGaussian, 4), (TorchSquashedGaussian, 4)]
)
def test_a_generator_decides_what_is_drawn_and_nothing_else(kind: Any, columns: int) -> None:
    dist = kind.from_logits(0.3 * numbers(20, columns))
    first = dist.sample(generator=torch.Generator().manual_seed(7))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again, logp = dist.sample_and_logp(generator=torch.Generator().manual_seed(7))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(logp, dist.logp(again), rtol=1e-3, atol=1e-3)
    assert dist.sample(sample_shape=(3, 2)).shape == (3, 2, *first.shape)
    assert not torch.equal(dist.sample(generator=torch.Generator().manual_seed(8)), first)


def test_the_gradient_of_a_categorical_draw_is_that_of_its_probabilities() -> None:
    logits = numbers(5, 3).requires_grad_()
    weights = numbers(5, 3, seed=2)
    drawn = TorchCategorical(logits).rsample()
    assert torch.equal(drawn.detach().round().sum(-1), torch.ones(5))
    (through_draw,) = torch.autograd.grad((drawn * weights).sum(), logits)
    (through_probs,) = torch.autograd.grad((torch.softmax(logits, -1) * weights).sum(), logits)
    torch.testing.assert_close(through_draw, through_probs)


def test_gaussian_agrees_with_torch() -> None:
    logits, others = numbers(50, 6), numbers(50, 6, seed=1)
    dist, other = TorchDiagGaussian.from_logits(logits), TorchDiagGaussian.from_logits(others)
    reference = Independent(Normal(logits[:, :3], logits[:, 3:].exp()), 1)
    actions = dist.sample()
    torch.testing.assert_close(dist.logp(actions), reference.log_prob(actions))
    torch.testing.assert_close(dist.entropy(), reference.entropy())
    wanted = kl_divergence(reference, Independent(Normal(others[:, :3], others[:, 3:].exp()), 1))
    torch.testing.assert_close(dist.kl(other), wanted)
    assert torch.equal(dist.to_deterministic().sample(), logits[:, :3])
    draws = dist.sample(sample_shape=(20_000,))
    torch.testing.assert_close(draws.mean(0), dist.loc, atol=0.35, rtol=0.05)
    torch.testing.assert_close(draws.std(0), dist.scale, atol=0.02, rtol=0.05)


def test_squashed_gaussian_agrees_with_torch() -> None:
    logits = 0.3 * numbers(50, 4)
    low, high = np.array([-2.0, 0.0], np.float32), np.array([2.0, 5.0], np.float32)
    dist = TorchSquashedGaussian.from_logits(logits, low=low, high=high)
    squash = [TanhTransform(), AffineTransform(torch.tensor([0.0, 2.5]), torch.tensor([2.0, 2.5]))]
    reference = Independent(TransformedDistribution(Normal(logits[:, :2], logits[:, 2:].exp()), squash), 1)
    actions, logp = dist.rsample_and_logp(generator=torch.Generator().manual_seed(0))
    assert ((actions > torch.tensor(low)) & (actions < torch.tensor(high))).all()
    torch.testing.assert_close(logp, reference.log_prob(actions), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dist.logp(actions), reference.log_prob(actions), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dist.kl(dist), torch.zeros(50))
    with pytest.raises(ValueError, match="differ"):
        dist.kl(TorchSquashedGaussian.from_logits(logits))
    with pytest.raises(NotImplementedError, match="rsample_and_logp"):
        dist.entropy()
    with pytest.raises(ValueError, match="low"):
        TorchSquashedGaussian.from_logits(logits, low=1.0, high=1.0)


def test_squashed_gaussian_is_a_density_and_finite_at_its_bounds() -> None:
    dist = TorchSquashedGaussian(torch.tensor([[0.3]]), torch.tensor([[0.8]]), low=-3.0, high=1.0)
    grid = torch.linspace(-3 + 1e-4, 1 - 1e-4, 40_001)[:, None]
    mass = torch.trapezoid(dist.logp(grid).exp(), grid[:, 0])
    assert float(mass) == pytest.approx(1, abs=1e-3)
    assert torch.isfinite(dist.logp(torch.tensor([[1.0], [-3.0]]))).all()
    far = TorchSquashedGaussian(torch.tensor([[30.0]]), torch.tensor([[0.1]]))
    assert torch.isfinite(far.rsample_and_logp()[1]).all()


def test_multi_categorical_is_the_sum_of_its_parts() -> None:
    logits = numbers(30, 7)
    dist = TorchMultiCategorical.from_logits(logits, input_lens=[3, 4])
    actions = dist.sample()
    parts = [Categorical(logits=logits[:, :3]), Categorical(logits=logits[:, 3:])]
    torch.testing.assert_close(dist.logp(actions), sum(p.log_prob(actions[:, i]) for i, p in enumerate(parts)))
    torch.testing.assert_close(dist.entropy(), sum(p.entropy() for p in parts))
    assert torch.equal(dist.to_deterministic().sample()[:, 1], logits[:, 3:].argmax(-1))
    with pytest.raises(ValueError, match="come to 6"):
        TorchMultiCategorical.from_logits(logits, input_lens=[3, 3])


SPACES = [
    gym.spaces.Discrete(4),
    gym.spaces.Box(-1, 1, (3,)),
    gym.spaces.Box(-1, 1, (2, 3)),
    gym.spaces.Box(-1, 1, ()),
    gym.spaces.MultiDiscrete([2, 3]),
    gym.spaces.MultiDiscrete(np.array([[2, 3], [4, 2]])),
    gym.spaces.MultiBinary(3),
    gym.spaces.MultiBinary((2, 2)),
    gym.spaces.Dict(
        {"b": gym.spaces.Discrete(3), "a": gym.spaces.Tuple([gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)])}
    ),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("squashed", [False, True])
def test_every_space_has_a_distribution_over_its_actions(space: gym.Space[Any], squashed: bool) -> None:
    kind = distribution_class_for(space, squashed=squashed)
    logits = 0.01 * numbers(6, kind.required_input_dim(space))
    dist = kind.from_logits(logits)
    assert isinstance(dist, kind)
    for drawn in (dist.sample(), dist.to_deterministic().sample()):
        for row in range(6):
            action = _row(drawn, row, space)
            if squashed:
                assert action in space
            else:
                assert gym.spaces.flatten(space, action).size == gym.spaces.flatdim(space)
    drawn, logp = dist.sample_and_logp()
    assert logp.shape == (6,)
    torch.testing.assert_close(dist.logp(drawn), logp, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(dist.kl(kind.from_logits(logits)), torch.zeros(6))


def _row(actions: Any, row: int, space: gym.Space[Any]) -> Any:
    if isinstance(actions, dict):
        return {key: _row(part, row, space[key]) for key, part in actions.items()}  # type: ignore[index]
    if isinstance(actions, tuple):
        return tuple(_row(part, row, space[i]) for i, part in enumerate(actions))  # type: ignore[index]
    return actions[row].numpy().astype(space.dtype)


def test_nested_actions_may_come_as_one_tensor() -> None:
    space = gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Box(-1, 1, (2,))])
    kind = distribution_class_for(space)
    dist = kind.from_logits(numbers(5, 7))
    discrete, box = dist.sample()
    flat = torch.cat([discrete[:, None].float(), box], dim=-1)
    torch.testing.assert_close(dist.logp(flat), dist.logp((discrete, box)))
    assert isinstance(dist, TorchMultiDistribution)
    torch.testing.assert_close(dist.entropy(), sum(child.entropy() for child in dist._flat_child_distributions))


def test_what_has_no_distribution_is_named() -> None:
    with pytest.raises(TypeError, match="Text"):
        distribution_class_for(gym.spaces.Text(4))
    with pytest.raises(TypeError, match="Discrete"):
        TorchCategorical.required_input_dim(gym.spaces.Box(0, 1))
    with pytest.raises(ValueError, match="one of logits and probs"):
        TorchCategorical()
    with pytest.raises(ValueError, match="input_lens"):
        TorchMultiCategorical.get_partial_dist_cls(input_lens=[2]).from_logits(numbers(1, 2), input_lens=[2])


def test_deterministic_gives_what_it_holds_and_a_distribution_can_be_pickled() -> None:
    dist = TorchDeterministic(numbers(3, 2))
    assert torch.equal(dist.sample(), dist.loc)
    assert dist.sample(sample_shape=(4,)).shape == (4, 3, 2)
    assert torch.equal(dist.logp(dist.sample()), torch.zeros(3))
    assert torch.equal(
        pickle.loads(pickle.dumps(TorchDiagGaussian.from_logits(numbers(2, 4)))).loc, numbers(2, 4)[:, :2]
    )
