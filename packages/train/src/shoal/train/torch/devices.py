"""The devices of a rank. Imports torch when it is asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import shoal
from shoal.train._internal.process.worker_session import SESSION, Rank

if TYPE_CHECKING:
    import torch


def devices_of(rank: Rank) -> list[torch.device]:
    """Returns a rank's devices: those that the session gave to this worker, as torch numbers them; else by its place on the machine."""
    import torch

    if not torch.cuda.is_available():
        return [torch.device("cpu")]
    own = [str(gpu) for gpu in shoal.get_gpu_ids()] if shoal.is_initialized() else []
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    numbers = [visible.index(gpu) for gpu in own if gpu in visible]
    if not numbers:
        numbers = [rank.local_rank % torch.cuda.device_count()]
    return [torch.device("cuda", number) for number in numbers]


def get_device() -> torch.device:
    """Returns the device of this worker: its first GPU, else the CPU. Raises RuntimeError outside of a training loop."""
    return devices_of(SESSION.running("torch.get_device").rank)[0]


def get_devices() -> list[torch.device]:
    """Returns all devices of this worker. Raises RuntimeError outside of a training loop."""
    return devices_of(SESSION.running("torch.get_devices").rank)
