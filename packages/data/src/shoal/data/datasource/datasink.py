"""Writing to places of one's own: subclass one of these and hand it to `Dataset.write_datasink`."""

from shoal.data._internal.sinks.custom_file_sinks import BlockBasedFileDatasink, RowBasedFileDatasink
from shoal.data._internal.sinks.datasink import Datasink, TaskContext, WriteResult, WriteReturnType
from shoal.data._internal.sinks.errors import FileWriteError

__all__ = [
    "BlockBasedFileDatasink",
    "Datasink",
    "FileWriteError",
    "RowBasedFileDatasink",
    "TaskContext",
    "WriteResult",
    "WriteReturnType",
]
