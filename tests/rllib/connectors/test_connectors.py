"""Pieces of pipelines one by one, and pipelines as users put them together."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.connectors.common.add_observations_from_episodes_to_batch import AddObservationsFromEpisodesToBatch
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.connectors.env_to_module import FrameStackingEnvToModule, PrevActionsPrevRewards
from shoal.rllib.connectors.env_to_module.env_to_module_pipeline import EnvToModulePipeline
from shoal.rllib.connectors.env_to_module.flatten_observations import FlattenObservations
from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter, RunningMoments
from shoal.rllib.connectors.env_to_module.observation_preprocessor import (
    MultiAgentObservationPreprocessor,
    SingleAgentObservationPreprocessor,
)
from shoal.rllib.connectors.env_to_module.write_observations_to_episodes import WriteObservationsToEpisodes
from shoal.rllib.connectors.learner import FrameStackingLearner
from shoal.rllib.connectors.module_to_env import GetActions, ListifyDataForVectorEnv, NormalizeAndClipActions
from shoal.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole
from shoal.rllib.utils.error import ConfigError, UnsupportedSpaceException

BOX = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def episode_of(observations: list[Any], **arguments: Any) -> SingleAgentEpisode:
    steps = len(observations) - 1
    return SingleAgentEpisode(
        observations=observations,
        actions=[i % 2 for i in range(steps)],
        rewards=[float(i) for i in range(steps)],
        len_lookback_buffer=0,
        **arguments,
    )


def runner_of(*pieces: Any, env: Any = "CartPole-v1", **settings: Any) -> SingleAgentEnvRunner:
    config = PPOConfig().environment(env).debugging(seed=1).rl_module(model_config={"fcnet_hiddens": [8]})
    settings = {"num_env_runners": 0, "num_envs_per_env_runner": 2, **settings}
    if pieces:
        settings["env_to_module_connector"] = lambda env, spaces, device: list(pieces)
    return SingleAgentEnvRunner(config=config.env_runners(**settings))


# Flattening.

SPACE = gym.spaces.Dict(
    {
        "box": gym.spaces.Box(-1.0, 1.0, (2, 2), np.float32),
        "both": gym.spaces.Tuple([gym.spaces.Discrete(3, start=1), gym.spaces.MultiDiscrete([2, 3])]),
        "bits": gym.spaces.MultiBinary(2),
    }
)


def test_observations_are_flattened_as_gymnasium_does() -> None:
    piece = FlattenObservations(SPACE)
    assert isinstance(piece.observation_space, gym.spaces.Box) and piece.observation_space.shape == (4 + 3 + 5 + 2,)
    SPACE.seed(1)
    for _ in range(20):
        observation = SPACE.sample()
        episode = episode_of([observation], observation_space=SPACE)
        piece(rl_module=None, batch={}, episodes=[episode])
        flat = episode.get_observations(-1)
        # gymnasium orders and encodes in the same way
        np.testing.assert_array_equal(flat, gym.spaces.flatten(SPACE, observation))
        assert flat in piece.observation_space and episode.observation_space is piece.observation_space


def test_parts_may_be_left_out() -> None:
    piece = FlattenObservations(SPACE, keys_to_remove=["both", "bits"])
    assert piece.observation_space is not None and piece.observation_space.shape == (4,)
    with pytest.raises(UnsupportedSpaceException, match="nothing is left"):
        FlattenObservations(SPACE, keys_to_remove=["box", "both", "bits"])
    with pytest.raises(UnsupportedSpaceException, match="Text"):
        FlattenObservations(gym.spaces.Text(3))


# Means and deviations.

rows = st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2), min_size=1, max_size=30)


@given(rows, st.integers(1, 5))
def test_running_moments_are_those_of_all_rows(numbers: list[list[float]], parts: int) -> None:
    everything = np.array(numbers)
    moments, others = RunningMoments((2,)), RunningMoments((2,))
    for i, part in enumerate(np.array_split(everything, parts)):
        if len(part):
            (moments if i % 2 else others).add(part)
    moments.merge(others.count, others.mean, others.squares)
    assert moments.count == len(everything)
    np.testing.assert_allclose(moments.mean, everything.mean(0), atol=1e-6)
    if len(everything) > 1:
        np.testing.assert_allclose(moments.std, everything.std(0, ddof=1), atol=1e-5)


def test_filters_normalise_clip_and_stop_learning() -> None:
    piece = MeanStdFilter(BOX, clip_by_value=0.5)
    rng = np.random.default_rng(1)
    seen = rng.normal(5, 3, (500, 2)).astype(np.float32)
    for row in seen:
        out = piece.rows(row[None])
    assert out.dtype == np.float32 and (np.abs(out) <= 0.5).all() and out[0] in piece.observation_space  # type: ignore[operator]
    frozen = MeanStdFilter(BOX, update_stats=False, clip_by_value=None)
    frozen.set_state(piece.get_state())
    made = frozen.rows(seen)
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(made.std(0, ddof=1), 1, atol=1e-4)
    assert frozen._all[None].count == 500
    frozen.reset_state()
    assert frozen.get_state()["all"] == {}
    with pytest.raises(UnsupportedSpaceException, match="FlattenObservations"):
        MeanStdFilter(gym.spaces.Discrete(3))


def test_states_of_filters_are_merged_without_counting_twice() -> None:
    pieces = [MeanStdFilter(BOX) for _ in range(3)]
    rng = np.random.default_rng(1)
    everything: list[Any] = []
    for _ in range(3):
        for piece in pieces:
            part = rng.normal(size=(7, 2))
            piece.rows(part)
            everything.append(part)
        merged = pieces[0].merge_states([piece.get_state() for piece in pieces])
        for piece in pieces:
            piece.set_state(merged)
    together = np.concatenate(everything)
    for piece in pieces:
        assert piece._all[None].count == len(together)
        np.testing.assert_allclose(piece._all[None].mean, together.mean(0))
        np.testing.assert_allclose(piece._all[None].std, together.std(0, ddof=1))


# Several observations, actions and rewards at once.


def test_frames_are_stacked_for_modules_and_for_learners_alike() -> None:
    runner = runner_of(FrameStackingEnvToModule(num_frames=3))
    shape = runner.get_spaces()["default_policy"][0].shape
    assert shape == (12,)
    acted_on: list[Any] = []
    inner = runner.module.forward_exploration

    def spied(batch: Any, **kwargs: Any) -> Any:
        acted_on.append(batch["obs"].clone())
        return inner(batch, **kwargs)

    runner.module.forward_exploration = spied
    episodes = [*runner.sample(num_timesteps=20), *runner.sample(num_timesteps=20)]
    stacked = list(episodes)
    FrameStackingLearner(num_frames=3)(rl_module=runner.module, batch={}, episodes=stacked)
    assert {episode.get_observations().shape[1:] for episode in episodes} == {(4,)}
    starts = [episode.get_observations(0) for episode in stacked if episode.t_started == 0]
    assert all((row[:8] == 0).all() and row[8:].any() for row in starts)  # before the start there are zeros
    acted = {tuple(row.tolist()) for rows in acted_on for row in rows}
    learned = {tuple(row.tolist()) for episode in stacked for row in episode.get_observations()[:-1]}
    assert len(learned) == sum(map(len, episodes)) and learned <= acted
    with pytest.raises(UnsupportedSpaceException, match="no last axis"):
        FrameStackingEnvToModule(gym.spaces.Discrete(3), num_frames=2)


def test_frames_that_are_not_known_are_asked_for() -> None:
    chunk = episode_of([np.zeros(2, np.float32)] * 3, observation_space=BOX).cut()
    chunk.add_env_step(np.zeros(2, np.float32), 0, 1.0)
    with pytest.raises(ConfigError, match=r"knows 0 observations .* num_frames=3 needs 2"):
        FrameStackingLearner(num_frames=3)(rl_module=None, batch={}, episodes=[chunk])


def test_latest_actions_and_rewards_are_a_part_of_observations() -> None:
    piece = PrevActionsPrevRewards(BOX, gym.spaces.Discrete(2), n_prev_actions=2, n_prev_rewards=1)
    episode = episode_of([np.zeros(2, np.float32), np.ones(2, np.float32)], observation_space=BOX)
    piece(rl_module=None, batch={}, episodes=[episode])
    seen = episode.get_observations(-1)
    assert seen["prev_n_actions"].tolist() == [0, 0, 1, 0] and seen["prev_n_rewards"].tolist() == [0.0]
    assert seen in piece.observation_space  # type: ignore[operator]
    runner = runner_of(
        PrevActionsPrevRewards(n_prev_actions=2, n_prev_rewards=2), FlattenObservations(), episode_lookback_horizon=2
    )
    assert runner.get_spaces()["default_policy"][0].shape == (4 + 4 + 2,)
    for episode in [*runner.sample(num_timesteps=30), *runner.sample(num_timesteps=30)]:
        seen, actions = episode.get_observations(), episode.get_actions()
        for t in range(2, len(episode)):
            assert seen[t, 4:8].reshape(2, 2).argmax(-1).tolist() == actions[t - 2 : t].tolist()


# Pieces of one's own.


class Halve(SingleAgentObservationPreprocessor):
    def preprocess(self, observation: Any, episode: Any) -> Any:
        return observation / 2


def test_a_piece_of_one_s_own_changes_what_modules_and_learners_see() -> None:
    plain, halved = runner_of(), runner_of(Halve())
    assert plain._by_columns and not halved._by_columns
    one, other = plain.sample(num_timesteps=2)[0], halved.sample(num_timesteps=2)[0]
    np.testing.assert_array_equal(one.get_observations(0) / 2, other.get_observations(0))


def test_functions_and_custom_pieces_may_take_what_they_need() -> None:
    class Noting(ConnectorV2):
        def __call__(self, *, rl_module: Any, batch: Any, episodes: Any, metrics: Any = None, **kwargs: Any) -> Any:
            metrics.log_value("seen", len(episodes), reduce="sum")
            for episode in self.single_agent_episode_iterator(episodes):
                self.add_batch_item(batch, "obs", episode.get_observations(-1), episode)
            return batch

    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0, env_to_module_connector=lambda env: Noting())
    )
    runner = SingleAgentEnvRunner(config=config)
    runner.sample(num_timesteps=4)
    assert runner.metrics.compile()["seen"] == 5

    class Nothing(ConnectorV2):
        def __call__(self, **kwargs: Any) -> Any:
            return None

    with pytest.raises(TypeError, match="Nothing"):
        runner_of(Nothing()).sample(num_timesteps=2)


def test_actions_may_be_changed_on_their_way_to_the_environment() -> None:
    class Always(ConnectorV2):
        def __call__(self, *, batch: Any, rl_module: Any, **kwargs: Any) -> Any:
            batch["actions"] = torch.ones(len(batch["action_dist_inputs"]), dtype=torch.int64)
            return batch

    config = PPOConfig().environment("CartPole-v1")
    config.env_runners(num_env_runners=0, module_to_env_connector=lambda env, spaces: Always())
    runner = SingleAgentEnvRunner(config=config)
    assert runner.sample(num_timesteps=5)[0].get_actions().tolist() == [1] * 5


def test_observations_of_all_agents_together() -> None:
    class Swap(MultiAgentObservationPreprocessor):
        def preprocess(self, observations: Any, episode: Any) -> Any:
            return {agent: observations[agent] * (10 if agent == 1 else 1) for agent in observations}

    config = PPOConfig().environment(MultiAgentCartPole, env_config={"num_agents": 2}).debugging(seed=1)
    config.multi_agent(policies={"p"}, policy_mapping_fn=lambda agent, episode, **kwargs: "p")
    plain = MultiAgentEnvRunner(config=config.copy().env_runners(num_env_runners=0))
    changed = MultiAgentEnvRunner(
        config=config.copy().env_runners(num_env_runners=0, env_to_module_connector=lambda env, spaces, device: Swap())
    )
    one, other = plain.sample(num_timesteps=1)[0], changed.sample(num_timesteps=1)[0]
    for agent, factor in ((0, 1), (1, 10)):
        mine, theirs = one.agent_episodes[agent], other.agent_episodes[agent]
        np.testing.assert_array_equal(mine.get_observations(0) * factor, theirs.get_observations(0))


# Helpers of pieces.


def test_batches_of_items() -> None:
    episodes = [episode_of([0, 1]), episode_of([5, 6, 7])]
    batch: dict[str, Any] = {}
    for episode in episodes:
        ConnectorV2.add_n_batch_items(batch, "obs", episode.get_observations(), len(episode) + 1, episode)
    keys = [(episode.id_,) for episode in episodes]
    assert batch["obs"] == {keys[0]: [0, 1], keys[1]: [5, 6, 7]}
    ConnectorV2.foreach_batch_item_change_in_place(batch, "obs", lambda item, eps_id, agent, module: item * 10)
    assert batch["obs"][keys[1]] == [50, 60, 70]
    pairs = list(ConnectorV2.single_agent_episode_iterator(episodes, zip_with_batch_column=batch["obs"]))
    assert [item for _, item in pairs] == [0, 10, 50, 60, 70] and pairs[0][0] is episodes[0]
    with pytest.raises(ValueError, match="2 items"):
        ConnectorV2.add_n_batch_items(batch, "obs", [1, 2], 3)
    ConnectorV2.add_batch_item(batch, "plain", 1)
    assert batch["plain"] == [1]
    multi = {"obs": {("e", "a", "m"): [1], ("e", "b", "n"): [2]}}
    assert ConnectorV2.switch_batch_from_column_to_module_ids(multi) == {"m": {"obs": [1]}, "n": {"obs": [2]}}


def test_observations_go_back_into_episodes() -> None:
    episode = episode_of([np.zeros(2, np.float32)])
    pipeline = EnvToModulePipeline(
        BOX,
        gym.spaces.Discrete(2),
        connectors=[AddObservationsFromEpisodesToBatch(), _add_one, WriteObservationsToEpisodes()],
    )
    pipeline(rl_module=None, batch={}, episodes=[episode])
    assert episode.get_observations(-1).tolist() == [1, 1]


def _add_one(*, batch: Any, **kwargs: Any) -> Any:
    ConnectorV2.foreach_batch_item_change_in_place(batch, "obs", lambda item, *ids: item + 1)
    return batch


def test_pieces_are_put_where_they_belong() -> None:
    pipeline = EnvToModulePipeline(SPACE, gym.spaces.Discrete(2), connectors=[AddObservationsFromEpisodesToBatch()])
    pipeline.prepend(FlattenObservations())
    assert pipeline.observation_space is not None and pipeline.observation_space.shape == (14,)
    pipeline.insert_after(FlattenObservations, MeanStdFilter())
    pipeline.insert_before("AddObservationsFromEpisodesToBatch", Halve())
    names = [type(piece).__name__ for piece in pipeline.connectors]
    assert names == ["FlattenObservations", "MeanStdFilter", "Halve", "AddObservationsFromEpisodesToBatch"]
    assert isinstance(pipeline.remove("Halve"), Halve) and pipeline.remove("Halve") is None
    assert len(pipeline) == 3 and pipeline[MeanStdFilter] == [pipeline[1]]
    with pytest.raises(ValueError, match="it has"):
        pipeline.insert_after("What", Halve())
    state = pipeline.get_state()
    assert list(state) == ["000_MeanStdFilter"]
    pipeline.set_state(state)


def test_actions_of_spaces_of_any_kind_reach_their_bounds() -> None:
    space = gym.spaces.Dict({"a": gym.spaces.Box(0.0, 4.0, (1,), np.float32), "b": gym.spaces.Discrete(3, start=5)})
    episode = episode_of([0])
    batch = {"actions": {(episode.id_,): [{"a": np.array([1.0], np.float32), "b": np.int64(2)}]}}
    made = NormalizeAndClipActions(None, space)(rl_module=None, batch=batch, episodes=[episode])
    listed = ListifyDataForVectorEnv()(rl_module=None, batch=made, episodes=[episode])
    assert listed["actions_for_env"][0]["a"].tolist() == [4.0] and listed["actions_for_env"][0]["b"] == 7
    assert listed["actions_for_env"][0] in space
    clipped = NormalizeAndClipActions(None, gym.spaces.Box(-1.0, 1.0, (1,)), normalize_actions=False, clip_actions=True)
    batch = {"actions": {(episode.id_,): [np.array([7.0], np.float32)]}}
    assert clipped(rl_module=None, batch=batch, episodes=[episode])["actions_for_env"][(episode.id_,)][0].tolist() == [
        1.0
    ]


def test_modules_that_give_actions_themselves_are_not_asked_for_a_distribution() -> None:
    batch = {"actions": torch.ones(2)}
    assert GetActions()(rl_module=object(), batch=batch, episodes=[], explore=True) is batch
