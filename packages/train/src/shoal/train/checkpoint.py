"""A folder of a training run's state."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs

from shoal.train._internal.process.shared_download import shared_download
from shoal.train.exceptions import InvalidArgumentError

_METADATA = ".metadata.json"


class Checkpoint:
    """A folder with the state of a training run, on this machine or elsewhere. Picklable; it holds the place, not the files.

    Args:
        path: of the folder, or its URI (`s3://bucket/folder`).
        filesystem: of pyarrow or fsspec; None to find it by the path.

    Raises:
        InvalidArgumentError: (a ValueError) the path is none, or its scheme is unknown.

    Example:
        >>> import tempfile
        >>> from shoal.train import Checkpoint
        >>> folder = tempfile.mkdtemp()
        >>> _ = open(folder + "/weights", "w").write("1 2 3")
        >>> with Checkpoint.from_directory(folder).as_directory() as path:
        ...     print(open(path + "/weights").read())
        1 2 3
    """

    def __init__(self, path: str | os.PathLike[str], filesystem: Any = None) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise InvalidArgumentError(f"path is {path!r}; give a folder or a URI")
        self.path = os.fspath(path)
        if filesystem is None:
            filesystem, self.path = located(self.path)
        self.filesystem: fs.FileSystem = as_arrow(filesystem)

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Returns the checkpoint that a local folder is."""
        return cls(os.path.abspath(os.fspath(path)), fs.LocalFileSystem())

    @contextmanager
    def as_directory(self) -> Iterator[str]:
        """Gives a local path to its files: the folder itself where it is local (change nothing in it), else a copy that goes afterwards.

        Processes of one machine that read the same remote checkpoint at the same time share one copy.
        """
        if isinstance(self.filesystem, fs.LocalFileSystem):
            yield self.path
            return
        with shared_download(f"{pickle.dumps(self.filesystem)!r}:{self.path}", self.to_directory) as copy:
            yield copy

    def to_directory(self, path: str | os.PathLike[str] | None = None) -> str:
        """Copies its files to a local folder, which is made where it is not there, and returns the folder's path.

        Args:
            path: of the folder; None for a new one in the folder of temporary files.

        Raises:
            OSError: the files are not there, or could not be read or written.
        """
        if self.filesystem.get_file_info(self.path).type == fs.FileType.NotFound:
            raise FileNotFoundError(f"the checkpoint {self.path!r} is not there ({self.filesystem.type_name})")
        target = os.fspath(path) if path is not None else tempfile.mkdtemp(prefix="shoal-checkpoint-")
        os.makedirs(target, exist_ok=True)
        fs.copy_files(self.path, target, source_filesystem=self.filesystem, destination_filesystem=fs.LocalFileSystem())
        return target

    def get_metadata(self) -> dict[str, Any]:
        """Returns what `set_metadata` stored."""
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{_METADATA}") as stream:
                found: dict[str, Any] = json.loads(stream.read())
        except FileNotFoundError:
            return {}
        return found

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Stores facts (JSON) beside the files, in place of those that were there."""
        with self.filesystem.open_output_stream(f"{self.path}/{_METADATA}") as stream:
            stream.write(json.dumps(dict(metadata)).encode())

    def update_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Adds to what is stored."""
        self.set_metadata(self.get_metadata() | dict(metadata))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(filesystem={self.filesystem.type_name}, path={self.path})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and (self.path, self.filesystem) == (other.path, other.filesystem)

    def __hash__(self) -> int:
        return hash(self.path)


def located(path: str) -> tuple[fs.FileSystem, str]:
    """Returns the file system of a path or URI, and the path in its terms. Raises InvalidArgumentError for an unknown scheme."""
    if "://" not in path:
        return fs.LocalFileSystem(), str(Path(path).expanduser().absolute())
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(path)
    except (ValueError, NotImplementedError):
        return _by_fsspec(path)
    return found


def as_arrow(filesystem: Any) -> fs.FileSystem:
    """Returns a file system of pyarrow for one of pyarrow or fsspec."""
    if isinstance(filesystem, fs.FileSystem):
        return filesystem
    if not hasattr(filesystem, "protocol"):
        raise InvalidArgumentError(f"the file system is {filesystem!r}; give one of pyarrow or fsspec, or None")
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem))


def _by_fsspec(path: str) -> tuple[fs.FileSystem, str]:
    import fsspec

    try:
        filesystem, inside = fsspec.core.url_to_fs(path)
    except (ValueError, ImportError) as error:
        raise InvalidArgumentError(f"the path is {path!r}, and its file system is not there: {error}") from error
    return as_arrow(filesystem), str(inside)
