"""The files of one write task: hidden until all of them are complete, gone if the task fails.

On a file system that can rename, each is written under a hidden name beside its place, and renamed at the end of the task. An object store
cannot rename, and shows an object as soon as it is closed, complete or not: there, a file is encoded first, in memory or on the local
disk, and
then uploaded as it is; an encoder that fails half-way uploads nothing.

When everything in a directory is to be replaced, the hidden names stay until the driver has seen all tasks finish.
"""

from __future__ import annotations

import contextlib
import posixpath
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
from pyarrow import fs

from shoal.data._internal.sinks.datasink import TaskContext
from shoal.data._internal.sinks.errors import naming_file
from shoal.data._internal.sinks.names import temporary_name
from shoal.data._internal.sinks.target import Target
from shoal.data.exceptions import InvalidArgumentError

# Above this an encoded file waits for its upload on the local disk.
_SPOOL_BYTES = 32 << 20
_COPY_BYTES = 4 << 20
_COMPRESSION_BY_EXTENSION = {".bz2": "bz2", ".gz": "gzip", ".lz4": "lz4", ".zst": "zstd"}


@dataclass(frozen=True)
class WrittenFile:
    """A file that a task has written. Paths are relative to the directory of the write.

    Args:
        path: its place.
        staged: where it waits for the driver to put it there; None if it is there.
    """

    path: str
    staged: str | None = None


class TaskFile:
    """One file of a task, open for writing. As a context manager, it is complete when the block ends without an error."""

    def __init__(self, files: TaskFiles, path: str, temporary: str | None) -> None:
        self._files = files
        self.path = path
        """Relative to the directory of the write."""
        self.temporary = temporary
        """Where it is until it is put in its place; None if it is uploaded there."""
        self._spool: _Spool | None = None
        codec = _codec_for(path, files.open_stream_args)
        with naming_file(files.target.file(path)):
            raw = self._open()
        self.stream = pa.CompressedOutputStream(raw, codec) if codec is not None else raw
        """What to write to: a `pyarrow.NativeFile`."""

    def close(self) -> None:
        """Completes the file. In an object store this is the upload."""
        target = self._files.target
        with naming_file(target.file(self.path)):
            self.stream.close()
            if self._spool is not None:
                self._upload(self._spool.file)
        self._files.completed(self)

    def guard(self, action: Callable[..., object], *arguments: object) -> None:
        """Calls something that writes to the stream; an error of the operating system names the file."""
        with naming_file(self._files.target.file(self.path)):
            action(*arguments)

    def abandon(self) -> None:
        """Closes the file without completing it."""
        # The error that made us give up is the one to show, not those that follow from it.
        with contextlib.suppress(OSError, pa.ArrowException, ValueError):
            self.stream.close()
        if self._spool is not None:
            self._spool.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _open(self) -> pa.NativeFile:
        target, arguments = self._files.target, self._files.open_stream_args
        if target.is_object_store:
            self._spool = _Spool()
            return pa.PythonFile(self._spool, mode="w")
        assert self.temporary is not None
        return _open_output(target.filesystem, target.file(self.temporary), arguments)

    def _upload(self, encoded: IO[bytes]) -> None:
        target = self._files.target
        destination = target.file(self.temporary or self.path)
        encoded.seek(0)
        upload = _open_output(target.filesystem, destination, self._files.open_stream_args)
        try:
            shutil.copyfileobj(encoded, upload, _COPY_BYTES)
        except BaseException:
            # To close is all that can be done with it, and that may show an object cut short.
            with contextlib.suppress(OSError):
                upload.close()
                target.filesystem.delete_file(destination)
            raise
        upload.close()
        encoded.close()


class _Spool:
    """An encoded file that waits for its upload. It can be read after the stream that wrote to it has been closed."""

    closed = False

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 # closed after the upload

    def write(self, content: bytes) -> int:
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        """The stream ends here; what it wrote does not."""


