"""Rewards as they are learned from: signs, or within bounds. What episodes report of returns is counted before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Clip = Callable[[Any], Any]


def clipping_of(config: Any) -> Clip | None:
    """Returns what is done to an array of rewards, as `clip_rewards` says; None where they stay."""
    given = config.clip_rewards
    if given is None:
        given = bool(config.is_atari)
    if given is False:
        return None
    if given is True:
        return np.sign
    low, high = given if isinstance(given, list | tuple) else (-given, given)
    return lambda rewards: np.clip(rewards, low, high)


def clip_rewards(episodes: Sequence[Any], clip: Clip) -> None:
    """Changes the rewards of episodes of one agent or several."""
    for episode in episodes:
        for one in getattr(episode, "agent_episodes", {"": episode}).values():
            if len(one):
                one.set_rewards(new_data=clip(np.asarray(one.get_rewards())))
