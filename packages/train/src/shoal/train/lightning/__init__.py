"""PyTorch Lightning (`lightning.pytorch`) in the workers of a TorchTrainer. Importing this does not import lightning."""

from typing import TYPE_CHECKING, Any

from shoal.train.lightning.preparation import prepare_trainer

if TYPE_CHECKING:
    from shoal.train.lightning.environment import RayLightningEnvironment
    from shoal.train.lightning.report_callback import RayTrainReportCallback
    from shoal.train.lightning.strategies import RayDDPStrategy, RayDeepSpeedStrategy, RayFSDPStrategy

__all__ = [
    "RayDDPStrategy",
    "RayDeepSpeedStrategy",
    "RayFSDPStrategy",
    "RayLightningEnvironment",
    "RayTrainReportCallback",
    "prepare_trainer",
]

_HOMES = {
    "RayDDPStrategy": "strategies",
    "RayDeepSpeedStrategy": "strategies",
    "RayFSDPStrategy": "strategies",
    "RayLightningEnvironment": "environment",
    "RayTrainReportCallback": "report_callback",
}


def __getattr__(name: str) -> Any:
    # Classes of lightning's, which load it.
    from importlib import import_module

    home = _HOMES.get(name)
    if home is not None:
        return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
