"""Results for TensorBoard."""

from shoal.air.integrations.tensorboard import TBXLoggerCallback

__all__ = ["TBXLoggerCallback"]
