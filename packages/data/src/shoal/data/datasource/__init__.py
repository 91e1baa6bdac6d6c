"""Sinks of the program's own."""

from shoal.data.datasource.datasink import (
    BlockBasedFileDatasink as BlockBasedFileDatasink,
)
from shoal.data.datasource.datasink import (
    Datasink as Datasink,
)
from shoal.data.datasource.datasink import (
    FileWriteError as FileWriteError,
)
from shoal.data.datasource.datasink import (
    RowBasedFileDatasink as RowBasedFileDatasink,
)
from shoal.data.datasource.datasink import (
    TaskContext as TaskContext,
)
from shoal.data.datasource.datasink import (
    WriteResult as WriteResult,
)
from shoal.data.datasource.datasink import (
    WriteReturnType as WriteReturnType,
)
from shoal.data.datasource.filename_provider import FilenameProvider as FilenameProvider
from shoal.data.datasource.save_mode import SaveMode as SaveMode
