"""PyTorch: process groups, models and loaders of a training loop. Importing this does not import torch."""

from shoal.train.torch.devices import get_device, get_devices
from shoal.train.torch.helpers import enable_reproducibility, prepare_data_loader, prepare_model
from shoal.train.torch.mixed_precision import accelerate, backward, prepare_optimizer
from shoal.train.torch.torch_checkpoint import TorchCheckpoint
from shoal.train.torch.torch_config import TorchConfig, TorchftConfig
from shoal.train.torch.torch_predictor import TorchPredictor
from shoal.train.torch.torch_trainer import TorchTrainer
from shoal.train.torch.worker_profiler import TorchWorkerProfiler

__all__ = [
    "TorchCheckpoint",
    "TorchConfig",
    "TorchPredictor",
    "TorchTrainer",
    "TorchWorkerProfiler",
    "TorchftConfig",
    "accelerate",
    "backward",
    "enable_reproducibility",
    "get_device",
    "get_devices",
    "prepare_data_loader",
    "prepare_model",
    "prepare_optimizer",
]
