"""What the default modules' networks look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from shoal.rllib.utils.error import ConfigError, UnknownSettingError, close_matches

ACTIVATIONS = ("relu", "tanh", "elu", "silu", "swish", "gelu", "sigmoid", "leaky_relu", "linear", "mish", "softplus")

_OWN_MODULE = "write a module of your own (a TorchRLModule), and give it by rl_module(rl_module_spec=RLModuleSpec(module_class=...))"
_WRAPPER = "frames are prepared by wrappers of the environment, such as wrap_atari_for_new_api_stack"
_INSTEAD = {
    "custom_": _OWN_MODULE,
    "use_attention": f"use_lstm=True gives a memory; for attention, {_OWN_MODULE}",
    "attention_": f"use_lstm=True gives a memory; for attention, {_OWN_MODULE}",
    "framestack": _WRAPPER,
    "dim": _WRAPPER,
    "grayscale": _WRAPPER,
    "zero_mean": _WRAPPER,
}
"""By the beginnings of names that networks of Ray's old API stack had, what there is instead."""
_ASKS_FOR_WHAT_IS = ("uses_new_env_runners",)
"""Marks of Ray's that say what is so anyway."""
_OLD_PARTS = {
    "post_fcnet_": "head_fcnet_",
    "cnn_filter_specifiers": "conv_filters",
    "_weights_initializer": "_kernel_initializer",
    "_initializer_config": "_initializer_kwargs",
}
"""Parts of names that settings had in Ray's old API stack, and have now."""


