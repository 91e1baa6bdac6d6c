"""Actions by way of connector pipelines."""

from __future__ import annotations

from typing import Any

import torch

from shoal.rllib._internal.sampling.module_outputs import check_outputs
from shoal.rllib.core.columns import Columns


class Proposed:
    """Actions for all environments, as lists: as the module made them, as the environments take them, and what else there is for each."""

    __slots__ = ("actions", "extras", "for_env")

    def __init__(self, actions: list[Any], for_env: list[Any], extras: list[dict[str, Any]]) -> None:
        self.actions = actions
        self.for_env = for_env
        self.extras = extras


class PipelineActing:
    """Runs a module between two pipelines.

    Args:
        module: an RLModule.
        env_to_module: from episodes to the module's batch.
        module_to_env: from the module's outputs to lists.
        generator: what modules that explore by themselves draw from.
        metrics: a logger.
    """

    def __init__(
        self, module: Any, env_to_module: Any, module_to_env: Any, generator: torch.Generator, metrics: Any
    ) -> None:
        self._module = module
        self._env_to_module = env_to_module
        self._module_to_env = module_to_env
        self._generator = generator
        self._metrics = metrics
        self._shared: dict[str, Any] = {}
        self.batch: Any = None
        self._checked: set[bool] = set()

    def observe(self, episodes: list[Any], *, explore: bool) -> None:
        """Has connectors see the latest observations, once."""
        self._shared = {}
        self.batch = self._env_to_module(
            episodes=episodes,
            batch={},
            explore=explore,
            rl_module=self._module,
            shared_data=self._shared,
            metrics=self._metrics,
        )

    def act(self, episodes: list[Any], *, explore: bool, timestep: int) -> Proposed:
        """Returns actions for what was observed last."""
        with torch.no_grad():
            if explore:
                outputs = self._module.forward_exploration(self.batch, t=timestep, generator=self._generator)
            else:
                outputs = self._module.forward_inference(self.batch)
        if explore not in self._checked:
            self._checked.add(explore)
            several = hasattr(self._module, "keys")
            for module, own in (
                [(self._module[name], one) for name, one in outputs.items()] if several else [(self._module, outputs)]
            ):
                check_outputs(module, own, explore=explore)
        to_env = self._module_to_env(
            rl_module=self._module,
            batch=dict(outputs),
            episodes=episodes,
            explore=explore,
            shared_data=self._shared,
            metrics=self._metrics,
        )
        actions = to_env.pop(Columns.ACTIONS, [{} for _ in episodes])  # nobody may have been observed
        for_env = to_env.pop(Columns.ACTIONS_FOR_ENV, actions)
        extras = [{key: values[n] for key, values in to_env.items()} for n in range(len(episodes))]
        return Proposed(actions, for_env, extras)

    def get_state(self) -> Any:
        """Returns what was observed last, and what pieces told one another of it."""
        return self.batch, self._shared

    def set_state(self, state: Any) -> None:
        self.batch, self._shared = state
