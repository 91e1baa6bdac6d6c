"""Pieces before a learner: what they add, in the order of the steps."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.dqn import DQNConfig
from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from shoal.rllib.connectors import learner as connectors
from shoal.rllib.connectors.common.numpy_to_tensor import NumpyToTensor
from shoal.rllib.connectors.env_to_module import FrameStackingEnvToModule
from shoal.rllib.connectors.learner import (
    AddColumnsFromEpisodesToTrainBatch,
    AddInfosFromEpisodesToTrainBatch,
    AddNextObservationsFromEpisodesToTrainBatch,
    AddOneTsToEpisodesAndTruncate,
    ComputeReturnsToGo,
    FrameStackingLearner,
    GeneralAdvantageEstimation,
    LearnerConnectorPipeline,
)
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError


def episode(first: float, length: int = 3, terminated: bool = False, id_: str | None = None) -> SingleAgentEpisode:
    observations = np.repeat(np.arange(first, first + length + 1, dtype=np.float32)[:, None], 4, 1)
    return SingleAgentEpisode(
        id_=id_,
        observations=observations,
        actions=np.arange(length) % 2,
        rewards=np.ones(length, np.float32),
        extra_model_outputs={
            Columns.ACTION_LOGP: np.full(length, -0.7, np.float32),
            Columns.ACTION_DIST_INPUTS: np.zeros((length, 2), np.float32),
        },
        terminated=terminated,
        len_lookback_buffer=0,
    )


def learner(*pieces: Any) -> Any:
    config = (
        PPOConfig().rl_module(model_config={"fcnet_hiddens": [8]}).training(gamma=0.5, lambda_=0.9).debugging(seed=1)
    )
    config.learners(learner_connector=lambda observations, actions: list(pieces))
    return config.build_learner(env=gym.make("CartPole-v1"))


def test_pieces_add_columns_in_the_order_of_the_steps() -> None:
    built = learner(
        AddColumnsFromEpisodesToTrainBatch(),
        AddNextObservationsFromEpisodesToTrainBatch(),
        AddInfosFromEpisodesToTrainBatch(),
        AddOneTsToEpisodesAndTruncate(),
        ComputeReturnsToGo(gamma=0.5),
    )
    chunks = [episode(0, id_="same"), episode(10, 2, terminated=True), episode(20, 2, id_="same")]
    batch = built.batch_from_episodes(chunks)["default_policy"]
    assert batch[Columns.OBS][:, 0].tolist() == [0, 1, 2, 10, 11, 20, 21]
    assert batch[Columns.NEXT_OBS][:, 0].tolist() == [1, 2, 3, 11, 12, 21, 22]
    assert batch[Columns.TERMINATEDS].tolist() == [False] * 4 + [True] + [False] * 2
    assert batch[Columns.RETURNS_TO_GO].tolist() == [1.75, 1.5, 1.0, 1.5, 1.0, 1.5, 1.0]
    assert Columns.INFOS not in batch


def test_rllibs_whole_pipeline_gives_what_the_learner_has_anyway() -> None:
    episodes = [episode(0), episode(5, 2, terminated=True)]
    ours = learner().batch_from_episodes(episodes)["default_policy"]
    built = learner(
        connectors.AddObservationsFromEpisodesToBatch(as_learner_connector=True),
        AddColumnsFromEpisodesToTrainBatch(),
        connectors.AddTimeDimToBatchAndZeroPad(as_learner_connector=True),
        connectors.AddStatesFromEpisodesToBatch(as_learner_connector=True),
        connectors.AgentToModuleMapping(),
        connectors.BatchIndividualItems(),
        connectors.NumpyToTensor(),
    )
    theirs = built.batch_from_episodes(episodes)["default_policy"]
    for name, column in ours.items():
        torch.testing.assert_close(theirs[name], column)


def test_advantages_of_the_piece_are_those_of_the_learner() -> None:
    built = learner(AddColumnsFromEpisodesToTrainBatch(), GeneralAdvantageEstimation(gamma=0.5, lambda_=0.9))
    episodes = [episode(0), episode(5, 2, terminated=True)]
    batch: dict[str, Any] = GeneralAdvantageEstimation(gamma=0.5, lambda_=0.9)(
        rl_module=built.module, batch={}, episodes=episodes
    )
    added = torch.tensor([item for one in episodes for item in batch[Columns.VALUE_TARGETS][(one.id_,)]])
    torch.testing.assert_close(added, built.batch_from_episodes(episodes)["default_policy"][Columns.VALUE_TARGETS])


def stacking(config: Any, frames: int = 3) -> Any:
    """Has an algorithm's modules see several frames."""
    config.environment("CartPole-v1").debugging(seed=1).rl_module(model_config={"fcnet_hiddens": [8]})
    config.env_runners(
        num_env_runners=0,
        num_envs_per_env_runner=2,
        env_to_module_connector=lambda env, spaces, device: FrameStackingEnvToModule(num_frames=frames),
    )
    return config.learners(learner_connector=lambda observations, actions: FrameStackingLearner(num_frames=frames))