@dataclass
class DefaultModelConfig:
    """The networks of default modules. Modules of your own take a dict of whatever they need instead.

    Args:
        fcnet_hiddens: sizes of the encoder's layers.
        fcnet_activation: "tanh", "relu", "elu", "silu", "gelu", "sigmoid", "leaky_relu", "mish", "softplus" or "linear".
        fcnet_kernel_initializer: how weights start: a name of `torch.nn.init` (such as "orthogonal_"), or a function of a
            tensor; None for torch's own.
        fcnet_use_layernorm: whether a LayerNorm follows each layer.
        conv_filters: for images: `[channels, kernel, stride]` or `[channels, kernel, stride, padding]` of each layer, where the padding
            is "same" (without one, too), "valid", or how many zeros there are at each side; None to suit the size.
        conv_activation: as above.
        head_fcnet_hiddens: sizes of layers between the encoder and each output.
        head_fcnet_activation: as above.
        free_log_std: whether the spread of a Gaussian is a parameter, rather than an output.
        log_std_clip_param: bound of the logarithm of that spread, to both sides.
        vf_share_layers: whether the value function shares the policy's encoder.
        use_lstm: whether an LSTM follows the encoder (which the value function then shares).
        max_seq_len: steps of a sequence in training.
        lstm_cell_size: its size.
        fusionnet_hiddens: sizes of layers that follow where an observation has several parts.
        action_mask_key: the part of an observation that says which discrete actions are allowed. The configuration sets it:
            `environment(action_mask_key=...)`.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
        >>> config = PPOConfig().rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64]))
        >>> config.model_config["fcnet_hiddens"]
        [64, 64]
    """

    fcnet_hiddens: list[int] = field(default_factory=lambda: [256, 256])
    fcnet_activation: str = "tanh"
    fcnet_kernel_initializer: str | Callable[..., Any] | None = None
    fcnet_kernel_initializer_kwargs: dict[str, Any] | None = None
    fcnet_bias_initializer: str | Callable[..., Any] | None = None
    fcnet_bias_initializer_kwargs: dict[str, Any] | None = None
    fcnet_use_layernorm: bool = False

    conv_filters: Sequence[Sequence[Any]] | None = None
    conv_activation: str = "relu"
    conv_kernel_initializer: str | Callable[..., Any] | None = None
    conv_kernel_initializer_kwargs: dict[str, Any] | None = None
    conv_bias_initializer: str | Callable[..., Any] | None = None
    conv_bias_initializer_kwargs: dict[str, Any] | None = None

    head_fcnet_hiddens: list[int] = field(default_factory=list)
    head_fcnet_activation: str = "relu"
    head_fcnet_kernel_initializer: str | Callable[..., Any] | None = None
    head_fcnet_kernel_initializer_kwargs: dict[str, Any] | None = None
    head_fcnet_bias_initializer: str | Callable[..., Any] | None = None
    head_fcnet_bias_initializer_kwargs: dict[str, Any] | None = None
    head_fcnet_use_layernorm: bool = False

    free_log_std: bool = False
    log_std_clip_param: float = 20.0
    vf_share_layers: bool = True

    use_lstm: bool = False
    max_seq_len: int = 20
    lstm_cell_size: int = 256
    lstm_use_prev_action: bool = False
    lstm_use_prev_reward: bool = False
    lstm_kernel_initializer: str | Callable[..., Any] | None = None
    lstm_kernel_initializer_kwargs: dict[str, Any] | None = None
    lstm_bias_initializer: str | Callable[..., Any] | None = None
    lstm_bias_initializer_kwargs: dict[str, Any] | None = None

    fusionnet_hiddens: list[int] = field(default_factory=lambda: [256, 256])
    fusionnet_activation: str = "tanh"
    fusionnet_kernel_initializer: str | Callable[..., Any] | None = None
    fusionnet_kernel_initializer_kwargs: dict[str, Any] | None = None
    fusionnet_bias_initializer: str | Callable[..., Any] | None = None
    fusionnet_bias_initializer_kwargs: dict[str, Any] | None = None

    action_mask_key: str | None = None

    def __post_init__(self) -> None:
        for name in ("fcnet_hiddens", "head_fcnet_hiddens", "fusionnet_hiddens"):
            sizes = getattr(self, name)
            if isinstance(sizes, int) or any(not isinstance(size, int) or size < 1 for size in sizes):
                raise ConfigError(f"model_config's {name} is {sizes!r}; give a list of sizes, each 1 or more")
        for name in ("fcnet_activation", "conv_activation", "head_fcnet_activation", "fusionnet_activation"):
            given = getattr(self, name)
            if given is not None and not callable(given) and str(given).lower() not in ACTIVATIONS:
                raise ConfigError(
                    f"model_config's {name} is {given!r}.{close_matches(str(given), ACTIVATIONS)} There are: {', '.join(ACTIVATIONS)}"
                )
        for name in ("max_seq_len", "lstm_cell_size"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ConfigError(f"model_config's {name} is {getattr(self, name)!r}; give a whole number >= 1")
        for name in ("lstm_use_prev_action", "lstm_use_prev_reward"):
            if getattr(self, name):
                raise ConfigError(
                    f"model_config's {name} is True; put previous actions and rewards into the observation by the connector "
                    "PrevActionsPrevRewards: env_runners(env_to_module_connector=lambda env, spaces, device: PrevActionsPrevRewards())"
                )

    @classmethod
    def of(cls, given: dict[str, Any]) -> DefaultModelConfig:
        """Returns a dict's settings as this. Raises UnknownSettingError."""
        known = {item.name for item in fields(cls)}
        given = {_of_today(name): value for name, value in given.items() if name not in _ASKS_FOR_WHAT_IS}
        for name in given:
            if name not in known:
                instead = next((text for start, text in _INSTEAD.items() if name.startswith(start)), None)
                hint = f": {instead}." if instead else f".{close_matches(name, known)}"
                raise UnknownSettingError(
                    f"model_config has no setting {name!r}{hint} Default modules know: {', '.join(sorted(known))}"
                )
        return cls(**given)


def _of_today(name: str) -> str:
    for old, new in _OLD_PARTS.items():
        name = name.replace(old, new)
    return name


def mask_key(observations: Any, actions: Any, key: str) -> str | None:
    """Returns the key where observations have a mask of single discrete actions under it, otherwise None."""
    import gymnasium as gym

    if not isinstance(observations, gym.spaces.Dict) or not isinstance(actions, gym.spaces.Discrete):
        return None
    mask = observations.spaces.get(key)
    return key if mask is not None and mask.shape == (int(actions.n),) else None