class TaskFiles:
    """The files of one attempt of a write task.

    Args:
        target: the directory.
        context: the task.
        open_stream_args: for `pyarrow.fs.FileSystem.open_output_stream`.
        create_directories: whether to create directories of partitions.
        stage: whether files wait for the driver to put them in their places.
    """

    def __init__(
        self,
        target: Target,
        context: TaskContext,
        open_stream_args: Mapping[str, Any],
        *,
        create_directories: bool,
        stage: bool,
    ) -> None:
        self.target = target
        self.open_stream_args = open_stream_args
        self._context = context
        self._attempt = uuid.uuid4().hex[:8]
        self._create_directories = create_directories
        self._stage = stage
        self._directories = {""}
        self._paths: set[str] = set()
        self._open: dict[str, TaskFile] = {}
        self._complete: dict[str, TaskFile] = {}
        self._moved: list[str] = []

    @property
    def count(self) -> int:
        """How many files were begun."""
        return len(self._paths)

    def create(self, name: str, directory: str = "") -> TaskFile:
        """Begins a file.

        Args:
            name: of the file.
            directory: that it is in, relative to that of the write.

        Raises:
            InvalidArgumentError: if the task has such a file already.
            FileWriteError: if it cannot be opened.
        """
        path = posixpath.join(directory, name)
        if path in self._paths:
            raise InvalidArgumentError(
                f"filename_provider: the name {path!r} comes twice in task {self._context.task_index}, so one file would replace the "
                "other. "
                "Use the index of the block or row in it."
            )
        self._ensure_directory(directory)
        temporary = None
        if self._stage or not self.target.is_object_store:
            temporary = posixpath.join(directory, temporary_name(self._context, self._attempt, self.count))
        self._paths.add(path)
        file = self._open[path] = TaskFile(self, path, temporary)
        return file

    def completed(self, file: TaskFile) -> None:
        """A file says that it is complete."""
        del self._open[file.path]
        self._complete[file.path] = file

    def commit(self) -> list[WrittenFile]:
        """Puts all files in their places, or leaves that to the driver if they are staged."""
        assert not self._open, list(self._open)
        written = [WrittenFile(path, file.temporary if self._stage else None) for path, file in self._complete.items()]
        for path, file in self._complete.items():
            if file.temporary is not None and not self._stage:
                with naming_file(self.target.file(path)):
                    self.target.filesystem.move(self.target.file(file.temporary), self.target.file(path))
            if not self._stage:
                self._moved.append(path)
        return written

    def discard(self) -> None:
        """Removes everything that the task has written."""
        for file in self._open.values():
            file.abandon()
        visible = set(self._moved)
        for path, file in {**self._complete, **self._open}.items():
            place: str | None = path
            if path not in visible:
                # An object that was never uploaded is nowhere; one of an earlier run with the same name stays.
                place = file.temporary or (path if path in self._complete else None)
            if place is not None:
                self._remove(place)

    def _remove(self, path: str) -> None:
        # What cannot be removed now, the driver removes by its name. The error to show is the one that brought us here.
        with contextlib.suppress(OSError):
            self.target.filesystem.delete_file(self.target.file(path))

    def _ensure_directory(self, directory: str) -> None:
        if directory in self._directories:
            return
        if self._create_directories and not self.target.is_object_store:
            with naming_file(self.target.file(directory)):
                self.target.filesystem.create_dir(self.target.file(directory), recursive=True)
        self._directories.add(directory)


def _open_output(filesystem: fs.FileSystem, path: str, arguments: Mapping[str, Any]) -> pa.NativeFile:
    others = {name: value for name, value in arguments.items() if name != "compression"}
    return filesystem.open_output_stream(path, compression=None, **others)


def _codec_for(path: str, arguments: Mapping[str, Any]) -> str | None:
    """The compression that is asked for, or that the final name tells: the hidden name would tell nothing."""
    compression = arguments.get("compression", "detect")
    if compression != "detect":
        return compression  # type: ignore[no-any-return]
    return _COMPRESSION_BY_EXTENSION.get(posixpath.splitext(path)[1])
