"""Ray's older path of Keras's reports. Importing this imports tensorflow."""

from shoal.train.tensorflow.keras import ReportCheckpointCallback

__all__ = ["ReportCheckpointCallback"]
