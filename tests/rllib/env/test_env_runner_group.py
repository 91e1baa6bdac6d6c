"""Runners as actors: order, weights, deaths, hangs."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import shoal
from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter
from shoal.rllib.env.env_runner_group import EnvRunnerGroup
from shoal.rllib.utils.error import EnvError, EnvRunnerLostError

pytestmark = pytest.mark.usefixtures("session")


def config_of(
    env: Any = "CartPole-v1", *, runners: int = 2, environment: Any = None, faults: Any = None, **settings: Any
) -> Any:
    config = PPOConfig().environment(env, **(environment or {}))
    config = config.env_runners(
        **{"num_env_runners": runners, "num_envs_per_env_runner": 1, "rollout_fragment_length": 20, **settings}
    )
    config = config.debugging(seed=1).rl_module(model_config={"fcnet_hiddens": [8]})
    return config.fault_tolerance(**(faults or {}))


@pytest.fixture
def groups() -> Iterator[list[EnvRunnerGroup]]:
    made: list[EnvRunnerGroup] = []
    yield made
    for group in made:
        group.stop()


@pytest.fixture(scope="module")
def pair(session: None) -> Iterator[tuple[EnvRunnerGroup, EnvRunnerGroup]]:
    """Two groups of two actors each, alike, for tests that leave them whole."""
    config = config_of(faults={"delay_between_env_runner_restarts_s": 0.0}, num_cpus_per_env_runner=0)
    made = EnvRunnerGroup(config), EnvRunnerGroup(config)
    yield made
    for group in made:
        group.stop()


def kill(group: EnvRunnerGroup, index: int) -> None:
    """Kills the process of a runner."""
    pid = group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False, remote_worker_ids=[index])[0]
    os.kill(pid, signal.SIGKILL)


def test_a_local_group_is_one_runner_and_needs_no_session() -> None:
    group = EnvRunnerGroup(config_of(runners=0))
    sampled = group.sample_all(min_timesteps=50)
    assert [(one.index, one.steps) for one in sampled] == [(0, 20)] * 3
    assert (group.num_env_runners, group.num_healthy_env_runners(), group.num_remote_env_runners()) == (0, 1, 0)
    assert len(group.foreach_env(lambda env: env.spec.id)[0]) == 1
    group.stop()


def test_actors_answer_in_order_with_the_newest_weights(pair: tuple[EnvRunnerGroup, EnvRunnerGroup]) -> None:
    group, again = pair
    sampled = group.sample_all(min_timesteps=60)
    assert [(one.index, one.steps, one.weights_version) for one in sampled] == [(1, 20, -1), (2, 20, -1)] * 2
    # Runners differ from one another, and not from one run to the next.
    firsts = [one.episodes[0].get_observations(0) for one in sampled[:2]]
    assert not np.array_equal(*firsts)
    for mine, theirs in zip(sampled, again.sample_all(min_timesteps=60), strict=True):
        for one, other in zip(mine.episodes, theirs.episodes, strict=True):
            assert np.array_equal(one.get_observations(), other.get_observations())
            assert np.array_equal(one.get_actions(), other.get_actions())

    weights = group.local_runner.get_weights()
    weights["default_policy"] = {key: value + 1.0 for key, value in weights["default_policy"].items()}
    group.sync_weights(weights=weights)
    assert {one.weights_version for one in group.sample_all()} == {1}
    for found in group.foreach_env_runner("get_weights"):
        for key, value in found["default_policy"].items():
            np.testing.assert_array_equal(value, weights["default_policy"][key])

    # States: another group goes on as this one does.
    state = group.get_state()
    again.sync_weights(weights=weights)
    again.set_state(state)
    for mine, theirs in zip(group.sample_all(), again.sample_all(), strict=True):
        for one, other in zip(mine.episodes, theirs.episodes, strict=True):
            assert one.id_ == other.id_ and np.array_equal(one.get_observations(), other.get_observations())

    # Functions, and calls that are not waited for.
    assert group.foreach_env_runner(lambda runner, more: runner.worker_index + more, kwargs={"more": 1}) == [1, 2, 3]
    assert group.foreach_env_runner_async("ping") == 2
    assert sorted(group.fetch_ready_async_reqs(timeout_seconds=30)) == [(1, "pong"), (2, "pong")]


class Held(gym.Env[Any, Any]):
    """Waits in runner 2 at each step as long as a file is there."""

    def __init__(self, config: Any) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.path = config.get("path") if config.worker_index in config.get("held", [2]) else None
        self.t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        while self.t > 5 and self.path is not None and os.path.exists(self.path):
            time.sleep(0.01)  # this is the work of a slow environment
        return np.zeros(2, np.float32), 1.0, self.t >= 30, False, {}


def test_asynchronous_sampling_does_not_wait_for_the_slowest(groups: list[EnvRunnerGroup], tmp_path: Any) -> None:
    path = tmp_path / "held"
    path.touch()
    group = EnvRunnerGroup(config_of(Held, environment={"env_config": {"path": str(path)}}))
    groups.append(group)
    indices = [one.index for _ in range(4) for one in group.sample_async()]
    assert set(indices) == {1} and len(indices) >= 4
    assert group.sample_async(timeout_s=0.0, num_timesteps=20) is not None
    path.unlink()
    while 2 not in indices:
        indices.extend(one.index for one in group.sample_async())
    # References: episodes stay where they are.
    by_reference = group.sample_async(by_reference=True)
    assert all(isinstance(shoal.get(one.episodes), list) for one in by_reference)


def test_a_killed_runner_is_replaced_and_knows_the_weights(
    pair: tuple[EnvRunnerGroup, EnvRunnerGroup], caplog: pytest.LogCaptureFixture
) -> None:
    group, _ = pair
    restarts, version = group.num_remote_worker_restarts(), group.weights_version + 1
    group.recreated.clear()
    group.sync_weights(weights=group.local_runner.get_weights())
    kill(group, 1)
    with caplog.at_level(logging.WARNING):
        sampled = group.sample_all(min_timesteps=80)
    assert [(one.index, one.steps, one.weights_version) for one in sampled] == [(1, 20, version), (2, 20, version)] * 2
    assert group.recreated == [1] and group.num_remote_worker_restarts() == restarts + 1
    assert "env runner 1 died" in caplog.text and "SIGKILL" in caplog.text
    assert group.foreach_env_runner(
        lambda runner: runner._maker.context(0).recreated_worker, local_env_runner=False
    ) == [True, False]


def test_without_restarts_a_death_is_an_error_or_left_out(
    groups: list[EnvRunnerGroup], caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"restart_failed_env_runners": False, "ignore_env_runner_failures": True}
    lenient = EnvRunnerGroup(config_of(faults=settings))
    groups.append(lenient)
    kill(lenient, 1)
    assert [one.index for one in lenient.sample_all()] == [2]
    assert lenient.healthy_env_runner_ids() == [2]
    assert [one.index for one in lenient.sample_async()] == [2]
    assert lenient.probe_unhealthy_env_runners() == [1]
    assert [one.index for one in lenient.sample_all(num_timesteps=5)] == [1, 2]
    # Nobody goes on: that is an error.
    kill(lenient, 2)
    assert [one.index for one in lenient.sample_all(num_timesteps=5)] == [1]
    kill(lenient, 1)
    with pytest.raises(EnvRunnerLostError, match="env runner 1 died"):
        lenient.sample_all()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_runner_that_hangs_is_ended_and_its_place_is_told(
    groups: list[EnvRunnerGroup], tmp_path: Any, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "held"
    path.touch()
    environment = {"env_config": {"path": str(path), "held": [1]}, "disable_env_checking": True}
    config = config_of(
        Held, runners=1, environment=environment, sample_timeout_s=1.0, faults={"restart_failed_env_runners": False}
    )
    group = EnvRunnerGroup(config)
    groups.append(group)
    with pytest.raises(EnvError) as caught:
        group.sample_async() if asynchronous else group.sample_all()
    text = str(caught.value)
    assert "has not got on for 1 s" in text and "sample_timeout_s" in text
    assert "Held" in text and "runner 1, environment 0" in text and "in step" in text and "time.sleep" in text


def test_a_slow_runner_that_gets_on_is_waited_for(
    groups: list[EnvRunnerGroup], caplog: pytest.LogCaptureFixture
) -> None:
    class Slow(Held):
        def step(self, action: Any) -> Any:
            time.sleep(0.1)
            return super().step(action)

    group = EnvRunnerGroup(config_of(Slow, runners=1, sample_timeout_s=0.5))
    groups.append(group)
    with caplog.at_level(logging.WARNING):
        assert [one.steps for one in group.sample_all()] == [20]
    assert "gets on" in caplog.text and group.num_remote_worker_restarts() == 0


def test_what_an_environment_raises_comes_as_it_is(groups: list[EnvRunnerGroup]) -> None:
    class Breaking(Held):
        def step(self, action: Any) -> Any:
            if self.t == 7:
                raise RuntimeError("broken")
            return super().step(action)

    group = EnvRunnerGroup(config_of(Breaking, runners=1))
    groups.append(group)
    with pytest.raises(
        EnvError, match=r"Breaking' \(runner 1, environment 0\): step\(.*\) raised RuntimeError: broken"
    ):
        group.sample_all()

    def no_env(context: Any) -> Any:
        raise OSError("no such simulator")

    with pytest.raises(EnvError, match="no such simulator"):
        EnvRunnerGroup(config_of(no_env, runners=1))


def test_what_connectors_learn_is_merged(groups: list[EnvRunnerGroup]) -> None:
    config = config_of(env_to_module_connector=lambda env, spaces, device: MeanStdFilter())
    group = EnvRunnerGroup(config)
    groups.append(group)

    def seen(runner: Any) -> tuple[int, Any]:
        moments = runner._env_to_module.connectors[0]._all.get(None)
        return (0, None) if moments is None else (moments.count, moments.mean)

    group.sample_all()
    counts = [count for count, _ in group.foreach_env_runner(seen)]
    assert counts[0] == 0 and counts[1] >= 21 and counts[2] >= 21
    group.sync_env_runner_states()
    merged = group.foreach_env_runner(seen)
    assert [count for count, _ in merged] == [counts[1] + counts[2]] * 3
    group.sample_all()
    group.sync_env_runner_states()
    twice = group.foreach_env_runner(seen)
    assert len({count for count, _ in twice}) == 1 and twice[0][0] >= 2 * 40
    np.testing.assert_array_equal(twice[0][1], twice[1][1])
    # A runner that is replaced knows what the others know.
    kill(group, 2)
    assert [one.index for one in group.sample_all(num_timesteps=1)] == [1, 2]
    assert all(count >= twice[0][0] for count, _ in group.foreach_env_runner(seen))


def test_work_ends_by_a_deadline_and_who_is_late_is_named_and_replaced(
    pair: tuple[EnvRunnerGroup, EnvRunnerGroup], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    _, group = pair
    before = group.num_remote_worker_restarts()
    group.recreated.clear()

    def part(runner: Any, number: int, hangs: bool = False) -> tuple[int, int]:
        if hangs:
            threading.Event().wait()
        return runner.worker_index, number

    work = {1: [{"number": 0}], 2: [{"number": 0}, {"number": 1, "hangs": True}, {"number": 2}]}
    done, late = group.work_through(part, work, timeout_s=2.0)
    assert (done, late) == ([(1, 0), (2, 0)], [2])
    assert "env runner 2 has not answered within 2 s, and was ended. It is in wait (threading.py" in caplog.text
    assert group.healthy_env_runner_ids() == [1]
    assert group.probe_unhealthy_env_runners() == [2] == group.recreated
    # Work that nobody wants any more ends at once.
    begun = tmp_path / "begun"
    os.mkfifo(begun)

    def hangs(runner: Any) -> None:
        begun.write_text("so it is")
        threading.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(group.work_through, hangs, {1: [{}], 2: []}, timeout_s=None)
        assert begun.read_text() == "so it is"
        group.abandon_work()
        assert waiting.result() == ([], [1])
    assert group.work_through(part, {2: [{"number": 0}]}, timeout_s=None) == ([], [2])
    group.allow_work()
    assert group.probe_unhealthy_env_runners() == [1]
    kill(group, 1)
    done, late = group.work_through(part, {index: [{"number": 0}, {"number": 1}] for index in (1, 2)}, timeout_s=None)
    assert (done, late) == ([(1, 0), (1, 1), (2, 0), (2, 1)], [])
    assert group.num_remote_worker_restarts() == before + 3


def test_who_cannot_take_anothers_place_in_time_is_late(groups: list[EnvRunnerGroup], tmp_path: Any) -> None:
    path = tmp_path / "held"

    class Starting(Held):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            if config.recreated_worker:
                threading.Event().wait()  # nothing comes of it

    group = EnvRunnerGroup(config_of(Starting, runners=1, environment={"env_config": {"path": str(path)}}))
    groups.append(group)
    kill(group, 1)
    done, late = group.work_through(lambda runner, number: number, {1: [{"number": 0}]}, timeout_s=0.5)
    assert (done, late) == ([], [1]) and group.healthy_env_runner_ids() == []
