"""What algorithms need that learn from a replay buffer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from torch import nn

from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.core.columns import Columns
from shoal.rllib.utils import replay_buffers
from shoal.rllib.utils.error import ConfigError, close_matches

_OF_SEVERAL_AGENTS = {
    "EpisodeReplayBuffer": "MultiAgentEpisodeReplayBuffer",
    "PrioritizedEpisodeReplayBuffer": "MultiAgentPrioritizedEpisodeReplayBuffer",
}
_OF_SAMPLING = ("type", "beta")  # settings that the buffer's constructor does not know


def buffer_of(config: Any, settings: Mapping[str, Any], *, seed: int | None) -> Any:
    """The buffer that `replay_buffer_config` describes.

    Raises:
        ConfigError: (a ValueError) there is no such type, or it cannot be made with the settings.
    """
    kind: Any = settings.get("type", "EpisodeReplayBuffer")
    if isinstance(kind, str):
        if config.is_multi_agent:
            kind = _OF_SEVERAL_AGENTS.get(kind, kind)
        if kind not in replay_buffers.__all__:
            raise ConfigError(
                f"replay_buffer_config has the type {kind!r}; give a class, or one of {', '.join(replay_buffers.__all__)}."
                f"{close_matches(kind, replay_buffers.__all__)}"
            )
        kind = getattr(replay_buffers, kind)
    given = {name: value for name, value in settings.items() if name not in _OF_SAMPLING}
    if "alpha" not in _parameters(kind):
        given.pop("alpha", None)  # a default of buffers with priorities
    known = _parameters(kind) - {"self", "args", "kwargs"}
    strange = [name for name in given if name not in known]
    if strange and issubclass(kind, replay_buffers.EpisodeReplayBuffer | replay_buffers.MultiAgentEpisodeReplayBuffer):
        raise ConfigError(
            f"replay_buffer_config has {strange[0]!r}, which {kind.__name__} does not take.{close_matches(strange[0], known)}"
        )
    if seed is not None and "seed" in _parameters(kind):
        given["seed"] = seed
    try:
        return kind(**given)
    except TypeError as error:
        raise ConfigError(f"replay_buffer_config: {error}") from error


def _parameters(kind: Any) -> set[str]:
    found: set[str] = set()
    for cls in kind.__mro__:
        if "__init__" in vars(cls):
            found.update(inspect.signature(cls.__init__).parameters)
    return found


def columns_by_module(columns: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A buffer's columns by module: those of a buffer of one agent are the default module's."""
    return {DEFAULT_MODULE_ID: columns} if Columns.OBS in columns else columns


def sample_and_train_rounds(config: Any) -> tuple[int, int]:
    """How often fragments are sampled, and how often batches are learned from, in one training step.

    They come as near to `training_intensity` as small numbers do: steps learned from, for each step sampled.
    """
    if config.training_intensity is None:
        return 1, 1
    sampled = config.get_rollout_fragment_length() * config.num_envs_per_env_runner * max(config.num_env_runners, 1)
    batches = Fraction(config.training_intensity * sampled / config.total_train_batch_size)
    if batches >= 1:
        return 1, round(batches)
    return math.ceil(1 / batches), 1


def share_weights(learner_group: Any, env_runner_group: Any) -> Any:
    """Has the only runner act by the only learner's own tensors, where both are in this process and nothing else is to be kept alike.

    A gradient for every step or two would otherwise have its weights copied as often.

    Returns:
        The runner's module; None where weights have to travel.
    """
    learner, runner = learner_group._learner, env_runner_group.local_env_runner
    if learner is None or runner is None or env_runner_group.num_remote_env_runners():
        return None
    module = getattr(runner, "module", None)
    if not isinstance(module, nn.Module) or list(learner.module.keys()) != [DEFAULT_MODULE_ID]:
        return None
    trained = learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict(keep_vars=True)
    own = module.state_dict(keep_vars=True)
    if any(name not in trained or trained[name].device != tensor.device for name, tensor in own.items()):
        return None
    for name, tensor in own.items():
        tensor.data = trained[name].data
    return module
