"""BC: learns what was recorded, the same again, resumed, and in Tune's and users' ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.bc import BC, BCConfig
from shoal.rllib.algorithms.registry import get_algorithm_class
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.rl_module.rl_module import RLModule
from shoal.rllib.utils.error import ConfigError, OfflineDataError


def cloning(path: Any, **training: Any) -> BCConfig:
    config = BCConfig().environment("CartPole-v1").debugging(seed=2).offline_data(input_=path)
    config.training(**{"lr": 3e-3, "train_batch_size_per_learner": 256, **training})
    return config.rl_module(model_config={"fcnet_hiddens": [32]})


def some(count: int = 40) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    obs = generator.normal(size=(count, 4))
    return {"obs": obs, "actions": (obs[:, 0] > 0).astype(int)}


def short(**training: Any) -> BCConfig:
    config = cloning(some(), **{"train_batch_size_per_learner": 16, **training})
    return config.offline_data(ignore_final_observation=True)


def test_it_balances_as_the_recorded_rule_does_and_is_evaluated_meanwhile(balanced: Path) -> None:
    config = cloning(str(balanced)).evaluation(
        evaluation_interval=1, evaluation_duration=4, evaluation_config={"explore": False}
    )
    config.reporting(metrics_num_episodes_for_smoothing=4)
    with config.build_algo() as algo:
        for _ in range(10):
            result = algo.train()
            if result["evaluation"]["env_runners"]["episode_return_mean"] >= 400:
                break
        assert result["evaluation"]["env_runners"]["episode_return_mean"] >= 400
        learned = result["learners"]["default_policy"]
        assert learned["policy_loss"] < 0.5 and learned["num_module_steps_trained_lifetime"] > 1000
        assert result["num_env_steps_sampled_lifetime"] == algo.env_steps_sampled > 1000
        assert result["timers"]["offline_sampling_timer"] > 0
        assert algo.env_runner_group is None
        path = algo.save_to_path()
    # The policy alone, from its folder.
    module: Any = RLModule.from_checkpoint(Path(path, "learner_group", "learner", "rl_module", "default_policy"))
    env = gym.make("CartPole-v1")
    observation, _ = env.reset(seed=5)
    total, done = 0.0, False
    while not done:
        logits = module.forward_inference({"obs": torch.from_numpy(observation)[None]})["action_dist_inputs"]
        observation, reward, terminated, truncated, _ = env.step(int(logits.argmax()))
        total, done = total + float(reward), terminated or truncated
    assert total >= 200


def test_it_is_evaluated_on_recorded_data() -> None:
    kept = some(64)
    config = short().evaluation(
        offline_evaluation_interval=2,
        offline_evaluation_type="eval_loss",
        offline_eval_batch_size_per_runner=32,
        dataset_num_iters_per_offline_eval_runner=2,
        evaluation_config={"input_": kept},
    )
    told: list[Any] = []
    config.callbacks(on_evaluate_offline_end=lambda *, evaluation_metrics, **_: told.append(evaluation_metrics))
    with config.build_algo() as algo, short().build_algo() as other:
        assert "evaluation" not in algo.train()
        found = algo.train()["evaluation"]["offline_eval_runners"]["default_policy"]
        for _ in range(2):
            other.train()
        # What is learned is the same as without it.
        assert all(np.array_equal(value, weights(other)[key]) for key, value in weights(algo).items())
        module: Any = algo.get_module()
        with torch.no_grad():
            outputs = module.forward_inference({"obs": torch.from_numpy(kept["obs"]).float()})["action_dist_inputs"]
        chances = torch.log_softmax(outputs, -1)[torch.arange(64), torch.from_numpy(kept["actions"])]
        assert found["total_eval_loss"] == pytest.approx(-float(chances.mean()), rel=1e-5)
        assert found["num_env_steps_sampled"] == 64 and told == [{"default_policy": found}]
        again = algo.evaluate_offline()["offline_eval_runners"]["default_policy"]["total_eval_loss"]
        assert again == pytest.approx(found["total_eval_loss"], rel=1e-5)
    own = short().evaluation(offline_loss_for_module_fn=lambda learner, module_id, *_: torch.tensor(7.0))
    with own.build_algo() as algo:
        assert algo.evaluate_offline()["offline_eval_runners"]["default_policy"]["total_eval_loss"] == 7.0
    with pytest.raises(ConfigError, match="'eval_loss', the loss of"):
        short().evaluation(offline_evaluation_type="pdis").build_algo()


def weights(algo: Any) -> dict[str, Any]:
    found: dict[str, Any] = algo.get_weights()["default_policy"]
    return found


def test_it_is_the_same_again_and_resumed(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        with short().build_algo() as algo:
            for _ in range(4):
                algo.train()
            runs.append(weights(algo))
    with short().build_algo() as algo:
        for _ in range(2):
            algo.train()
        path = algo.save_to_path(tmp_path / "half")
    with BC.from_checkpoint(path) as resumed:
        assert resumed.env_steps_sampled == 2 * 3 * 16
        for _ in range(2):
            resumed.train()
        runs.append(weights(resumed))
    for name, value in runs[0].items():
        assert np.array_equal(value, runs[1][name]) and np.array_equal(value, runs[2][name]), name
    with short().debugging(seed=3).build_algo() as other:
        other.train()
        assert not np.array_equal(weights(other)["pi.0.weight"], runs[0]["pi.0.weight"])


def test_the_loss_is_what_the_actions_likelihoods_say() -> None:
    learner: Any = short().build_learner(env=gym.make("CartPole-v1"))
    module: Any = learner.module["default_policy"]
    batch = {"obs": torch.randn(5, 4), "actions": torch.tensor([0, 1, 1, 0, 1])}
    out = module.forward_train(batch)
    loss = learner.compute_loss_for_module(module_id="default_policy", config=learner.config, batch=batch, fwd_out=out)
    p = torch.softmax(out["action_dist_inputs"], -1).tolist()
    assert loss.item() == pytest.approx(-sum(np.log(p[i][a]) for i, a in enumerate([0, 1, 1, 0, 1])) / 5, rel=1e-5)


def test_iterations_are_as_many_batches_as_asked_for() -> None:
    with short().build_algo() as algo:
        assert algo.train()["learners"]["__all_modules__"]["num_env_steps_trained"] == 48  # 40 steps in batches of 16
    with short().offline_data(dataset_num_iters_per_learner=2).build_algo() as algo:
        assert algo.train()["learners"]["__all_modules__"]["num_env_steps_trained"] == 32


class Shifted(ConnectorV2):
    """Adds one to observations."""

    def __call__(self, *, episodes: Any, batch: Any, **kwargs: Any) -> Any:
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            episode.set_observations(new_data=episode.get_observations() + 1)
        return batch


def test_learner_connectors_see_each_step() -> None:
    seen: list[float] = []

    class Looking(BCConfig().get_default_learner_class()):  # type: ignore[misc]
        def compute_loss_for_module(self, **arguments: Any) -> torch.Tensor:
            seen.extend(arguments["batch"]["obs"][:, 0].tolist())
            loss: torch.Tensor = super().compute_loss_for_module(**arguments)
            return loss

    config = short().learners(learner_connector=lambda observations, actions: Shifted(), learner_class=Looking)
    config.training(train_batch_size_per_learner=40)
    with config.build_algo() as algo:
        algo.train()
    np.testing.assert_allclose(sorted(seen), np.sort(some()["obs"][:, 0].astype(np.float32) + 1), rtol=1e-5)


def test_what_cannot_be_is_refused_before_anything_is_made() -> None:
    with pytest.raises(
        ConfigError, match=r"BC learns from recorded data, and there is none: call offline_data\(input_="
    ):
        BCConfig().environment("CartPole-v1").build_algo()
    with pytest.raises(ConfigError, match="there is no observation_space"):
        BCConfig().offline_data(input_=some()).build_algo()
    with pytest.raises(ConfigError, match="beta is 1"):
        short(beta=1.0).build_algo()
    with pytest.raises(ConfigError, match="one policy"):
        short().multi_agent(policies={"a", "b"}, policy_mapping_fn=lambda agent_id, *_, **__: "a").build_algo()
    with pytest.raises(ConfigError, match="has a memory"):
        short().rl_module(model_config={"use_lstm": True}).build_algo()
    with pytest.raises(ConfigError, match="dataset_num_iters_per_learner is 0"):
        short().offline_data(dataset_num_iters_per_learner=0).build_algo()
    with pytest.raises(OfflineDataError, match=r"has the action 7, which is not in Discrete\(2\)"):
        short().offline_data(input_={**some(), "actions": np.full(40, 7)}).build_algo()


def test_it_is_found_by_name_and_asks_for_no_runners() -> None:
    assert get_algorithm_class("BC") is BC
    bundles = BC.default_resource_request(short().env_runners(num_env_runners=3)).bundles
    assert len(bundles) == 1


def test_actors_learn_together(session: None) -> None:
    found = []
    for learners in (0, 2):
        config = short(train_batch_size_per_learner=None, train_batch_size=16).learners(num_learners=learners)
        with config.build_algo() as algo:
            algo.train()
            found.append(weights(algo))
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], atol=1e-5)
