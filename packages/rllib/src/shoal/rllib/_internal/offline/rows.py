"""From rows of steps to recorded steps: which rows are one episode, and what comes after each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from shoal.rllib._internal.nested import leaves, map_leaves
from shoal.rllib._internal.offline.recorded_steps import Numbers, RecordedSteps
from shoal.rllib._internal.offline.values import (
    check_actions,
    check_numbers,
    column_of,
    flat_names,
    missing,
    plain_array,
    tree_of,
)
from shoal.rllib._internal.sampling.action_scaling import inverse_for
from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import OfflineDataError

Bools = NDArray[np.bool_]
_EXTRAS = frozenset({Columns.ACTION_LOGP, Columns.ACTION_DIST_INPUTS, Columns.ACTION_PROB, Columns.VF_PREDS})
"""What is kept of the module that acted."""


@dataclass(frozen=True)
class RowFormat:
    """What is known of rows before they are looked at.

    Args:
        observation_space: of the recorded observations.
        action_space: of the environment's actions.
        names: what the data calls our columns, where it calls them otherwise.
        needed: columns that have to be there.
        normalized: whether actions of bounded Boxes are as modules make them, between -1 and 1.
        to_normalize: whether modules make such ones.
        keep_last: whether the last step of an episode is kept where the observation after it was not recorded.
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    names: Mapping[str, str]
    needed: Collection[str] = (Columns.OBS, Columns.ACTIONS, Columns.REWARDS, Columns.TERMINATEDS)
    normalized: bool = False
    to_normalize: bool = True
    keep_last: bool = False

    def name(self, ours: str) -> str:
        return self.names.get(ours, ours)

    def module_actions(self, actions: Any, row_name: Any) -> Any:
        """Returns actions as modules make them. Raises OfflineDataError where one is not in its space."""
        check_actions(actions, self.action_space, normalized=self.normalized, row_name=row_name)
        inverse = inverse_for(self.action_space, normalize=self.to_normalize and not self.normalized)
        return actions if inverse is None else inverse(actions)


def steps_of_rows(columns: Mapping[str, Any], rows: RowFormat) -> RecordedSteps:
    """Returns the steps of a table.

    Rows of an episode may lie apart. Where there is neither an episode's id nor a number of the step, an episode goes on as long as
    observations follow one another.

    Args:
        columns: by the data's names, arrays with a row for each step.
        rows: what is known of them.

    Raises:
        OfflineDataError: (a ValueError) columns are missing, or values are not in their spaces.
    """
    for ours in rows.needed:
        names = [rows.name(ours)]
        if ours in (Columns.OBS, Columns.ACTIONS):
            space = rows.observation_space if ours == Columns.OBS else rows.action_space
            names = flat_names(rows.name(ours), space)
        for name in names:
            if name not in columns:
                raise OfflineDataError(missing(ours, name, columns))
    observations = tree_of(columns, rows.name(Columns.OBS), rows.observation_space, Columns.OBS)
    actions = tree_of(columns, rows.name(Columns.ACTIONS), rows.action_space, Columns.ACTIONS)
    count = len(next(leaves(observations)))
    if count == 0:
        raise OfflineDataError("the recorded data has no steps")
    following = None
    if all(name in columns for name in flat_names(rows.name(Columns.NEXT_OBS), rows.observation_space)):
        following = tree_of(columns, rows.name(Columns.NEXT_OBS), rows.observation_space, Columns.NEXT_OBS)
    ids = columns.get(rows.name(Columns.EPS_ID))

    def row_name(row: int) -> str:
        return f"row {row}" + ("" if ids is None else f" (of episode {ids[row]!r})")

    actions = rows.module_actions(actions, row_name)
    rewards = _numbers(columns, rows, Columns.REWARDS, count).astype(np.float32)
    check_numbers(rewards, "its reward", row_name)
    terminated, truncated = (
        _numbers(columns, rows, name, count).astype(bool) for name in (Columns.TERMINATEDS, Columns.TRUNCATEDS)
    )
    t = _numbers(columns, rows, Columns.T, count).astype(np.int64) if rows.name(Columns.T) in columns else None
    extras = {
        name: plain_array(columns[name], name)
        for name in columns
        if name in _EXTRAS and name not in rows.names.values()
    }

    order = _order(ids, t)
    if order is not None:
        observations, actions, following = (
            None if tree is None else map_leaves(lambda leaf: leaf[order], tree)
            for tree in (observations, actions, following)
        )
        rewards, terminated, truncated = rewards[order], terminated[order], truncated[order]
        ids, t = (None if column is None else column[order] for column in (ids, t))
        extras = {name: column[order] for name, column in extras.items()}
    goes_on = _goes_on(ids, t, terminated | truncated, observations, following)
    return _put_together(
        observations, actions, rewards, terminated, truncated, following, ids, t, extras, goes_on, rows
    )


