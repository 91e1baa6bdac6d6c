"""What data is read from, what is dealt out of it, and what is said where it cannot be."""

from __future__ import annotations

import base64
import pickle
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import shoal.data
from shoal.rllib.algorithms.bc import BCConfig
from shoal.rllib.algorithms.marwil import MARWILConfig
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.offline.offline_data import OfflineData
from shoal.rllib.offline.offline_prelearner import SCHEMA, OfflinePreLearner
from shoal.rllib.utils.error import ConfigError, MissingLibraryError, OfflineDataError


def rows(count: int = 6) -> dict[str, Any]:
    return {
        "eps_id": np.array(["a"] * count, object),
        "obs": np.arange(4 * count, dtype=np.float32).reshape(count, 4),
        "actions": np.arange(count) % 2,
        "rewards": np.ones(count, np.float32),
        "terminateds": np.arange(count) == count - 1,
    }


def configured(input_: Any, **offline: Any) -> MARWILConfig:
    return MARWILConfig().environment("CartPole-v1").debugging(seed=0).offline_data(input_=input_, **offline)


def dealt(data: OfflineData) -> list[float]:
    batch = data.sample(num_samples=len(data))["default_policy"]
    return sorted(batch["obs"][:, 0].tolist())


EXPECTED = [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]


def test_columns_episodes_datasets_and_files_hold_the_same(tmp_path: Path) -> None:
    as_columns = OfflineData(configured(rows()))
    assert dealt(as_columns) == EXPECTED
    episodes = OfflinePreLearner(config=configured("nowhere"))._map_to_episodes(False, rows())["episodes"]
    assert dealt(OfflineData(configured(episodes))) == EXPECTED
    items = [
        {name: column[i].tolist() if name != "eps_id" else "a" for name, column in rows().items()} for i in range(6)
    ]
    dataset = shoal.data.from_items(items)
    assert dealt(OfflineData(configured(dataset))) == EXPECTED
    dataset.write_parquet(str(tmp_path / "parquet" / "inside"))
    assert dealt(OfflineData(configured(tmp_path / "parquet"))) == EXPECTED
    assert dealt(OfflineData(configured([str(tmp_path / "parquet")], materialize_data=True))) == EXPECTED
    dataset.write_json(str(tmp_path / "json"))
    assert dealt(OfflineData(configured(str(tmp_path / "json"), input_read_method="read_json"))) == EXPECTED
    assert dealt(OfflineData(configured(str(tmp_path / "parquet"), input_read_batch_size=2))) == EXPECTED


def test_pickled_episodes_are_recognised_and_checked() -> None:
    episode = SingleAgentEpisode(
        observations=[np.zeros(4, np.float32)] * 3, actions=[0, 1], rewards=[1.0, 1.0], terminated=True, len_lookback_buffer=0
    )  # fmt: skip
    items = [{"item": pickle.dumps(episode.to_numpy().get_state())}]
    for asked in ({}, {"input_read_episodes": True}):
        assert len(OfflineData(configured(shoal.data.from_items(items), **asked))) == 2
    with pytest.raises(OfflineDataError, match="row 0 has no pickled episode"):
        OfflineData(configured(shoal.data.from_items([{"item": b"nothing"}])))
    with pytest.raises(OfflineDataError, match=r"step 1 of episode .* has the action 1, which is not in Discrete\(1\)"):
        config = configured(shoal.data.from_items(items))
        OfflineData(config.environment(action_space=gym.spaces.Discrete(1)))


def test_batches_of_the_old_stack_are_taken_apart() -> None:
    whole = rows()
    packed = [{name: column[part].tolist() for name, column in whole.items()} for part in (slice(0, 4), slice(4, 6))]
    for one in packed:
        one["dones"] = one.pop("terminateds")
        del one["eps_id"]
        one["type"] = "SampleBatch"
    data = OfflineData(configured(shoal.data.from_items(packed), input_read_sample_batches=True))
    # What followed the fourth step is in another batch: nobody knows whether it is the next one.
    assert data.steps is not None and data.steps.lengths.tolist() == [3, 2]
    assert data.steps.terminated.tolist() == [False, True]


