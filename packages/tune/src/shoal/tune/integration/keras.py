"""Ray's path of Keras's reports. Importing this imports tensorflow."""

from shoal.train.tensorflow.keras import ReportCheckpointCallback as TuneReportCheckpointCallback

__all__ = ["TuneReportCheckpointCallback"]
