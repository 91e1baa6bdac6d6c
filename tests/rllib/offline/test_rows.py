"""From rows of steps to episodes: which rows belong together, what comes after each, and what is refused."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib._internal.offline.recorded_steps import RecordedSteps
from shoal.rllib._internal.offline.rows import RowFormat, steps_of_rows
from shoal.rllib.offline.offline_prelearner import SCHEMA
from shoal.rllib.utils.error import OfflineDataError

NUMBERS = gym.spaces.Box(-1e6, 1e6, (1,), np.float32)


def form(**changes: Any) -> RowFormat:
    settings: dict[str, Any] = {
        "observation_space": NUMBERS,
        "action_space": gym.spaces.Discrete(3),
        "names": SCHEMA,
        **changes,
    }
    return RowFormat(**settings)


def table(lengths: list[int], terminated: list[bool]) -> dict[str, Any]:
    """Rows whose observations count up, and jump between episodes."""
    rows: dict[str, list[Any]] = {name: [] for name in SCHEMA if name not in ("agent_id", "module_id", "infos")}
    for number, (length, ends) in enumerate(zip(lengths, terminated, strict=True)):
        for t in range(length):
            rows["eps_id"].append(f"e{number}")
            rows["t"].append(t)
            rows["obs"].append([100.0 * number + t])
            rows["new_obs"].append([100.0 * number + t + 1])
            rows["actions"].append(t % 3)
            rows["rewards"].append(float(t))
            rows["terminateds"].append(ends and t == length - 1)
            rows["truncateds"].append(not ends and t == length - 1)
    return {name: np.array(values, object if name == "eps_id" else None) for name, values in rows.items()}


def told(steps: RecordedSteps) -> list[Any]:
    return [
        (
            episode.get_observations()[:, 0].tolist(),
            episode.get_actions().tolist(),
            episode.get_rewards().tolist(),
            episode.is_terminated,
            episode.is_truncated,
        )
        for episode in sorted(steps.episodes(), key=lambda episode: float(episode.get_observations()[0, 0]))
    ]


EPISODES = st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=5)


@given(episodes=EPISODES, data=st.data())
def test_episodes_are_found_wherever_their_rows_lie(episodes: list[tuple[int, bool]], data: st.DataObject) -> None:
    lengths, ends = map(list, zip(*episodes, strict=True))
    rows = table(lengths, ends)
    expected = told(steps_of_rows(rows, form()))
    assert [len(actions) for _, actions, *_ in expected] == lengths
    assert [terminated for *_, terminated, _ in expected] == ends
    order = data.draw(st.permutations(range(sum(lengths))))
    assert told(steps_of_rows({name: column[order] for name, column in rows.items()}, form())) == expected
    # Without numbers of steps, the order of rows in an episode is what tells.
    stays = sorted(range(sum(lengths)), key=lambda row: data.draw(st.integers(0, 3), label="where"))
    by_id = {name: column[stays] for name, column in rows.items() if name != "t"}
    if all((np.diff(by_id["rewards"][by_id["eps_id"] == name]) > 0).all() for name in set(by_id["eps_id"])):
        assert told(steps_of_rows(by_id, form())) == expected


@given(episodes=EPISODES)
def test_without_ids_ends_and_observations_tell(episodes: list[tuple[int, bool]]) -> None:
    lengths, ends = map(list, zip(*episodes, strict=True))
    rows = table(lengths, ends)
    expected = told(steps_of_rows(rows, form()))
    for left_out in (["eps_id", "t"], ["eps_id", "t", "truncateds"]):
        fewer = {name: column for name, column in rows.items() if name not in left_out}
        found = told(steps_of_rows(fewer, form()))
        assert [one[:4] for one in found] == [one[:4] for one in expected]


@given(episodes=EPISODES)
def test_without_next_observations_they_are_those_of_the_next_row(episodes: list[tuple[int, bool]]) -> None:
    lengths, ends = map(list, zip(*episodes, strict=True))
    rows = {name: column for name, column in table(lengths, ends).items() if name != "new_obs"}
    kept = [length if end else length - 1 for length, end in zip(lengths, ends, strict=True)]
    if not any(kept):
        with pytest.raises(OfflineDataError, match="ignore_final_observation"):
            steps_of_rows(rows, form())
        return
    found = told(steps_of_rows(rows, form()))
    assert [len(actions) for _, actions, *_ in found] == [length for length in kept if length]
    for observations, actions, _, terminated, _ in found:
        last = observations[-2] if terminated else observations[-2] + 1
        assert observations[-1] == last and len(observations) == len(actions) + 1
    # Each is kept where that was asked for.
    assert [len(one[1]) for one in told(steps_of_rows(rows, form(keep_last=True)))] == lengths


@given(episodes=EPISODES, n=st.integers(1, 4))
def test_transitions_are_those_of_a_plain_loop(episodes: list[tuple[int, bool]], n: int) -> None:
    lengths, ends = map(list, zip(*episodes, strict=True))
    steps = steps_of_rows(table(lengths, ends), form())
    found = steps.transitions(np.arange(len(steps)), n_step=n, gamma=0.5)
    at = 0
    for number, (length, ends_itself) in enumerate(episodes):
        for t in range(length):
            last = min(t + n, length)
            assert found["obs"][at, 0] == 100 * number + t and found["actions"][at] == t % 3
            assert found["new_obs"][at, 0] == 100 * number + last
            assert found["rewards"][at] == sum(0.5 ** (k - t) * k for k in range(t, last))
            assert found["n_step"][at] == last - t
            assert found["terminateds"][at] == (ends_itself and last == length)
            at += 1


def test_chunks_of_an_episode_that_were_recorded_apart_are_joined() -> None:
    whole = steps_of_rows(table([6, 3], [True, False]), form())
    first, second = whole.episodes()
    again = RecordedSteps.of_episodes([first[:2], second, first[2:5], first[5:]])
    assert told(again) == told(whole) and again.t_started.tolist() == [0, 0]
    # Where one is missing, they are not.
    apart = RecordedSteps.of_episodes([first[:2], first[3:]])
    assert apart.lengths.tolist() == [2, 3] and apart.t_started.tolist() == [0, 3]


def test_parts_of_episodes_have_what_came_before() -> None:
    steps = steps_of_rows(table([6], [True]), form())
    part = steps.episode(0, 2, 4, lookback=1)
    assert (len(part), part.t_started, part.is_terminated) == (2, 2, False)
    assert part.get_observations(-1, neg_index_as_lookback=True).tolist() == [1.0]
    assert steps.episode(0, 4, 6).is_terminated


def test_parts_of_nested_spaces_are_columns() -> None:
    observations = gym.spaces.Dict({"a": NUMBERS, "b": gym.spaces.Tuple([gym.spaces.Discrete(4), NUMBERS])})
    rows = {
        "obs/a": np.array([[1.0], [2.0]]),
        "obs/b/0": np.array([3, 0]),
        "obs/b/1": np.array([[5.0], [6.0]]),
        "actions": np.array([0, 1]),
        "rewards": np.ones(2),
        "terminateds": np.array([False, True]),
    }
    steps = steps_of_rows(rows, form(observation_space=observations))
    found = steps.transitions(np.array([0]))
    assert found["new_obs"]["b"][0].tolist() == [0] and found["new_obs"]["a"].tolist() == [[2.0]]
    del rows["obs/b/1"]
    with pytest.raises(OfflineDataError, match=r"no column 'obs/b/1' for obs.*Did you mean 'obs/b/0'"):
        steps_of_rows(rows, form(observation_space=observations))


BOX = gym.spaces.Box(np.array([-2.0, 0.0]), np.array([2.0, 10.0]), dtype=np.float64)


def test_actions_of_the_environment_become_those_of_modules() -> None:
    rows = table([3], [True])
    rows["actions"] = np.array([[-2.0, 0.0], [0.0, 5.0], [2.0, 10.0]])
    found = steps_of_rows(rows, form(action_space=BOX))
    assert found.actions.tolist() == [[-1, -1], [0, 0], [1, 1]]
    assert steps_of_rows(rows, form(action_space=BOX, to_normalize=False)).actions[2].tolist() == [2, 10]
    rows["actions"] = rows["actions"] / 10
    assert steps_of_rows(rows, form(action_space=BOX, normalized=True)).actions[2].tolist() == [0.2, 1.0]
    rows["actions"] = np.array([1, 2, 3])
    assert steps_of_rows(rows, form(action_space=gym.spaces.Discrete(3, start=1))).actions.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("column", "values", "space", "says"),
    [
        ("actions", [0, 1, 3], gym.spaces.Discrete(3), r"row 2 \(of episode 'e0'\) has the action 3.*not in Discrete\(3\)"),
        ("actions", [0, -1, 1], gym.spaces.Discrete(3), "row 1.*has the action -1"),
        ("actions", [0.0, 0.5, 1.0], gym.spaces.Discrete(3), r"column 'actions' has .*0\.5.* in row 1"),
        ("actions", [[0, 1], [0, 1], [0, 11]], BOX, r"row 2.*has the action \[0\.0, 11\.0\]"),
        ("actions", [[0, 1], [0, np.nan], [0, 1]], BOX, "column 'actions' has .*nan.* in row 1"),
        ("actions", [[0, 1, 1]] * 3, BOX, r"shape \(3,\), and those of Box.* have \(2,\)"),
        ("obs", [[1.0, 2.0]] * 3, None, r"column 'obs' has values of shape \(2,\)"),
        ("obs", [[1.0], [np.nan], [1.0]], None, "column 'obs' has .*nan.* in row 1"),
        ("rewards", [1.0, np.inf, 0.0], None, "row 1.*has .*inf.* as its reward"),
        ("rewards", [[1.0, 2.0]] * 3, None, "rewards are single numbers"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_named_with_their_row(column: str, values: Any, space: Any, says: str) -> None:
    rows = table([3], [True])
    rows[column] = np.array(values)
    settings = {} if space is None else {"action_space": space}
    with pytest.raises(OfflineDataError, match=says):
        steps_of_rows(rows, form(**settings))


def test_lists_are_put_together_and_ragged_ones_named() -> None:
    rows = table([3], [True])
    lists = np.empty(3, object)
    lists[:] = [np.array([1.0]), np.array([2.0]), np.array([3.0])]
    assert steps_of_rows({**rows, "obs": lists, "new_obs": lists}, form()).observations[0].tolist() == [1.0]
    lists[1] = np.array([2.0, 2.0])
    with pytest.raises(OfflineDataError, match=r"shape \(1,\) in row 0, and of shape \(2,\) in row 1"):
        steps_of_rows({**rows, "obs": lists}, form())


def test_missing_columns_are_told_with_what_looks_like_them() -> None:
    rows = table([3], [True])
    rows["action"] = rows.pop("actions")
    with pytest.raises(
        OfflineDataError, match=r"no column 'actions' for actions. Did you mean 'action'.*input_read_schema"
    ):
        steps_of_rows(rows, form())
    assert len(steps_of_rows(rows, form(names={**SCHEMA, "actions": "action"}))) == 3
    del rows["terminateds"]
    with pytest.raises(OfflineDataError, match="no column 'terminateds'"):
        steps_of_rows(rows, form(names={**SCHEMA, "actions": "action"}))
