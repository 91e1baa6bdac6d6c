"""What of torch a configuration asks for: bounds on gradients, steps that are left out, compiled passes."""

from __future__ import annotations

import functools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError, NonFiniteLossError


def learner(config: PPOConfig) -> Any:
    config.rl_module(model_config={"fcnet_hiddens": [4]}).debugging(seed=1)
    return config.build_learner(env=gym.make("CartPole-v1"))


def episode(rewards: float = 1.0) -> SingleAgentEpisode:
    return SingleAgentEpisode(
        observations=np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4),
        actions=np.arange(5) % 2,
        rewards=np.full(5, rewards, np.float32),
        extra_model_outputs={
            Columns.ACTION_LOGP: np.full(5, -0.7, np.float32),
            Columns.ACTION_DIST_INPUTS: np.zeros((5, 2), np.float32),
        },
        terminated=True,
        len_lookback_buffer=0,
    )


def bounded(built: Any) -> list[torch.Tensor]:
    """What becomes of gradients of 2 for each number."""
    gradients = {param: torch.full_like(param, 2.0) for param in built._params}
    return [gradient.flatten() for gradient in built.postprocess_gradients(gradients).values()]


def norms(gradients: list[torch.Tensor]) -> list[float]:
    return [gradient.norm().item() for gradient in gradients]


def test_gradients_are_bounded_as_asked_for() -> None:
    value = bounded(learner(PPOConfig().training(grad_clip=0.5, grad_clip_by="value")))
    assert {number for gradient in value for number in gradient.tolist()} == {0.5}
    each = norms(bounded(learner(PPOConfig().training(grad_clip=0.5, grad_clip_by="norm"))))
    assert each == pytest.approx([0.5] * len(each), rel=1e-4)
    together = torch.cat(bounded(learner(PPOConfig().training(grad_clip=0.5))))
    assert together.norm().item() == pytest.approx(0.5, rel=1e-4)


def test_a_bound_may_follow_a_schedule() -> None:
    built = learner(PPOConfig().training(grad_clip=[[0, 4.0], [100, 2.0]]))
    for now, bound in ((0, 4.0), (50, 3.0), (200, 2.0)):
        built.before_gradient_based_update(timesteps={"num_env_steps_sampled_lifetime": now})
        assert torch.cat(bounded(built)).norm().item() == pytest.approx(bound, rel=1e-4)
    with pytest.raises(ConfigError, match="grad_clip"):
        PPOConfig().training(grad_clip=[[5, 40.0], [10, 1.0]])


def test_steps_whose_gradients_are_no_numbers_are_left_out_where_that_is_asked_for() -> None:
    built = learner(PPOConfig().training(num_epochs=2))
    with pytest.raises(NonFiniteLossError, match="torch_skip_nan_gradients=True"):
        built.update(episodes=[episode(float("nan"))])
    built = learner(PPOConfig().framework(torch_skip_nan_gradients=True))
    before = built.module.get_state()["default_policy"]
    built.update(episodes=[episode(float("nan"))], num_epochs=2)
    assert all(
        np.array_equal(value, before[name]) for name, value in built.module.get_state()["default_policy"].items()
    )
    assert built.metrics.peek(("__all_modules__", "num_steps_skipped_lifetime")) == 2
    built.update(episodes=[episode()])
    after = built.module.get_state()["default_policy"]
    assert any(not np.array_equal(value, before[name]) for name, value in after.items())
    assert built.metrics.peek(("__all_modules__", "num_steps_skipped_lifetime")) == 2


def test_arguments_of_ddp_that_change_a_result_are_refused() -> None:
    learner(PPOConfig().framework(torch_ddp_kwargs={"find_unused_parameters": True}))
    with pytest.raises(ConfigError, match=r"'mixed_precision'.*average their gradients themselves"):
        learner(PPOConfig().framework(torch_ddp_kwargs={"mixed_precision": None}))


def test_what_cannot_be_compiled_is_refused() -> None:
    for settings, message in (
        ({"torch_compile_learner_what_to_compile": "complete_update"}, "'complete_update'; what is compiled is"),
        ({"torch_compile_learner_dynamo_backend": "inducter"}, "'inducter'; torch has .*inductor"),
    ):
        with pytest.raises(ConfigError, match=message):
            learner(PPOConfig().framework(torch_compile_learner=True, **settings))


@pytest.mark.slow
def test_compiled_passes_give_the_same() -> None:
    def trained(**framework: Any) -> dict[str, Any]:
        config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0).framework(**framework)
        config.training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=2).debugging(seed=1)
        with config.rl_module(model_config={"fcnet_hiddens": [4]}).build_algo() as algo:
            algo.train()
            weights: dict[str, Any] = algo.get_weights()["default_policy"]
            return weights

    torch._dynamo.utils.counters.clear()
    compiled = trained(
        torch_compile_learner=True,
        torch_compile_learner_dynamo_backend="eager",
        torch_compile_worker=True,
        torch_compile_worker_dynamo_backend="eager",
    )
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0
    plain = trained()
    for name, value in plain.items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-4, atol=1e-6)


def test_values_with_an_axis_too_many_are_refused() -> None:
    built = learner(PPOConfig())
    module = built.module["default_policy"].unwrapped()
    values = module.compute_values
    module.compute_values = lambda batch, embeddings=None: values(batch, embeddings).unsqueeze(-1)
    with pytest.raises(ConfigError, match=r"compute_values\(\) returned the shape \(6, 1\).*\(B,\); add .squeeze"):
        built.update(episodes=[episode()])


def test_who_acted_is_named_where_no_step_is_of_a_module_that_is_trained() -> None:
    foreign = episode()
    foreign.module_id = "other"
    with pytest.raises(ConfigError, match=r"modules are \['default_policy'\], and those that acted \['other'\]"):
        learner(PPOConfig()).update(episodes=[foreign])


def test_torchs_own_schedulers_step_after_each_update_and_go_on_from_a_state() -> None:
    halves = functools.partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    less = functools.partial(torch.optim.lr_scheduler.ConstantLR, factor=0.1, total_iters=2)

    def made() -> Any:
        return learner(
            PPOConfig().training(lr=0.8, num_epochs=1).experimental(_torch_lr_scheduler_classes=[less, halves])
        )

    built = made()
    rates = []
    for _ in range(3):
        rates.append(built.get_optimizer().param_groups[0]["lr"])
        built.update(episodes=[episode()])
    assert rates == pytest.approx([0.08, 0.04, 0.2])
    other = made()
    other.set_state(built.get_state())
    other.update(episodes=[episode()])
    assert other.get_optimizer().param_groups[0]["lr"] == pytest.approx(0.05)


@pytest.mark.parametrize("given", [torch.optim.lr_scheduler.ExponentialLR, [0.9], {"default_policy": "cosine"}])
def test_schedulers_that_are_none_are_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"_torch_lr_scheduler_classes is .*give a list of classes"):
        PPOConfig().experimental(_torch_lr_scheduler_classes=given)
