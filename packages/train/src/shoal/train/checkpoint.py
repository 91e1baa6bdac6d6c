"""A folder of a training run's state."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs

_METADATA = ".metadata.json"


class Checkpoint:
    """A folder with the state of a training run, on this machine or elsewhere.

    Args:
        path: of the folder, or its URI.
        filesystem: of pyarrow; None to find it by the path.

    Example:
        >>> import tempfile
        >>> from shoal.train import Checkpoint
        >>> folder = tempfile.mkdtemp()
        >>> _ = open(folder + "/weights", "w").write("1 2 3")
        >>> with Checkpoint.from_directory(folder).as_directory() as path:
        ...     print(open(path + "/weights").read())
        1 2 3
    """

    def __init__(self, path: str | os.PathLike[str], filesystem: fs.FileSystem | None = None) -> None:
        self.path = os.fspath(path)
        if filesystem is None:
            filesystem, self.path = located(self.path)
        self.filesystem = filesystem

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Returns the checkpoint that a local folder is."""
        return cls(os.path.abspath(os.fspath(path)), fs.LocalFileSystem())

    @contextmanager
    def as_directory(self) -> Iterator[str]:
        """Gives a local path to its files: the folder itself where it is local (change nothing in it), else a copy that goes afterwards."""
        if isinstance(self.filesystem, fs.LocalFileSystem):
            yield self.path
            return
        copy = tempfile.mkdtemp(prefix="shoal-checkpoint-")
        try:
            yield self.to_directory(copy)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def to_directory(self, path: str | os.PathLike[str] | None = None) -> str:
        """Copies its files to a local folder, which is made where it is not there, and returns the folder's path."""
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
        """Stores facts (JSON) beside the files."""
        with self.filesystem.open_output_stream(f"{self.path}/{_METADATA}") as stream:
            stream.write(json.dumps(dict(metadata)).encode())

    def update_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Adds to what is stored."""
        self.set_metadata(self.get_metadata() | dict(metadata))

    def __repr__(self) -> str:
        return f"Checkpoint(filesystem={self.filesystem.type_name}, path={self.path})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and (self.path, self.filesystem) == (other.path, other.filesystem)

    def __hash__(self) -> int:
        return hash(self.path)


def located(path: str) -> tuple[fs.FileSystem, str]:
    """Returns the file system of a path or URI, and the path in its terms."""
    if "://" not in path:
        return fs.LocalFileSystem(), str(Path(path).expanduser().absolute())
    found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(path)
    return found
