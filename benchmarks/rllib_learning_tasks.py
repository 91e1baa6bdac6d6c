"""What RLlib's algorithms have to learn, with which settings, and up to which return. The settings are near those that peers have tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[1] / "build" / "rllib-recorded"
"""What was recorded for algorithms that learn from that."""


@dataclass(frozen=True)
class Task:
    """An algorithm and what it has to learn.

    Args:
        name: for the command line.
        title: for people.
        steps: of the environment.
        bar: the return that is to be reached.
        config: makes the configuration, without a seed.
        prepare: makes what all its runs need, where it is not there yet.
    """

    name: str
    title: str
    steps: int
    bar: float
    config: Callable[[], Any]
    prepare: Callable[[], None] | None = None


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


def ppo(env: Any, lr: Any, envs: int, steps: int, *, normalized: bool = False, **training: Any) -> Any:
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


def ppo_two_agents() -> Any:
    """Two agents, each with a pole and a policy of its own. The return is that of both together."""
    from shoal.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole

    config = ppo(
        MultiAgentCartPole, 3e-4, 4, 500,
        minibatch_size=128, num_epochs=10, gamma=0.99, lambda_=0.95, clip_param=0.2,
    )  # fmt: skip
    config.environment(env_config={"num_agents": 2})
    return config.multi_agent(policies={"p0", "p1"}, policy_mapping_fn=lambda agent, episode, **_: f"p{agent}")


def minatar_breakout(context: Any) -> Any:
    import gymnasium as gym
    import minatar.gym
    import numpy as np

    if "MinAtar/Breakout-v1" not in gym.registry:
        minatar.gym.register_envs()
    env = gym.make("MinAtar/Breakout-v1", max_episode_steps=2500)  # else a policy that never drops the ball never ends
    space = gym.spaces.Box(0.0, 1.0, env.observation_space.shape, np.float32)
    return gym.wrappers.TransformObservation(env, lambda seen: seen.astype(np.float32), space)


def ppo_minatar() -> Any:
    config = ppo(
        minatar_breakout, [[0, 1e-3], [500_000, 1e-4]], 16, 128,
        minibatch_size=256, num_epochs=4, gamma=0.99, lambda_=0.95, clip_param=0.2, entropy_coeff=0.01,
    )  # fmt: skip
    return config.rl_module(
        model_config={
            "conv_filters": [[16, 3, 1, "valid"]],
            "conv_activation": "relu",
            "fcnet_hiddens": [128],
            "fcnet_activation": "relu",
            "vf_share_layers": True,
        }
    )


def record_cartpole() -> None:
    """A hundred episodes of a policy that PPO has trained, which explores."""

    def trained() -> Any:
        algo = ppo_cartpole().debugging(seed=100).build_algo()
        while algo.train()["env_runners"].get("episode_return_mean", 0.0) < 475 and algo.env_steps_sampled < 200_000:
            pass
        return algo

    _record(RECORDED / "cartpole", trained, episodes=100)


def record_pendulum() -> None:
    """Two hundred episodes of a policy that SAC has trained, which explores."""

    def trained() -> Any:
        algo = sac("Pendulum-v1", 1e-3, [64, 64], 100).debugging(seed=100).build_algo()
        while algo.env_steps_sampled < 20_000:
            algo.train()
        return algo

    _record(RECORDED / "pendulum", trained, episodes=200)


def _record(folder: Path, trained: Callable[[], Any], episodes: int) -> None:
    from shoal.rllib.offline.offline_env_runner import OfflineSingleAgentEnvRunner

    if folder.exists():
        return
    algo = trained()
    part = folder.with_name(f".{folder.name}")
    config = algo.config.copy(copy_frozen=False).debugging(seed=101)
    config.env_runners(batch_mode="complete_episodes")
    config.offline_data(output=str(part), output_write_episodes=False)
    runner = OfflineSingleAgentEnvRunner(config=config)
    runner.set_weights(algo.learner_group.get_weights(inference_only=True))
    for _ in range(episodes // 10):
        runner.sample(num_episodes=10)
    runner.stop()
    algo.stop()
    part.rename(folder)


def bc_cartpole() -> Any:
    from shoal.rllib.algorithms.bc import BCConfig

    return from_records(BCConfig(), "cartpole").training(lr=8e-4)


def marwil_cartpole() -> Any:
    from shoal.rllib.algorithms.marwil import MARWILConfig

    return from_records(MARWILConfig(), "cartpole").training(lr=8e-4, beta=1.0)


def cql_pendulum() -> Any:
    from shoal.rllib.algorithms.cql import CQLConfig

    return from_records(CQLConfig(), "pendulum").training(
        bc_iters=200, tau=9.5e-3, min_q_weight=5.0, actor_lr=1.7e-3, critic_lr=2.5e-3, alpha_lr=1e-3
    )


def iql_pendulum() -> Any:
    from shoal.rllib.algorithms.iql import IQLConfig

    config = from_records(IQLConfig(), "pendulum").training(
        actor_lr=2.59e-4, critic_lr=2.14e-4, value_lr=3.7e-5, tau=6e-4, target_network_update_freq=1
    )
    return config.rl_module(model_config={"fcnet_activation": "relu"})


def from_records(config: Any, name: str) -> Any:
    """Settings that RLlib's own runs on records of these environments have in common."""
    env = {"cartpole": "CartPole-v1", "pendulum": "Pendulum-v1"}[name]
    config.environment(env).offline_data(input_=str(RECORDED / name), dataset_num_iters_per_learner=5)
    return config.training(train_batch_size_per_learner=1024)


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
        Task("ppo-two-agents", "PPO, two poles and two policies", 400_000, 900, ppo_two_agents),
        Task("ppo-minatar-breakout", "PPO with a CNN, MinAtar/Breakout-v1", 500_000, 5, ppo_minatar),
        Task("bc-cartpole", "BC, CartPole-v1 as recorded", 500_000, 350, bc_cartpole, record_cartpole),
        Task("marwil-cartpole", "MARWIL, CartPole-v1 as recorded", 500_000, 250, marwil_cartpole, record_cartpole),
        Task("cql-pendulum", "CQL, Pendulum-v1 as recorded", 800_000, -700, cql_pendulum, record_pendulum),
        Task("iql-pendulum", "IQL, Pendulum-v1 as recorded", 6_400_000, -200, iql_pendulum, record_pendulum),
        Task(
            "sac-halfcheetah", "SAC with nets of 64x64, HalfCheetah-v5", 100_000, 2000,
            lambda: sac("HalfCheetah-v5", 3e-4, [64, 64], 10_000),
        ),
    )
}  # fmt: skip
"""By name. Bars of what is learned from records, and of two agents, are those of RLlib's own runs; steps are then those learned from."""
