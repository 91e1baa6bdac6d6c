"""IMPALA: its loss against one that is written out, runs with and without actors, and what becomes of runners that hang or die."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.impala import IMPALA, IMPALAConfig
from shoal.rllib.algorithms.impala.impala import CHUNK_ENDS
from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch import TorchRLModule
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole
from shoal.rllib.utils.error import ConfigError

MEMORY = {"use_lstm": True, "max_seq_len": 3, "lstm_cell_size": 4}


def small(runners: int = 0, **training: Any) -> IMPALAConfig:
    config = IMPALAConfig().environment("CartPole-v1")
    config.env_runners(num_env_runners=runners, num_envs_per_env_runner=2, rollout_fragment_length=10)
    config.training(**{"train_batch_size_per_learner": 60, "lr": 1e-3, **training})
    config.reporting(min_sample_timesteps_per_iteration=100)
    return config.rl_module(model_config={"fcnet_hiddens": [16]}).debugging(seed=1)


def chunk(seed: int, length: int, *, terminated: bool = False, memory: bool = False) -> SingleAgentEpisode:
    chance = np.random.default_rng(seed)
    outputs: dict[str, Any] = {Columns.ACTION_LOGP: chance.normal(-0.7, 0.4, length).astype(np.float32)}
    if memory:
        outputs[Columns.STATE_OUT] = {name: chance.normal(size=(length, 4)).astype(np.float32) for name in ("h", "c")}
    return SingleAgentEpisode(
        observations=chance.normal(size=(length + 1, 4)).astype(np.float32),
        actions=chance.integers(0, 2, length),
        rewards=chance.normal(size=length).astype(np.float32),
        extra_model_outputs=outputs,
        terminated=terminated,
        len_lookback_buffer=0,
    )


CHUNKS = [(0, 5, True), (1, 1, False), (2, 7, False), (3, 2, True)]


def learner(config: IMPALAConfig) -> Any:
    return config.build_learner(env=gym.make("CartPole-v1"))


def written_out(
    config: Any,
    *,
    logp: list[float],
    behaviour_logp: list[float],
    rewards: list[float],
    values: list[float],
    after: float,
) -> tuple[list[float], list[float]]:
    """V-trace's value targets and advantages of one chunk, step by step."""
    weights = [math.exp(new - old) for new, old in zip(logp, behaviour_logp, strict=True)]
    next_values = [*values[1:], after]
    targets, above = [], 0.0
    for t in reversed(range(len(rewards))):
        delta = min(weights[t], config.vtrace_clip_rho_threshold) * (
            rewards[t] + config.gamma * next_values[t] - values[t]
        )
        above = delta + config.gamma * config.get("lambda_", 1.0) * min(weights[t], 1.0) * above
        targets.insert(0, values[t] + above)
    advantages = [
        min(weights[t], config.vtrace_clip_pg_rho_threshold)
        * (rewards[t] + config.gamma * ([*targets[1:], after][t]) - values[t])
        for t in range(len(rewards))
    ]
    return targets, advantages


def loss_of(built: Any, config: Any, batch: dict[str, Any]) -> torch.Tensor:
    out = built.module["default_policy"].forward_train(batch)
    loss: torch.Tensor = built.compute_loss_for_module(
        module_id="default_policy", config=config, batch=batch, fwd_out=out
    )
    return loss


def expected_loss(config: Any, module: Any, chunks: list[tuple[Any, ...]]) -> float:
    """The loss of chunks, each as (inputs of the module, inputs after it, actions, log-probabilities, rewards, whether it terminated)."""
    policy, squares, entropies, steps = 0.0, 0.0, 0.0, 0
    with torch.no_grad():
        for now, after, actions, behaviour_logp, rewards, terminated in chunks:
            new = torch.distributions.Categorical(
                logits=module.forward_train(now)[Columns.ACTION_DIST_INPUTS].reshape(-1, 2)
            )
            logp = new.log_prob(torch.from_numpy(np.asarray(actions)))
            values = module.compute_values(now).flatten().tolist()
            last = 0.0 if terminated else module.compute_values(after).item()
            targets, advantages = written_out(
                config,
                logp=logp.tolist(),
                behaviour_logp=list(behaviour_logp),
                rewards=list(rewards),
                values=values,
                after=last,
            )
            policy -= sum(a * p for a, p in zip(advantages, logp.tolist(), strict=True))
            squares += sum((v - t) ** 2 for v, t in zip(values, targets, strict=True))
            entropies += new.entropy().sum().item()
            steps += len(rewards)
    return (policy + config.vf_loss_coeff * 0.5 * squares - config.entropy_coeff * entropies) / steps


