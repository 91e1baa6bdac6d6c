"""Lightning's strategies, in processes that have one device each. Importing this imports lightning.

Lightning finds a process's device by its rank among the devices of one process; here each worker has its own.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy

from shoal.train.context import get_context
from shoal.train.torch import get_device


def _sampler_options() -> dict[str, Any]:
    context = get_context()
    return {"num_replicas": context.get_world_size(), "rank": context.get_world_rank()}


class RayDDPStrategy(DDPStrategy):
    """Data parallel training: each worker has the whole model.

    Args:
        *args: as of `lightning.pytorch.strategies.DDPStrategy`.
        **kwargs: the same.

    Raises:
        RuntimeError: outside of a training loop, when it is used.
    """

    @property
    def root_device(self) -> torch.device:
        """This worker's device."""
        return get_device()

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """How rows are divided among the workers."""
        return _sampler_options()


class RayFSDPStrategy(FSDPStrategy):
    """Fully sharded training: each worker has a part of the model. On GPUs only.

    Args:
        *args: as of `lightning.pytorch.strategies.FSDPStrategy`.
        **kwargs: the same.

    Raises:
        RuntimeError: outside of a training loop, when it is used.
    """

    @property
    def root_device(self) -> torch.device:
        """This worker's device."""
        return get_device()

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """How rows are divided among the workers."""
        return _sampler_options()


class RayDeepSpeedStrategy(DeepSpeedStrategy):
    """Training by DeepSpeed. On GPUs only, and where deepspeed is installed.

    Args:
        *args: as of `lightning.pytorch.strategies.DeepSpeedStrategy`.
        **kwargs: the same.

    Raises:
        ImportError: deepspeed is not installed.
        RuntimeError: outside of a training loop, when it is used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if find_spec("deepspeed") is None:
            raise ImportError("RayDeepSpeedStrategy needs deepspeed: pip install deepspeed")
        super().__init__(*args, **kwargs)

    @property
    def root_device(self) -> torch.device:
        """This worker's device."""
        return get_device()

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """How rows are divided among the workers."""
        return _sampler_options()
