"""Reading from places of one's own: extend `Datasource` and hand it to `read_datasource`."""

from shoal.data._internal.sources.datasource import Datasource
from shoal.data._internal.sources.source import ReadTask

__all__ = ["Datasource", "ReadTask"]