def parts_of(episode: SingleAgentEpisode, begin: int, end: int, terminated: bool) -> tuple[Any, ...]:
    observations = torch.from_numpy(episode.get_observations())
    logp = episode.get_extra_model_outputs(Columns.ACTION_LOGP)
    return (
        {Columns.OBS: observations[begin:end]},
        {Columns.OBS: observations[end : end + 1]},
        episode.get_actions()[begin:end],
        logp[begin:end],
        episode.get_rewards()[begin:end],
        terminated,
    )


@pytest.mark.parametrize("shared", [True, False])
def test_the_loss_is_that_of_the_definition(shared: bool) -> None:
    config = small(
        gamma=0.9,
        vtrace_clip_rho_threshold=1.1,
        vtrace_clip_pg_rho_threshold=0.9,
        vf_loss_coeff=0.3,
        entropy_coeff=0.05,
    )
    config.rl_module(model_config={"fcnet_hiddens": [16], "vf_share_layers": shared})
    built = learner(config)
    episodes = [chunk(seed, length, terminated=terminated) for seed, length, terminated in CHUNKS]
    loss = loss_of(built, config, built.batch_from_episodes(episodes)["default_policy"])
    chunks = [parts_of(episode, 0, len(episode), episode.is_terminated) for episode in episodes]
    assert loss.item() == pytest.approx(expected_loss(config, built.module["default_policy"], chunks), rel=1e-4)
    loss.backward()
    assert all(parameter.grad is not None for parameter in built.module["default_policy"].parameters())


def test_a_minibatch_may_end_within_a_chunk() -> None:
    config = small(gamma=0.9)
    built = learner(config)
    episodes = [chunk(seed, length, terminated=terminated) for seed, length, terminated in CHUNKS]
    batch = built.batch_from_episodes(episodes)["default_policy"]
    assert batch[CHUNK_ENDS].nonzero().flatten().tolist() == [4, 5, 12, 14]
    part = {name: column[4:10] for name, column in batch.items()}  # the first one's last step, and 4 of the third's
    chunks = [
        parts_of(episodes[0], 4, 5, True),
        parts_of(episodes[1], 0, 1, False),
        parts_of(episodes[2], 0, 4, False),
    ]
    loss = loss_of(built, config, part)
    assert loss.item() == pytest.approx(expected_loss(config, built.module["default_policy"], chunks), rel=1e-4)


def test_sequences_of_a_memory_are_chunks() -> None:
    config = small(gamma=0.9).rl_module(model_config={"fcnet_hiddens": [8], **MEMORY})
    built = learner(config)
    episodes = [chunk(0, 5, terminated=True, memory=True), chunk(1, 3, memory=True)]
    loss = loss_of(built, config, built.batch_from_episodes(episodes)["default_policy"])
    chunks = []
    for episode, begin, end in ((episodes[0], 0, 3), (episodes[0], 3, 5), (episodes[1], 0, 3)):
        states = episode.get_extra_model_outputs(Columns.STATE_OUT)
        ended = episode.is_terminated and end == len(episode)
        now, after, *others = parts_of(episode, begin, end, ended)
        before = {
            name: torch.from_numpy(values[begin - 1]) if begin else torch.zeros(4) for name, values in states.items()
        }
        chunks.append(
            (
                {
                    Columns.OBS: now[Columns.OBS][None],
                    Columns.STATE_IN: {name: state[None] for name, state in before.items()},
                },
                {
                    Columns.OBS: after[Columns.OBS][None],
                    Columns.STATE_IN: {
                        name: torch.from_numpy(values[end - 1 : end]) for name, values in states.items()
                    },
                },
                *others,
            )
        )
    assert loss.item() == pytest.approx(expected_loss(config, built.module["default_policy"], chunks), rel=1e-4)


# --- whole runs -----------------------------------------------------------------------------------------------------------------------


