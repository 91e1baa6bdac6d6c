"""Sources of formats that are read from the beginning of a file to its end: no footer, no splitting."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from typing import Any

import pyarrow as pa
from pyarrow import fs

from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import FileReadError, InvalidArgumentError

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*://")


@dataclass(frozen=True)
class StreamFile:
    """A file to read.

    Args:
        path: in the terms of the file system.
        size_bytes: on the disk.
    """

    path: str
    size_bytes: int


class StreamSource(Source):
    """Reads whole files, each from its beginning to its end.

    Args:
        paths: files and directories, local or as URIs; directories are searched at any depth, for files that are not hidden.
        file_extensions: only such files are read, without dots; None for all.
        filesystem: a `pyarrow.fs.FileSystem`; None to find it by the first path.
        arrow_open_stream_args: for `FileSystem.open_input_stream`: 'compression', 'buffer_size' in bytes.
        ignore_missing_paths: whether paths where there is nothing are passed over.

    Raises:
        FileReadError: if there is nothing at a path, or no file at all.
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        file_extensions: Sequence[str] | None,
        filesystem: fs.FileSystem | None = None,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        ignore_missing_paths: bool = False,
    ) -> None:
        self._filesystem, self._files, _ = listed_files(paths, file_extensions, filesystem, ignore_missing_paths)
        self._open_args = dict(arrow_open_stream_args or {})

    @abstractmethod
    def reader(self) -> Callable[[Any, str], Iterator[pa.Table]]:
        """What yields the tables of a file, given an open stream and the path. Picklable."""

    def schema(self) -> pa.Schema | None:
        """Not known without reading."""
        return None

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        """Neighbouring files, of about as many bytes, in each task."""
        schema, tasks = self.schema(), []
        for files in _shares(self._files, parallelism):
            paths = [file.path for file in files]
            metadata = BlockMetadata(
                num_rows=None, size_bytes=sum(file.size_bytes for file in files), input_files=paths
            )
            read = partial(_read_files, self._filesystem, paths, self._open_args, self.reader())
            tasks.append(ReadTask(read, metadata, schema))
        return tasks

    def size_bytes(self) -> int | None:
        """As on the disk."""
        return sum(file.size_bytes for file in self._files)

    def input_files(self) -> list[str]:
        """Paths of the files, in the order of reading."""
        return [file.path for file in self._files]


def listed_files(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    file_extensions: Sequence[str] | None,
    filesystem: fs.FileSystem | None,
    ignore_missing_paths: bool,
) -> tuple[fs.FileSystem, list[StreamFile], str]:
    """Returns the file system of paths, the files there, and the path below which all of them lie.

    Raises:
        FileReadError: there is nothing at a path, or no file at all.
        InvalidArgumentError: no path is given, or one that is not understood.
    """
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not listed:
        raise InvalidArgumentError(f"paths={paths!r}: name at least one file or directory.")
    found, plain = _resolved([os.fspath(path) for path in listed], filesystem)
    files = _listed(found, plain, file_extensions, ignore_missing_paths)
    return found, files, plain[0] if len(plain) == 1 else ""


def _read_files(
    filesystem: fs.FileSystem,
    paths: Sequence[str],
    open_args: Mapping[str, Any],
    read: Callable[[Any, str], Iterator[pa.Table]],
) -> Iterator[pa.Table]:
    for path in paths:
        try:
            stream = filesystem.open_input_stream(path, **open_args)
        except OSError as error:
            raise FileReadError(f"{path}: {error}") from error
        with stream:
            yield from read(stream, path)


def _resolved(paths: Sequence[str], filesystem: fs.FileSystem | None) -> tuple[fs.FileSystem, list[str]]:
    plain = []
    for path in paths:
        if not _SCHEME.match(path):
            local = filesystem is None or isinstance(filesystem, fs.LocalFileSystem)
            plain.append(os.path.abspath(os.path.expanduser(path)) if local else path)
            filesystem = filesystem or fs.LocalFileSystem()
        elif filesystem is None:
            try:
                filesystem, inside = fs.FileSystem.from_uri(path)
            except pa.ArrowInvalid as error:
                raise InvalidArgumentError(f"paths: {path!r}: {error}") from error
            plain.append(inside)
        else:
            plain.append(_SCHEME.sub("", path))
    return filesystem, plain


def _listed(
    filesystem: fs.FileSystem, paths: Sequence[str], extensions: Sequence[str] | None, ignore_missing: bool
) -> list[StreamFile]:
    files: list[StreamFile] = []
    for info in filesystem.get_file_info(list(paths)):
        if info.type is fs.FileType.NotFound:
            if not ignore_missing:
                raise FileReadError(f"{info.path}: there is no such file or directory.")
        elif info.type is fs.FileType.Directory:
            inside = filesystem.get_file_info(fs.FileSelector(info.path, recursive=True))
            found = [entry for entry in inside if entry.is_file and _is_visible(entry.path[len(info.path) :])]
            found.sort(key=lambda entry: entry.path)
            files += [
                StreamFile(entry.path, entry.size or 0) for entry in found if _has_extension(entry.path, extensions)
            ]
        elif _has_extension(info.path, extensions):
            files.append(StreamFile(info.path, info.size or 0))
    if not files:
        wanted = f" with the extensions {list(extensions)}" if extensions is not None else ""
        raise FileReadError(f"{', '.join(paths)}: there are no files{wanted}. Pass file_extensions=None to read all.")
    return files


def _shares(files: Sequence[StreamFile], parallelism: int) -> Iterator[Sequence[StreamFile]]:
    """Yields runs of files: at most `parallelism`, of about as many bytes each."""
    # The one byte more lets empty files count, too.
    ends = list(accumulate(file.size_bytes + 1 for file in files))
    middles = [end - (file.size_bytes + 1) / 2 for end, file in zip(ends, files, strict=True)]
    share_of = [int(middle * parallelism / ends[-1]) for middle in middles]
    for _, run in groupby(range(len(files)), key=share_of.__getitem__):
        yield [files[index] for index in run]


def _is_visible(relative: str) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.strip("/").split("/"))


def _has_extension(path: str, extensions: Sequence[str] | None) -> bool:
    return extensions is None or path.lower().endswith(tuple(f".{extension.lower()}" for extension in extensions))
