"""Actions for all environments at once, from rows of observations: what the default connectors do, in one go."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch

from shoal.rllib._internal.nested import map_leaves
from shoal.rllib._internal.sampling.action_scaling import scaling_for
from shoal.rllib._internal.sampling.module_outputs import check_outputs
from shoal.rllib.core.columns import Columns

_NOT_KEPT = frozenset({Columns.ACTIONS, Columns.ACTIONS_FOR_ENV})


class Acted:
    """What acting brought: actions as the module made them, as the environments take them, and what else the module gave."""

    __slots__ = ("actions", "extras", "for_env")

    def __init__(self, actions: Any, for_env: Any, extras: dict[str, Any]) -> None:
        self.actions = actions
        self.for_env = for_env
        self.extras = extras


class FusedActing:
    """Runs a module on rows of observations.

    Args:
        module: an RLModule.
        action_space: of one action, as the environments take it.
        normalize: whether the module's Box actions are in [-1, 1].
        clip: whether Box actions are cut at their bounds.
        n: how many environments.
        generator: what actions are drawn from.
    """

    def __init__(
        self,
        module: Any,
        action_space: gym.Space[Any],
        *,
        normalize: bool,
        clip: bool,
        n: int,
        generator: torch.Generator,
    ) -> None:
        self._module = module
        self._scaling = scaling_for(action_space, normalize=normalize, clip=clip)
        self._n = n
        self._generator = generator
        self.stateful = bool(module.is_stateful())
        self.states: Any = self._initial_states() if self.stateful else None
        self._exploration = module.get_exploration_action_dist_cls
        self._inference = module.get_inference_action_dist_cls
        self._classes: dict[bool, Any] = {}
        self._checked: set[bool] = set()

    def reset(self, n: int | None = None) -> None:
        """An episode starts in environment n, or in all."""
        if not self.stateful:
            return
        initial = self._initial_states()
        if n is None:
            self.states = initial
            return
        self.states = map_leaves(lambda leaf: leaf.clone(), self.states)

        def put(into: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
            into[n] = first[n]
            return into

        self.states = map_leaves(put, self.states, initial)

    def act(self, observations: Any, *, explore: bool, timestep: int) -> Acted:
        """Returns actions for rows of observations.

        Args:
            observations: a tree of arrays of shape (environments, ...).
            explore: whether actions are drawn, rather than the likeliest.
            timestep: how many steps all runners have sampled; schedules of exploration go by it.
        """
        batch: dict[str, Any] = {Columns.OBS: map_leaves(to_tensor, observations)}
        if self.stateful:
            batch[Columns.OBS] = map_leaves(lambda leaf: leaf.unsqueeze(1), batch[Columns.OBS])
            batch[Columns.STATE_IN] = self.states
        # These entry points of modules record no gradients, so that what is made of their outputs needs none either.
        if explore:
            outputs = self._module.forward_exploration(batch, t=timestep, generator=self._generator)
        else:
            outputs = self._module.forward_inference(batch)
        if explore not in self._checked:
            self._checked.add(explore)
            check_outputs(self._module, outputs, explore=explore)
        extras: dict[str, Any] = {}
        if self.stateful:
            state_out = outputs.pop(Columns.STATE_OUT)
            outputs = {key: map_leaves(lambda leaf: leaf.squeeze(1), value) for key, value in outputs.items()}
            self.states = state_out
            extras[Columns.STATE_OUT] = map_leaves(to_array, state_out)
        actions = outputs.get(Columns.ACTIONS)
        if actions is None:
            distribution = self.distribution(outputs[Columns.ACTION_DIST_INPUTS], explore)
            actions = (
                distribution.sample(generator=self._generator) if explore else distribution.to_deterministic().sample()
            )
        for key, value in outputs.items():
            if key not in _NOT_KEPT:
                extras[key] = map_leaves(to_array, value)
        drawn = map_leaves(to_array, actions)
        given = outputs.get(Columns.ACTIONS_FOR_ENV)
        if given is not None:
            return Acted(drawn, map_leaves(to_array, given), extras)
        return Acted(drawn, drawn if self._scaling is None else self._scaling(drawn), extras)

    def distribution(self, inputs: torch.Tensor, explore: bool) -> Any:
        """Returns the distribution over actions that a module's outputs tell of."""
        cls = self._classes.get(explore)
        if cls is None:
            cls = self._classes[explore] = self._exploration() if explore else self._inference()
        return cls.from_logits(inputs)

    def log_probabilities(self, inputs: Any, actions: Any, explore: bool) -> Any:
        """Returns the logarithms of how likely actions were, for many rows at once; zeros where they were not drawn."""
        rows = inputs.shape[:-1]
        if not explore:
            return np.zeros(rows, np.float32)
        flat = torch.from_numpy(np.ascontiguousarray(inputs.reshape(-1, inputs.shape[-1])))
        drawn = map_leaves(
            lambda leaf: torch.from_numpy(np.ascontiguousarray(leaf.reshape(-1, *leaf.shape[len(rows) :]))), actions
        )
        with torch.no_grad():
            logp: Any = self.distribution(flat, explore).logp(drawn).numpy()
        return logp.reshape(rows)

    def get_state(self) -> Any:
        """Returns the states of a stateful module, as arrays."""
        return None if self.states is None else map_leaves(to_array, self.states)

    def set_state(self, state: Any) -> None:
        if state is not None:
            self.states = map_leaves(lambda leaf: torch.from_numpy(np.array(leaf)), state)

    def _initial_states(self) -> Any:
        state = self._module.get_initial_state()
        return map_leaves(
            lambda leaf: torch.as_tensor(leaf).unsqueeze(0).repeat(self._n, *[1] * torch.as_tensor(leaf).ndim), state
        )


def to_tensor(leaf: Any) -> torch.Tensor:
    """Returns an array as a tensor: float64 as float32, anything else as it is."""
    if leaf.dtype == np.float64:
        leaf = leaf.astype(np.float32)
    elif not leaf.flags.writeable or leaf.dtype in (np.uint16, np.uint32, np.uint64):
        leaf = np.array(leaf, dtype=np.int64 if leaf.dtype in (np.uint16, np.uint32, np.uint64) else leaf.dtype)
    return torch.from_numpy(leaf)


def to_array(leaf: Any) -> Any:
    return leaf.detach().cpu().numpy() if isinstance(leaf, torch.Tensor) else np.asarray(leaf)
