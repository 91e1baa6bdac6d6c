"""What a write does with what is there already."""

from shoal.data._internal.sinks.save_mode import SaveMode

__all__ = ["SaveMode"]
