"""Runtime environments: the files, packages and variables that tasks and actors run with."""

from __future__ import annotations

from shoal._core.api.runtime_env import RuntimeEnv, RuntimeEnvConfig

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
