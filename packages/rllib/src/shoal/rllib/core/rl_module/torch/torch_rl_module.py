"""A module of PyTorch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shoal.rllib._internal.checkpoint_reading import METADATA_FILE
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.core.distribution.distribution import Distribution
from shoal.rllib.core.rl_module.apis.inference_only_api import InferenceOnlyAPI
from shoal.rllib.core.rl_module.rl_module import RLModule
from shoal.rllib.utils.checkpoints import Components
from shoal.rllib.utils.error import CheckpointError, ConfigError

logger = logging.getLogger(__name__)


class TorchRLModule(nn.Module, RLModule):
    """A policy as a `torch.nn.Module`: derive from it, build networks in `setup`, and use them in `_forward`.

    Arguments as of `RLModule`.

    Example:
        >>> import torch
        >>> from shoal.rllib.core.columns import Columns
        >>> from shoal.rllib.core.rl_module.torch import TorchRLModule
        >>> class Linear(TorchRLModule):
        ...     def setup(self):
        ...         self.layer = torch.nn.Linear(self.observation_space.shape[0], self.action_space.n)
        ...     def _forward(self, batch, **kwargs):
        ...         return {Columns.ACTION_DIST_INPUTS: self.layer(batch[Columns.OBS])}
    """

    framework = "torch"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        nn.Module.__init__(self)
        RLModule.__init__(self, *args, **kwargs)

    def forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """As `forward_train`."""
        return self.forward_train(batch, **kwargs)

    def forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            return self._forward_inference(batch, **kwargs)

    def forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            return self._forward_exploration(batch, **kwargs)

    def forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if self.inference_only:
            raise ConfigError(
                f"this {type(self).__name__} was made with inference_only=True, so it has nothing to train"
            )
        return self._forward_train(batch, **kwargs)

    def _distribution_class(self) -> type[Distribution]:
        if self.action_dist_cls is None:
            from shoal.rllib.core.distribution.torch.action_distributions import distribution_class_for

            if self.action_space is None:
                raise ConfigError(
                    f"{type(self).__name__} has no action_space, so there is no distribution for it; set action_dist_cls"
                )
            self.action_dist_cls = distribution_class_for(self.action_space)
        return self.action_dist_cls

    def get_state(
        self,
        components: Components = None,
        *,
        not_components: Components = None,
        inference_only: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns parameters and buffers as arrays, by name; with `inference_only` those alone that actions need."""
        state = {name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}
        if inference_only and not self.inference_only and isinstance(self, InferenceOnlyAPI):
            left_out = tuple(self.get_non_inference_attributes())
            state = {
                name: value
                for name, value in state.items()
                if not any(name == path or name.startswith(f"{path}.") for path in left_out)
            }
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` gave.

        Of a state that has less than this module, as of one that was trained without a value function, all is taken, and a log says what
        stays as it was.

        Raises:
            CheckpointError: the state is another module's, or that of several modules, or parameters have other shapes.
        """
        if several := [name for name, value in state.items() if isinstance(value, Mapping)]:
            raise CheckpointError(
                f"the state is of several modules, {several}, and {type(self).__name__} is one; give that of one of them, as "
                f"state[{several[0]!r}], or the folder {several[0]!r} of the checkpoint"
            )
        given = {name: torch.as_tensor(value) for name, value in state.items()}
        mine = self.state_dict()
        if missing := [name for name in mine if name not in given]:
            if not mine.keys() > given.keys() > set():
                raise CheckpointError(
                    f"the state has no {missing[0]!r}, which {type(self).__name__} has; it has {sorted(given)}"
                )
            if not self.inference_only:
                logger.warning("%s takes a state without %s, which stay as they were", type(self).__name__, missing)
            mine = {name: value for name, value in mine.items() if name in given}
        for name, value in mine.items():
            if given[name].shape != value.shape:
                raise CheckpointError(
                    f"{name!r} of {type(self).__name__} has the shape {tuple(value.shape)}, and {tuple(given[name].shape)} in the state; "
                    "make the module with the same spaces and the same model_config"
                )
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(given[name])

    def restore_from_path(
        self, path: str | os.PathLike[str], *, component: str | None = None, filesystem: Any = None, **kwargs: Any
    ) -> None:
        """As of any checkpoint. Of a folder of several modules the default one is taken, if it is there.

        Raises:
            CheckpointError: (a ValueError) it is no checkpoint, is damaged, or has another module.
        """
        default = Path(path, DEFAULT_MODULE_ID)
        given = default if filesystem is None and (default / METADATA_FILE).is_file() else path
        super().restore_from_path(given, component=component, filesystem=filesystem, **kwargs)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return RLModule.get_ctor_args_and_kwargs(self)
