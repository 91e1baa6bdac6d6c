"""Actions of a module without a runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.rllib._internal.learning.episode_batch import to_tensor
from shoal.rllib._internal.nested import map_leaves, stack, unstack
from shoal.rllib._internal.sampling.action_scaling import scaling_for
from shoal.rllib._internal.sampling.answer_checks import check_form
from shoal.rllib._internal.sampling.fused_acting import to_array
from shoal.rllib.core.columns import Columns


def actions_of(module: Any, observations: Mapping[Any, Any], config: Any, explore: bool | None) -> dict[Any, Any]:
    """Returns actions for observations, by their keys, as the environment takes them.

    Args:
        module: without a memory.
        observations: by any keys.
        config: of the algorithm.
        explore: whether actions are drawn, rather than the likeliest. None: as configured.

    Raises:
        EnvError: (a ValueError) an observation has another form than the module's space.
    """
    for key, observation in observations.items():
        check_form(f"the policy is asked about {key!r}", module.observation_space, observation, types_too=False)
    wanted = config.explore if explore is None else explore
    batch = {Columns.OBS: to_tensor(stack(list(observations.values())))}
    out = module.forward_exploration(batch) if wanted else module.forward_inference(batch)
    actions = out.get(Columns.ACTIONS)
    if actions is None:
        kind = module.get_exploration_action_dist_cls() if wanted else module.get_inference_action_dist_cls()
        distribution = kind.from_logits(out[Columns.ACTION_DIST_INPUTS])
        actions = (distribution if wanted else distribution.to_deterministic()).sample()
    scale = scaling_for(module.action_space, normalize=config.normalize_actions, clip=config.clip_actions)
    drawn = map_leaves(to_array, actions)
    return dict(zip(observations, unstack(drawn if scale is None else scale(drawn)), strict=True))
