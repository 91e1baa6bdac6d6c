"""What is seen of learning: videos of episodes, and curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.connectors.env_to_module import MeanStdFilter
from shoal.rllib.examples.envs.classes.simple_corridor import SimpleCorridor
from shoal.rllib.utils.curves import band, draw_learning_curves
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.videos import record_video

PNG = b"\x89PNG"


@pytest.mark.slow  # moviepy and pygame take their time
def test_episodes_are_recorded_and_the_algorithm_stays_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    config = PPOConfig().environment("CartPole-v1").debugging(seed=1)
    config.env_runners(num_env_runners=0, env_to_module_connector=lambda env, spaces, device: MeanStdFilter())
    config.training(train_batch_size_per_learner=40, minibatch_size=40, num_epochs=1)
    with config.rl_module(model_config={"fcnet_hiddens": [4]}).build_algo() as algo:
        algo.train()
        state = algo.env_runner.get_state()
        files = record_video(algo, tmp_path / "videos", episodes=2, name_prefix="pole")
        assert [file.name for file in files] == ["pole-episode-0.mp4", "pole-episode-1.mp4"]
        assert all(b"ftyp" in file.read_bytes()[:16] for file in files)
        assert repr(algo.env_runner.get_state()) == repr(state)


def test_environments_without_pictures_are_refused(tmp_path: Path) -> None:
    config = PPOConfig().environment(SimpleCorridor).env_runners(num_env_runners=0)
    with config.build_algo() as algo, pytest.raises(ConfigError, match="render_mode=None, and a video needs pictures"):
        record_video(algo, tmp_path)


def results(slope: float, count: int = 5) -> list[dict[str, Any]]:
    return [
        {"num_env_steps_sampled_lifetime": 100 * i, "env_runners": {"episode_return_mean": slope * i}}
        for i in range(1, count + 1)
    ]


def test_curves_are_drawn_of_one_run_and_of_several(tmp_path: Path) -> None:
    path = draw_learning_curves(results(1.0), tmp_path / "one.png", goal=4.0, title="one")
    assert path.read_bytes().startswith(PNG)
    several = {"a": [results(1.0), results(3.0, 4)], "b": results(2.0)}
    assert draw_learning_curves(several, tmp_path / "several.png").read_bytes().startswith(PNG)
    flat = [{"steps": i, "a/b": float(i)} for i in range(3)]
    assert draw_learning_curves([flat, flat], tmp_path / "two.svg", x="steps", y="a/b").read_text().startswith("<?xml")
    with pytest.raises(ConfigError, match=r"no result has 'env_runners/returns'; the last has"):
        draw_learning_curves(results(1.0), tmp_path / "none.png", y="env_runners/returns")


def test_several_runs_are_drawn_as_far_as_all_of_them_go() -> None:
    xs = np.array([0.0, 10.0, 20.0])
    grid, low, mean, high = band([(xs, xs), (xs[:2] + 5, 3 * xs[:2] + 15)])
    assert (grid[0], grid[-1]) == (5.0, 15.0)
    np.testing.assert_allclose(low, grid)
    np.testing.assert_allclose(high, 3 * grid)
    np.testing.assert_allclose(mean, 2 * grid)