def weights_after(algo: Any, iterations: int) -> dict[str, Any]:
    for _ in range(iterations):
        algo.train()
    weights: dict[str, Any] = algo.get_weights()["default_policy"]
    return weights


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("model_config", [{}, MEMORY], ids=["plain", "memory"])
def test_one_seed_gives_the_same_weights_also_when_resumed(model_config: dict[str, Any], tmp_path: Path) -> None:
    config = small(num_epochs=2, minibatch_size=30).rl_module(model_config={"fcnet_hiddens": [16], **model_config})
    with config.build_algo() as algo:
        start = algo.get_weights()["default_policy"]
        weights_after(algo, 2)
        path = algo.save_to_path(str(tmp_path / "half-way"))
        whole = weights_after(algo, 2)
    assert not same(start, whole)
    with IMPALA.from_checkpoint(path) as resumed:
        assert same(weights_after(resumed, 2), whole)
    with config.build_algo() as again:
        assert same(weights_after(again, 4), whole)


def test_results_have_the_names_that_rllib_gives_them() -> None:
    with small().build_algo() as algo:
        result = algo.train()
    learned = result["learners"]["default_policy"]
    assert {"total_loss", "policy_loss", "vf_loss", "entropy", "curr_lr", "curr_entropy_coeff"} <= set(learned)
    assert all(np.isfinite(value) for value in learned.values())
    assert result["num_training_step_calls_per_iteration"] == 2
    assert 120 <= result["num_env_steps_sampled_lifetime"] < 130
    assert learned["num_module_steps_trained"] == result["num_env_steps_sampled_lifetime"]
    assert result["learner_group"] == {"num_batches_waiting": 0, "num_batches_dropped": 0}
    assert result["timers"]["env_runner_sampling_timer"] > 0 and result["timers"]["synch_weights"] > 0


def test_weights_are_handed_on_now_and_then() -> None:
    with small(broadcast_interval=3).build_algo() as algo:
        first = algo.env_runner.module.get_state()
        for update in range(1, 7):
            algo.training_step()
            acted_by = algo.env_runner.module.get_state()
            learned = algo.get_weights()["default_policy"]
            is_new = same(acted_by, {name: learned[name] for name in acted_by})
            assert is_new == (update % 3 == 0)
            assert same(acted_by, first) == (update < 3)
    assert algo.metrics.peek(("learners", "__all_modules__", "diff_num_grad_updates_vs_sampler_policy")) == 0


def test_several_agents_have_policies_of_their_own() -> None:
    config = small().environment(MultiAgentCartPole, env_config={"num_agents": 2})
    config.multi_agent(policies={"p0", "p1"}, policy_mapping_fn=lambda agent_id, episode, **_: f"p{agent_id}")
    with config.build_algo() as algo:
        learned = algo.train()["learners"]
    assert all(np.isfinite(learned[name]["total_loss"]) for name in ("p0", "p1"))


class Walk(gym.Env[Any, Any]):
    """Five places in a row; a step to the right of the last brings 1, every step costs a little."""

    def __init__(self, config: Any = None) -> None:
        self.observation_space = gym.spaces.Discrete(5)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, **kwargs: Any) -> tuple[int, dict[str, Any]]:
        self.place = self.steps = 0
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.place = max(self.place + (1 if action == 1 else -1), 0)
        self.steps += 1
        there = self.place == 5
        return min(self.place, 4), 1.0 if there else -0.05, there, self.steps >= 40, {}


def test_it_learns_to_walk() -> None:
    config = small(lr=1e-2, train_batch_size_per_learner=100).environment(Walk).evaluation(evaluation_duration=1)
    config.evaluation(evaluation_config={"explore": False})
    with config.build_algo() as algo:
        for _ in range(30):
            algo.train()
        returned = algo.evaluate()["env_runners"]["episode_return_mean"]
    assert returned == pytest.approx(0.8)  # straight there


# --- with actors ----------------------------------------------------------------------------------------------------------------------


