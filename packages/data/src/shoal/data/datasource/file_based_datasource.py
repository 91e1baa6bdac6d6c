"""Reading files of a format of one's own: extend `FileBasedDatasource` and hand it to `read_datasource`."""

from shoal.data._internal.sources.file_datasource import FileBasedDatasource
from shoal.data._internal.sources.listing import FileShuffleConfig

__all__ = ["FileBasedDatasource", "FileShuffleConfig"]
