"""Reinforcement learning that is fast, readable and repeatable. RLlib's API. What is here is imported when it is first used."""

from __future__ import annotations

from shoal.rllib._internal.version import __version__ as __version__

# Modules that only say what to use instead.
__path__.append(__path__[0] + "/_absent")
