"""The Trainer of transformers in the workers of a TorchTrainer. Importing this does not import transformers."""

from typing import TYPE_CHECKING, Any

from shoal.train.huggingface.transformers.preparation import prepare_trainer

if TYPE_CHECKING:
    from shoal.train.huggingface.transformers.report_callback import RayTrainReportCallback

__all__ = ["RayTrainReportCallback", "prepare_trainer"]


def __getattr__(name: str) -> Any:
    # A class of transformers', which loads it.
    if name == "RayTrainReportCallback":
        from shoal.train.huggingface.transformers.report_callback import RayTrainReportCallback

        return RayTrainReportCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
