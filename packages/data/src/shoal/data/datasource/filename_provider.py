"""How the files of a write are called."""

from shoal.data._internal.sinks.filename_provider import FilenameProvider

__all__ = ["FilenameProvider"]
