"""torch/XLA: not offered."""

from shoal.train._internal.unsupported import unsupported

TorchXLAConfig = unsupported("TorchXLAConfig", "use shoal.train.torch.TorchConfig, on CPUs or GPUs")

__all__ = ["TorchXLAConfig"]