def test_runners_and_a_learner_work_side_by_side(session: None, tmp_path: Path) -> None:
    config = small(runners=2, broadcast_interval=2).learners(num_learners=1)
    with config.build_algo() as algo:
        start = algo.get_weights()["default_policy"]
        while algo.runners.weights_version < 3:  # results, and weights, come some updates later
            learned = algo.train()["learners"]
        assert np.isfinite(learned["default_policy"]["total_loss"])
        assert learned["__all_modules__"]["diff_num_grad_updates_vs_sampler_policy"] >= 0
        path = algo.save_to_path(str(tmp_path / "some"))
        saved = algo.get_weights()["default_policy"]
        sampled = algo.env_steps_sampled
    assert not same(start, saved)
    with IMPALA.from_checkpoint(path) as resumed:
        assert same(resumed.get_weights()["default_policy"], saved)
        assert resumed.env_steps_sampled == sampled
        assert not same(weights_after(resumed, 1), saved)


def test_a_killed_runner_is_replaced_and_training_goes_on(session: None) -> None:
    with small(runners=2).build_algo() as algo:
        algo.train()
        victim = algo.runners.foreach_env_runner(
            lambda runner: os.getpid(), local_env_runner=False, remote_worker_ids=[1]
        )[0]
        os.kill(victim, signal.SIGKILL)
        restarts = 0
        while not restarts:
            restarts = algo.train()["fault_tolerance"]["num_remote_worker_restarts"]
        result = algo.train()
        now = algo.runners.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)
    assert restarts == 1 and victim not in now and len(now) == 2
    assert result["fault_tolerance"]["num_healthy_workers"] == 2


class HeldUp(gym.Env[Any, Any]):
    """An environment whose first runner makes no step before a file is there."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, config: Any) -> None:
        self._gate = Path(config["gate"]) if config.worker_index == 1 else None

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        while self._gate is not None and not self._gate.exists():
            time.sleep(0.01)
        return self.observation_space.sample(), 1.0, False, False, {}


def test_nobody_waits_for_the_slowest_runner(session: None, tmp_path: Path) -> None:
    config = small(runners=2).environment(
        HeldUp, env_config={"gate": str(tmp_path / "gate")}, disable_env_checking=True
    )
    config.env_runners(env_to_module_connector=lambda *_: MeanStdFilter())
    with config.build_algo() as algo:
        for _ in range(5):
            result = algo.train()
        assert result["num_env_steps_sampled_lifetime"] >= 500
        assert np.isfinite(result["learners"]["default_policy"]["total_loss"])
        (tmp_path / "gate").touch()


def test_what_connectors_have_seen_is_merged_without_waiting(session: None) -> None:
    def seen(runner: Any) -> float:
        filters = [piece for piece in runner._env_to_module.connectors if isinstance(piece, MeanStdFilter)]
        moments = filters[0].get_state()["merged"]
        return max((one["count"] for one in moments.values()), default=0)

    config = small(runners=2).env_runners(env_to_module_connector=lambda *_: MeanStdFilter())
    with config.build_algo() as algo:
        while min(algo.runners.foreach_env_runner(seen)) == 0:
            algo.train()
        counts = algo.runners.foreach_env_runner(seen)
    assert 0 < max(counts) <= algo.env_steps_sampled + 200


@pytest.mark.slow
def test_several_learners_share_a_batch(session: None) -> None:
    config = small(runners=1, train_batch_size_per_learner=40, num_epochs=2, minibatch_size=20)
    with config.learners(num_learners=2).build_algo() as algo:
        for _ in range(2):
            algo.train()
        first, second = algo.learner_group.foreach_learner(lambda learner: learner.module.get_state()["default_policy"])
    assert same(first, second)


# --- what cannot work -------------------------------------------------------------------------------------------------------------------


class Bare(TorchRLModule):
    def setup(self) -> None:
        self.layer = torch.nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"vtrace": False}, "use PPO"),
        ({"shuffle_batch_per_epoch": True}, "shuffle_batch_per_epoch"),
        ({"broadcast_interval": 0}, "broadcast_interval"),
        ({"learner_queue_size": 0}, "learner_queue_size"),
        ({"vtrace_clip_rho_threshold": -1}, "vtrace_clip_rho_threshold"),
        ({"minibatch_size": 61}, "minibatch_size"),
        ({"clip_param": 0.2}, "no argument 'clip_param'"),
    ],
)
def test_what_cannot_work_is_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        small(**settings).build_algo()


def test_a_module_without_values_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs ValueFunctionAPI.*compute_values"):
        small().rl_module(rl_module_spec=RLModuleSpec(module_class=Bare)).build_algo()
