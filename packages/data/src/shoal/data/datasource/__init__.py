"""Sources and sinks of the program's own, and which files are read and how they are called."""

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
from shoal.data.datasource.datasource import Datasource as Datasource
from shoal.data.datasource.datasource import ReadTask as ReadTask
from shoal.data.datasource.file_based_datasource import FileBasedDatasource as FileBasedDatasource
from shoal.data.datasource.file_based_datasource import FileShuffleConfig as FileShuffleConfig
from shoal.data.datasource.filename_provider import FilenameProvider as FilenameProvider
from shoal.data.datasource.partitioning import Partitioning as Partitioning
from shoal.data.datasource.partitioning import PartitionStyle as PartitionStyle
from shoal.data.datasource.partitioning import PathPartitionFilter as PathPartitionFilter
from shoal.data.datasource.partitioning import PathPartitionParser as PathPartitionParser
from shoal.data.datasource.save_mode import SaveMode as SaveMode
