"""The actor around an env runner."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import shoal
from shoal.rllib._internal.runners.runner_actors import counted_steps
from shoal.rllib._internal.surroundings import set_log_level

QUESTIONS = "questions"


class EnvRunnerActor:
    """An env runner in a process of its own. Calls come one after the other; questions about them beside them."""

    def __init__(self) -> None:
        self._runner: Any = None
        self._thread: int | None = None
        self._calls = 0

    def set_up(self, cls: type[Any], arguments: dict[str, Any]) -> dict[str, Any]:
        """Makes the runner, and returns its spaces. Not done in __init__: what users' environments raise comes as it is."""
        config = arguments["config"]
        os.environ.update(config.extra_python_environs_for_worker)
        set_log_level(config.log_level)
        import torch

        torch.set_num_threads(1)  # there is a runner for each processor; more threads would get in each other's way
        self._thread = threading.get_ident()
        try:
            self._runner = cls(**arguments)
            spaces: dict[str, Any] = self._runner.get_spaces()
            return spaces
        finally:
            self._thread = None

    @shoal.method(num_returns=2)
    def sample(
        self, weights: dict[str, Any] | None, version: int, timesteps: int | None, arguments: dict[str, Any]
    ) -> Any:
        """Returns episodes, and of them: how many steps they have, as `len` and as batches count, metrics, the version of the weights."""
        self._thread = threading.get_ident()
        self._calls += 1
        try:
            if weights is not None:
                self._runner.set_weights(weights, version)
            if timesteps is not None and hasattr(self._runner, "set_global_timesteps"):
                self._runner.set_global_timesteps(timesteps)
            episodes = self._runner.sample(**arguments)
            counts = counted_steps(self._runner.config, episodes)
            return episodes, (*counts, self._runner.get_metrics(), self._runner.weights_version)
        finally:
            self._thread = None

    def call(
        self, func: str | Callable[..., Any], arguments: dict[str, Any], weights: Any = None, version: int = -1
    ) -> Any:
        """Returns what a method of the runner, or a function of it, returns."""
        self._thread = threading.get_ident()
        self._calls += 1
        try:
            if weights is not None:
                self._runner.set_weights(weights, version)
            if callable(func):
                return func(self._runner, **arguments)
            return getattr(self._runner, func)(**arguments)
        finally:
            self._thread = None

    @shoal.method(concurrency_group=QUESTIONS)
    def where(self) -> tuple[int, str]:
        """Returns a number that grows while the runner gets on, and where it is. Comes while another call runs."""
        runner = self._runner
        progress = self._calls + int(getattr(runner, "progress", 0))
        thread = self._thread
        if thread is None:
            return progress, "It is idle."
        frame = sys._current_frames().get(thread)
        stack = list(traceback.extract_stack(frame)) if frame is not None else []
        while len(stack) > 1 and stack[0].filename != __file__:
            stack.pop(0)
        while len(stack) > 1 and stack[0].filename == __file__:
            stack.pop(0)
        if not stack:
            return progress, "Its thread has ended."
        doing = getattr(runner, "doing", "")
        last = stack[-1]
        at = f"It is in {last.name} ({os.path.basename(last.filename)}, line {last.lineno})"
        return progress, f"{doing}{at}:\n{''.join(traceback.format_list(stack))}"
