"""What RLlib's algorithms have to learn, with which settings, and up to which return. The settings are near those that peers have tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """An algorithm and what it has to learn.

    Args:
        name: for the command line.
        title: for people.
        steps: of the environment.
        bar: the return that is to be reached.
        config: makes the configuration, without a seed.
    """

    name: str
    title: str
    steps: int
    bar: float
    config: Callable[[], Any]


def dqn_cartpole() -> Any:
    from shoal.rllib.algorithms.dqn import DQNConfig

    return (
        DQNConfig()
        .environment("CartPole-v1")
        .env_runners(rollout_fragment_length=256)
        .training(
            lr=2.3e-3,
            train_batch_size=64,
            training_intensity=32,  # 128 gradients for 256 steps
            target_network_update_freq=256,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 100_000},
            epsilon=[[0, 1.0], [8000, 0.04]],
            grad_clip=10.0,
            dueling=False,
        )
        .rl_module(model_config={"fcnet_hiddens": [256, 256], "fcnet_activation": "relu"})
    )


def dqn_lunarlander() -> Any:
    from shoal.rllib.algorithms.dqn import DQNConfig

    return (
        DQNConfig()
        .environment("LunarLander-v3")
        .env_runners(rollout_fragment_length=4)
        .training(
            lr=6.3e-4,
            train_batch_size=128,
            training_intensity=128,  # a gradient for each step
            target_network_update_freq=250,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 50_000},
            epsilon=[[0, 1.0], [12_000, 0.1]],
            grad_clip=10.0,
            dueling=False,
        )
        .rl_module(model_config={"fcnet_hiddens": [256, 256], "fcnet_activation": "relu"})
    )


def sac(env: str, lr: float, hiddens: list[int], warm_up: int) -> Any:
    from shoal.rllib.algorithms.sac import SACConfig

    return (
        SACConfig()
        .environment(env)
        .training(
            actor_lr=lr,
            critic_lr=lr,
            alpha_lr=lr,
            num_steps_sampled_before_learning_starts=warm_up,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 1_000_000},
        )
        .rl_module(model_config={"fcnet_hiddens": hiddens, "fcnet_activation": "relu"})
        .reporting(min_sample_timesteps_per_iteration=1000, min_time_s_per_iteration=None)
    )


def ppo(env: str, lr: Any, envs: int, steps: int, *, normalized: bool = False, **training: Any) -> Any:
    """`steps` of each environment make a batch. Nets, coefficients and clipping are stable-baselines3's defaults."""
    from shoal.rllib.algorithms.ppo import PPOConfig
    from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter

    return (
        PPOConfig()
        .environment(env)
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=envs,
            rollout_fragment_length=steps,
            env_to_module_connector=(lambda env, spaces, device: MeanStdFilter()) if normalized else None,
        )
        .training(
            lr=lr,
            train_batch_size_per_learner=envs * steps,
            vf_loss_coeff=0.5,
            vf_clip_param=float("inf"),
            use_kl_loss=False,
            grad_clip=0.5,
            grad_clip_by="global_norm",
            **training,
        )
        .rl_module(
            model_config={"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh", "vf_share_layers": False},
        )
    )


def ppo_cartpole() -> Any:
    return ppo(
        "CartPole-v1", [[0, 1e-3], [100_000, 0.0]], 8, 32,
        minibatch_size=256, num_epochs=20, gamma=0.98, lambda_=0.8, clip_param=0.2,
    )  # fmt: skip


def ppo_acrobot() -> Any:
    return ppo(
        "Acrobot-v1", 3e-4, 16, 256, normalized=True,
        minibatch_size=64, num_epochs=4, gamma=0.99, lambda_=0.94, clip_param=0.2,
    )  # fmt: skip


def ppo_lunarlander() -> Any:
    return ppo(
        "LunarLander-v3", 3e-4, 16, 1024,
        minibatch_size=64, num_epochs=4, gamma=0.999, lambda_=0.98, clip_param=0.2, entropy_coeff=0.01,
    )  # fmt: skip


def ppo_pendulum() -> Any:
    return ppo(
        "Pendulum-v1", 1e-3, 4, 1024,
        minibatch_size=64, num_epochs=10, gamma=0.9, lambda_=0.95, clip_param=0.2,
    )  # fmt: skip


def asynchronous(config: Any) -> Any:
    """Settings of IMPALA and APPO for CartPole: two runners of four environments each."""
    return (
        config.environment("CartPole-v1")
        .env_runners(num_env_runners=2, num_envs_per_env_runner=4)
        .training(
            lr=[[0, 1e-3], [500_000, 1e-4]], train_batch_size_per_learner=300, vf_loss_coeff=0.05, entropy_coeff=0.0
        )
    )


def impala_cartpole() -> Any:
    from shoal.rllib.algorithms.impala import IMPALAConfig

    return asynchronous(IMPALAConfig())


def appo_cartpole() -> Any:
    from shoal.rllib.algorithms.appo import APPOConfig

    return asynchronous(APPOConfig())


TASKS = {
    task.name: task
    for task in (
        Task("ppo-cartpole", "PPO, CartPole-v1", 100_000, 475, ppo_cartpole),
        Task("ppo-acrobot", "PPO, Acrobot-v1", 500_000, -90, ppo_acrobot),
        Task("ppo-lunarlander", "PPO, LunarLander-v3", 1_000_000, 200, ppo_lunarlander),
        Task("ppo-pendulum", "PPO, Pendulum-v1", 400_000, -300, ppo_pendulum),
        Task("dqn-cartpole", "DQN, CartPole-v1", 50_000, 475, dqn_cartpole),
        Task("dqn-lunarlander", "DQN, LunarLander-v3", 100_000, 100, dqn_lunarlander),
        Task("sac-pendulum", "SAC, Pendulum-v1", 20_000, -160, lambda: sac("Pendulum-v1", 1e-3, [256, 256], 100)),
        Task(
            "sac-pendulum-small", "SAC with small nets, Pendulum-v1", 20_000, -160,
            lambda: sac("Pendulum-v1", 1e-3, [64, 64], 100),
        ),
        Task("impala-cartpole", "IMPALA, CartPole-v1", 500_000, 450, impala_cartpole),
        Task("appo-cartpole", "APPO, CartPole-v1", 500_000, 450, appo_cartpole),
        Task("sac-halfcheetah", "SAC, HalfCheetah-v5", 100_000, 3500, lambda: sac("HalfCheetah-v5", 3e-4, [256, 256], 10_000)),
    )
}  # fmt: skip
"""By name. Other algorithms' tasks are added here."""
