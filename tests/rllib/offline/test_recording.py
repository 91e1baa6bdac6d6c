"""What runners sample is written down, and read again as it was."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import shoal
import shoal.data
from shoal.rllib.algorithms.marwil import MARWILConfig
from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.offline.offline_data import OfflineData
from shoal.rllib.offline.offline_env_runner import OfflineSingleAgentEnvRunner
from shoal.rllib.utils.error import ConfigError, MissingLibraryError


def recorder(output: Path, env: str = "CartPole-v1", **offline: Any) -> OfflineSingleAgentEnvRunner:
    config = PPOConfig().environment(env).debugging(seed=1).rl_module(model_config={"fcnet_hiddens": [8]})
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=2)
    return OfflineSingleAgentEnvRunner(config=config.offline_data(output=output, **offline))


def read(path: Path, env: str = "CartPole-v1") -> OfflineData:
    return OfflineData(MARWILConfig().environment(env).offline_data(input_=str(path)))


def files(path: Path) -> list[str]:
    return sorted(str(file.parent.relative_to(path)) for file in path.rglob("*.parquet"))


@pytest.mark.parametrize("episodes", [True, False], ids=["episodes", "steps"])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_fragments_become_the_episodes_that_they_were(tmp_path: Path, env: str, episodes: bool) -> None:
    runner = recorder(tmp_path, env, output_write_episodes=episodes)
    sampled = [episode for _ in range(4) for episode in runner.sample(num_timesteps=30)]
    runner.stop()
    assert files(tmp_path) == [f"{env.lower()}/run-000000-00000{i}" for i in range(4)]
    steps = read(tmp_path, env).steps
    assert steps is not None and len(steps) == sum(map(len, sampled))
    found = {(episode.id_, episode.t_started): episode for episode in steps.episodes()}
    for chunk in sampled:
        first = min(t for name, t in found if name == chunk.id_)
        whole = found[chunk.id_, first]
        at = slice(chunk.t_started - first, chunk.t_started - first + len(chunk))
        assert np.array_equal(whole.get_observations(slice(at.start, at.stop + 1)), chunk.get_observations())
        np.testing.assert_allclose(whole.get_actions(at), np.clip(chunk.get_actions(), -1, 1), atol=1e-5)
        np.testing.assert_allclose(whole.get_rewards(at), chunk.get_rewards(), rtol=1e-6)
        if chunk.is_done:
            assert (whole.is_terminated, whole.is_truncated) == (chunk.is_terminated, chunk.is_truncated)
        kept = whole.get_extra_model_outputs("action_logp", at)
        assert np.array_equal(kept, chunk.get_extra_model_outputs("action_logp"))


def test_rows_are_what_other_programs_understand(tmp_path: Path) -> None:
    runner = recorder(tmp_path, "Pendulum-v1", output_write_episodes=False)
    runner.sample(num_episodes=1)
    runner.stop()
    batch: Any = next(iter(shoal.data.read_parquet(str(tmp_path)).iter_batches(batch_size=None, batch_format="numpy")))
    assert {"eps_id", "t", "obs", "actions", "rewards", "terminateds", "truncateds", "new_obs"} <= set(batch)
    assert batch["obs"].shape == (200, 3) and batch["t"].tolist() == list(range(200))
    assert not batch["terminateds"].any() and np.flatnonzero(batch["truncateds"]).tolist() == [199]
    # Actions are the environment's: between -2 and 2.
    assert batch["actions"].shape == (200, 1) and 1.0 < np.abs(batch["actions"]).max() <= 2.0
    env = gym.make("Pendulum-v1")
    assert all(env.action_space.contains(action) for action in batch["actions"])


def test_files_have_as_many_rows_as_were_asked_for(tmp_path: Path) -> None:
    for folder, remaining, expected in (("a", False, [25, 25]), ("b", True, [25, 25, 10])):
        output = tmp_path / folder
        runner = recorder(
            output, output_write_episodes=False, output_max_rows_per_file=25, output_write_remaining_data=remaining
        )
        for _ in range(6):
            runner.sample(num_timesteps=10)
        runner.stop()
        counts = [shoal.data.read_parquet(str(output / name)).count() for name in files(output)]
        assert counts == expected


def test_a_second_recording_goes_beside_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        runner = recorder(tmp_path)
        runner.sample(num_timesteps=10)
        runner.stop()
    assert files(tmp_path) == ["cartpole-v1/run-000000-000000", "cartpole-v1/run-000000-000001"]


def test_pickled_episodes_are_plain_states(tmp_path: Path) -> None:
    runner = recorder(tmp_path)
    (sampled,) = runner.sample(num_episodes=1)
    runner.stop()
    (row,) = shoal.data.read_parquet(str(tmp_path)).take_all()
    episode = SingleAgentEpisode.from_state(pickle.loads(row["item"]))
    assert episode.id_ == sampled.id_ and episode.get_return() == sampled.get_return()


def test_other_forms_and_what_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = recorder(tmp_path, output_write_method="write_json", output_write_episodes=False)
    runner.sample(num_timesteps=10)
    runner.stop()
    config = MARWILConfig().environment("CartPole-v1")
    assert len(OfflineData(config.offline_data(input_=str(tmp_path), input_read_method="read_json"))) == 10
    with pytest.raises(ConfigError, match=r"'write_parket'.*Did you mean 'write_parquet'"):
        recorder(tmp_path, output_write_method="write_parket")
    monkeypatch.delattr(shoal, "data")
    monkeypatch.setitem(sys.modules, "shoal.data", None)
    with pytest.raises(MissingLibraryError, match=r"recording takes shoal-data.*pip install shoal-data"):
        recorder(tmp_path)


def test_an_algorithm_records_what_all_of_its_runners_do(session: None, tmp_path: Path) -> None:
    config = PPOConfig().environment("CartPole-v1").rl_module(model_config={"fcnet_hiddens": [8]})
    config.env_runners(num_env_runners=2).evaluation(evaluation_duration=2)
    config.training(train_batch_size_per_learner=100, minibatch_size=50, num_epochs=1)
    with config.offline_data(output=str(tmp_path), output_write_episodes=False).build_algo() as algo:
        algo.train()
        algo.evaluate()
    assert files(tmp_path) == [
        f"cartpole-v1/{name}-000000" for name in ("evaluation-000000", "run-000001", "run-000002")
    ]
    assert shoal.data.read_parquet(str(tmp_path / "cartpole-v1" / "run-000001-000000")).count() == 50
