"""PyTorch: process groups, models and loaders of a training loop. Importing this does not import torch."""

from shoal.train.torch.helpers import (
    enable_reproducibility,
    get_device,
    get_devices,
    prepare_data_loader,
    prepare_model,
)
from shoal.train.torch.torch_config import TorchConfig
from shoal.train.torch.torch_trainer import TorchTrainer

__all__ = [
    "TorchConfig",
    "TorchTrainer",
    "enable_reproducibility",
    "get_device",
    "get_devices",
    "prepare_data_loader",
    "prepare_model",
]