def test_what_ray_has_packed_takes_lz4(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = {**rows(1), "obs": np.array([base64.b64encode(b"...").decode()], object)}
    monkeypatch.setitem(sys.modules, "lz4", None)
    with pytest.raises(MissingLibraryError, match="pip install lz4"):
        OfflineData(configured(packed))


def test_every_step_comes_once_in_a_pass_and_seeds_make_the_order() -> None:
    first, second = OfflineData(configured(rows())), OfflineData(configured(rows()))
    one = [first.sample(num_samples=2)["default_policy"]["obs"][:, 0].tolist() for _ in range(3)]
    assert sorted(value for batch in one for value in batch) == EXPECTED
    assert one == [second.sample(num_samples=2)["default_policy"]["obs"][:, 0].tolist() for _ in range(3)]
    state = first.get_state()
    following = first.sample(num_samples=4)["default_policy"]["obs"].tolist()
    third = OfflineData(configured(rows()).debugging(seed=9))
    third.set_state(state)
    assert third.sample(num_samples=4)["default_policy"]["obs"].tolist() == following
    shards = first.sample(num_samples=2, return_iterator=True, num_shards=2)
    assert [len(next(shard)["default_policy"]["obs"]) for shard in shards] == [2, 2]


def test_steps_and_episodes_come_as_episodes_for_connectors() -> None:
    data = OfflineData(configured(rows()))
    single = data.sample_steps_as_episodes(6)
    assert sorted(float(one.get_observations(0)[0]) for one in single) == EXPECTED
    by_first = {float(one.get_observations(0)[0]): one for one in single}
    assert by_first[8.0].get_observations(-1, neg_index_as_lookback=True)[0] == 4.0
    assert by_first[20.0].is_terminated and not by_first[16.0].is_terminated
    (whole,) = data.sample_episodes(6)
    assert len(whole) == 6 and whole.is_terminated
    cut, rest = data.sample_episodes(4)[0], data.sample_episodes(2)[0]
    assert (len(cut), cut.is_done, len(rest), rest.t_started, rest.is_terminated) == (4, False, 2, 4, True)


def test_windows_are_gone_through_one_after_the_other(tmp_path: Path) -> None:
    items = [
        {name: column[i].tolist() if name != "eps_id" else "a" for name, column in rows().items()} for i in range(6)
    ]
    shoal.data.from_items(items).write_parquet(str(tmp_path))

    def data() -> OfflineData:
        return OfflineData(configured(str(tmp_path), materialize_mapped_data=False, input_read_batch_size=3))

    first = data()
    assert first.steps is None and len(first) == 6
    # Nobody kept what the last step of the first window led to.
    firsts = [first.sample(num_samples=1)["default_policy"]["obs"][0, 0].item() for _ in range(5)]
    assert sorted(firsts[:2]) == [0.0, 4.0] and sorted(firsts[2:]) == [12.0, 16.0, 20.0]
    second = data()
    second.set_state(first.get_state())
    for _ in range(4):
        ours, theirs = (one.sample(num_samples=3)["default_policy"]["obs"].tolist() for one in (first, second))
        assert ours == theirs


class Doubled(OfflinePreLearner):
    def _map_to_episodes(self, is_multi_agent: bool, batch: Any, **kwargs: Any) -> dict[str, Any]:
        (episode,) = super()._map_to_episodes(is_multi_agent, batch)["episodes"]
        episode.set_rewards(new_data=2 * episode.get_rewards())
        return {"episodes": [episode]}


class DoubledAsToday(OfflinePreLearner):
    def _map_to_episodes(self, batch: Any, to_numpy: bool = False, **kwargs: Any) -> dict[str, Any]:
        (episode,) = super()._map_to_episodes(batch, to_numpy=to_numpy)["episodes"]
        episode.set_rewards(new_data=2 * episode.get_rewards())
        return {"episodes": [episode]}


class Made(OfflinePreLearner):
    @staticmethod
    def _map_to_episodes(is_multi_agent: bool, batch: Any, schema: Any, *, action_space: Any, **kwargs: Any) -> Any:
        actions = [action_space.sample() for _ in batch[schema["obs"]]]
        episode = SingleAgentEpisode(
            observations=[*batch[schema["obs"]], batch[schema["obs"]][0]],
            actions=actions,
            rewards=[2.0] * len(actions),
            terminated=True,
            len_lookback_buffer=0,
        )
        return {"episodes": [episode]}


class Batches(OfflinePreLearner):
    def __call__(self, batch: Any) -> dict[str, list[Any]]:
        return {"batch": [{"default_policy": {"obs": batch["obs"][i : i + 2]}} for i in (0, 2, 4)]}


@pytest.mark.parametrize("kind", [Doubled, DoubledAsToday, Made])
def test_prelearners_of_ones_own_make_episodes(kind: type[OfflinePreLearner]) -> None:
    doubled = OfflineData(configured(rows(), prelearner_class=kind))
    assert doubled.sample(num_samples=3)["default_policy"]["rewards"].tolist() == [2.0, 2.0, 2.0]


def test_prelearners_of_ones_own_make_batches() -> None:
    dataset = shoal.data.from_items([{"obs": row.tolist()} for row in rows()["obs"]])
    data = OfflineData(configured(dataset, prelearner_class=Batches))
    firsts = [float(data.sample(num_samples=2)["default_policy"]["obs"][0][0]) for _ in range(4)]
    assert firsts == [0.0, 8.0, 16.0, 0.0]
    again = OfflineData(configured(dataset, prelearner_class=Batches))
    again.set_state(data.get_state())
    assert again.sample(num_samples=2)["default_policy"]["obs"][0][0] == 8.0


def test_a_prelearner_called_by_hand_makes_a_batch() -> None:
    (batch,) = OfflinePreLearner(config=configured("nowhere"))(rows())["batch"]
    assert batch["default_policy"]["new_obs"][0].tolist() == [4.0, 5.0, 6.0, 7.0]
    assert SCHEMA["new_obs"] == "new_obs"


def test_bc_needs_neither_rewards_nor_ends() -> None:
    config = BCConfig().environment("CartPole-v1")
    few = {name: rows()[name] for name in ("obs", "actions")}
    assert len(OfflineData(config.offline_data(input_=few, ignore_final_observation=True))) == 6
    with pytest.raises(OfflineDataError, match="no column 'rewards'"):
        OfflineData(configured(few))


def test_what_cannot_be_read_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no observation_space and no action_space: recorded data does not"):
        OfflineData(MARWILConfig().offline_data(input_=rows()))
    spaces: dict[str, Any] = {
        "observation_space": gym.spaces.Box(-100, 100, (4,)),
        "action_space": gym.spaces.Discrete(2),
    }
    with pytest.raises(ConfigError, match="there is no action_space"):
        OfflineData(
            MARWILConfig().environment(observation_space=spaces["observation_space"]).offline_data(input_=rows())
        )
    assert len(OfflineData(MARWILConfig().environment(**spaces).offline_data(input_=rows()))) == 6
    with pytest.raises(ConfigError, match=r"'read_parket'.*Did you mean 'read_parquet'"):
        OfflineData(configured(str(tmp_path), input_read_method="read_parket"))
    with pytest.raises(ConfigError, match="input_ is 3"):
        OfflineData(configured(3))
    with pytest.raises(OSError, match="nowhere"):
        OfflineData(configured(str(tmp_path / "nowhere")))


def test_shoal_data_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(shoal, "data")
    monkeypatch.setitem(sys.modules, "shoal.data", None)
    with pytest.raises(MissingLibraryError, match="pip install shoal-data"):
        OfflineData(configured(str(tmp_path)))
    assert len(OfflineData(configured(rows()))) == 6