def _numbers(columns: Mapping[str, Any], rows: RowFormat, ours: str, count: int) -> NDArray[Any]:
    name = rows.name(ours)
    if name not in columns:
        return np.zeros(count, np.float32)
    values = plain_array(column_of(columns, name, ours), name)
    if values.shape == (count, 1):
        values = values[:, 0]
    if values.shape != (count,) or values.dtype.kind not in "biuf":
        raise OfflineDataError(f"column {name!r} has {values[0]!r} in row 0; {ours} are single numbers")
    return values


def _order(ids: Any, t: Numbers | None) -> Numbers | None:
    """Returns the order in which rows of an episode follow one another; None where they do already."""
    if ids is None:
        return None
    begins = np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1])
    first: dict[Any, int] = {}
    codes = np.array([first.setdefault(_key(ids[row]), len(first)) for row in begins], np.int64)
    lies_together = len(first) == len(begins)
    if lies_together and (t is None or bool(((np.diff(t) > 0) | (ids[1:] != ids[:-1])).all())):
        return None
    code = np.repeat(codes, np.diff(np.concatenate([begins, [len(ids)]])))
    return np.argsort(code, kind="stable") if t is None else np.lexsort((t, code))


def _key(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _goes_on(ids: Any, t: Numbers | None, done: Bools, observations: Any, following: Any) -> Bools:
    """Returns whether each row but the last is followed by the next step of its episode."""
    goes_on = ~done[:-1]
    if ids is not None:
        goes_on &= (ids[1:] == ids[:-1]).astype(bool)
    if t is not None:
        goes_on &= np.diff(t) == 1
    if following is not None:
        for now, after in zip(leaves(observations), leaves(following), strict=True):
            same = now[1:] == after[:-1]
            goes_on &= same.all(axis=tuple(range(1, same.ndim)))
    return goes_on


def _put_together(
    observations: Any,
    actions: Any,
    rewards: NDArray[np.float32],
    terminated: Bools,
    truncated: Bools,
    following: Any,
    ids: Any,
    t: Numbers | None,
    extras: dict[str, Any],
    goes_on: Bools,
    rows: RowFormat,
) -> RecordedSteps:
    count = len(rewards)
    begins = np.concatenate([[0], np.flatnonzero(~goes_on) + 1])
    stops = np.concatenate([begins[1:], [count]])
    lengths = stops - begins
    chunk = np.repeat(np.arange(len(lengths)), lengths)
    total = count + len(lengths)

    def with_last(now: Any, after: Any) -> Any:
        whole = np.empty((total, *now.shape[1:]), now.dtype)
        whole[np.arange(count) + chunk] = now
        whole[stops + np.arange(len(lengths))] = after[stops - 1]
        return whole

    whole = map_leaves(with_last, observations, observations if following is None else following)
    given = [str(_key(ids[row])) for row in begins] if ids is not None else [str(i) for i in range(len(begins))]
    parts = {
        "lengths": lengths,
        "terminated": terminated[stops - 1],
        "truncated": truncated[stops - 1],
        "ids": given,
        "t_started": np.zeros(len(begins), np.int64) if t is None or ids is None else t[begins],
    }
    unknown = ~parts["terminated"] & (following is None and not rows.keep_last)
    if not unknown.any():
        return RecordedSteps(observations=whole, actions=actions, rewards=rewards, extras=extras, **parts)
    # Nobody knows what the last step of these led to: its observation is where the step before it led.
    kept_steps, kept_rows = np.ones(count, bool), np.ones(total, bool)
    kept_steps[stops[unknown] - 1] = False
    kept_rows[(stops + np.arange(len(lengths)))[unknown]] = False
    lengths = lengths - unknown
    stays = lengths > 0
    kept_rows[(begins + np.arange(len(begins)))[~stays]] = False
    if not stays.any():
        raise OfflineDataError(
            f"the data has no column {rows.name(Columns.NEXT_OBS)!r}, and no two rows follow one another: there is no step whose next "
            "observation is known. For BC, which needs none, set offline_data(ignore_final_observation=True)"
        )
    return RecordedSteps(
        observations=map_leaves(lambda leaf: leaf[kept_rows], whole),
        actions=map_leaves(lambda leaf: leaf[kept_steps], actions),
        rewards=rewards[kept_steps],
        lengths=lengths[stays],
        terminated=parts["terminated"][stays],
        truncated=parts["truncated"][stays],
        ids=[one for one, stay in zip(given, stays, strict=True) if stay],
        t_started=parts["t_started"][stays],
        extras={name: column[kept_steps] for name, column in extras.items()},
    )
