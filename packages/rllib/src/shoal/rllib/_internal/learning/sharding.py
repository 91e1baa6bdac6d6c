"""Episodes shared out among learners, as evenly as can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def shard(episodes: Sequence[Any], parts: int) -> list[list[Any]]:
    """Returns lists of episodes with as many steps each, give or take one; episodes are cut where parts meet.

    Args:
        episodes: with as many steps as parts, or more.
        parts: how many.
    """
    total = sum(len(episode) for episode in episodes)
    sizes = [total // parts + (index < total % parts) for index in range(parts)]
    shares: list[list[Any]] = [[] for _ in range(parts)]
    index, room = 0, sizes[0]
    for episode in episodes:
        at = 0
        while at < len(episode):
            while room == 0:
                index += 1
                room = sizes[index]
            taken = min(room, len(episode) - at)
            whole = taken == len(episode)
            shares[index].append(episode if whole else episode[at : at + taken])
            at += taken
            room -= taken
    return shares