def test_what_is_learned_from_stacked_frames_is_what_was_acted_on() -> None:
    config = stacking(PPOConfig()).training(train_batch_size_per_learner=60, minibatch_size=30, num_epochs=1)
    with config.build_algo() as algo:
        algo.train()
        episodes = algo.sample_batch(60)
        batch = algo.learner_group._learner.batch_from_episodes(episodes)["default_policy"]
        module = algo.get_module()
        with torch.no_grad():
            outputs = module.forward_train({Columns.OBS: batch[Columns.OBS]})[Columns.ACTION_DIST_INPUTS]
        torch.testing.assert_close(outputs, batch[Columns.ACTION_DIST_INPUTS])
        assert batch[Columns.OBS].shape == (60, 12) and any(episode.t_started for episode in episodes)


def test_frames_are_stacked_from_a_replay_buffer() -> None:
    config = stacking(DQNConfig()).reporting(min_sample_timesteps_per_iteration=10)
    config.training(
        train_batch_size=8, num_steps_sampled_before_learning_starts=10, replay_buffer_config={"capacity": 100}
    )
    seen: list[Any] = []

    def looks(*, batch: Any, episodes: Any, **_: Any) -> Any:
        seen.extend(episodes)
        return batch

    config.learners(learner_connector=lambda observations, actions: [FrameStackingLearner(num_frames=3), looks])
    with config.build_algo() as algo:
        for _ in range(4):
            algo.train()
    assert {episode.get_observations().shape for episode in seen} == {(2, 12)}
    for episode in seen:  # the second row is the first one, moved on by a frame
        now, after = episode.get_observations()
        assert (now[4:] == after[:8]).all()
    assert any((episode.get_observations(0)[:4] != 0).all() for episode in seen)


@pytest.mark.parametrize("nested", [False, True])
def test_frames_between_are_missed_before_anything_is_learned(nested: bool) -> None:
    config = stacking(DQNConfig()).training(n_step=(1, 2))
    if nested:
        made = LearnerConnectorPipeline(connectors=[FrameStackingLearner(num_frames=3)])
        config.learners(learner_connector=lambda observations, actions: made)
    with pytest.raises(ConfigError, match=r"n_step is \(1, 2\).*n_step=1.*FrameStackObservation"):
        config.build_algo()


def test_columns_with_too_few_items_are_refused() -> None:
    def too_few(*, batch: Any, episodes: Any, **_: Any) -> Any:
        return {"mine": {(one.id_,): [0.0] for one in episodes}}

    with pytest.raises(ConfigError, match="'mine' has 1 items for an episode of 3 steps"):
        learner(too_few).batch_from_episodes([episode(0)])


def test_no_pieces_at_all_are_refused() -> None:
    config = PPOConfig().learners(add_default_connectors_to_learner_pipeline=False)
    with pytest.raises(ConfigError, match="learner_connector"):
        config.build_learner(env=gym.make("CartPole-v1")).batch_from_episodes([episode(0)])


class WithPieces(PPOTorchLearner):
    """Adds pieces of its own: where episodes are seen, where columns are, and where advantages are there, too."""

    def build(self) -> None:
        super().build()
        self.seen: list[Any] = []

        def before(*, batch: Any, episodes: Any, **_: Any) -> Any:
            self.seen.append(("episodes", dict(batch), len(episodes)))
            return batch

        def between(*, batch: Any, rl_module: Any, **_: Any) -> Any:
            columns = batch["default_policy"]
            self.seen.append(("columns", Columns.NEXT_OBS in columns, Columns.ADVANTAGES in columns))
            columns[Columns.REWARDS] += 9.0
            return {**batch, "beside": columns}

        def after(*, batch: Any, **_: Any) -> Any:
            self.seen.append(("all", Columns.ADVANTAGES in batch["default_policy"], sorted(batch)))
            return batch

        self._learner_connector.prepend(before)
        self._learner_connector.insert_after(
            connectors.AddObservationsFromEpisodesToBatch, AddNextObservationsFromEpisodesToTrainBatch()
        )
        self._learner_connector.insert_after(NumpyToTensor, between)
        self._learner_connector.append(after)


def test_a_learner_adds_pieces_of_its_own_where_they_see_what_they_need() -> None:
    config = PPOConfig().rl_module(model_config={"fcnet_hiddens": [8]}).training(gamma=0.5)
    built: Any = config.learners(learner_class=WithPieces).build_learner(env=gym.make("CartPole-v1"))
    batch = built.batch_from_episodes([episode(0, 2, terminated=True)])
    assert built.seen == [
        ("episodes", {}, 1),
        ("columns", True, False),
        ("all", True, ["beside", "default_policy"]),
    ]
    assert batch["default_policy"][Columns.VALUE_TARGETS].tolist() == pytest.approx([15.0, 10.0])
    assert built.has_connectors


def test_a_learners_own_steps_stay() -> None:
    built: Any = PPOConfig().build_learner(env=gym.make("CartPole-v1"))
    assert not built.has_connectors
    with pytest.raises(ConfigError, match="NumpyToTensor cannot be removed"):
        built._learner_connector.remove(NumpyToTensor)
    assert built._learner_connector.remove("NoSuchPiece") is None
    with pytest.raises(ValueError, match="no 'NoSuchPiece' in the pipeline"):
        built._learner_connector.insert_before("NoSuchPiece", NumpyToTensor())
