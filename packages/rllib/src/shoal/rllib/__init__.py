"""Reinforcement learning that is fast, readable and repeatable. RLlib's API. What is here is imported when it is first used."""

from __future__ import annotations

from shoal.rllib._internal.version import __version__ as __version__
