"""Horovod: not offered; Ray has removed it, too."""

from shoal.train._internal.unsupported import unsupported

_INSTEAD = (
    "use shoal.train.torch.TorchTrainer with prepare_model(), which averages gradients among the workers as Horovod did"
)

HorovodTrainer = unsupported("HorovodTrainer", _INSTEAD)
HorovodConfig = unsupported("HorovodConfig", _INSTEAD)

__all__ = ["HorovodConfig", "HorovodTrainer"]
