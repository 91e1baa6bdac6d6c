"""Looking for files: directories at any depth, patterns, extensions, partitions; and the order in which files are read."""

from __future__ import annotations

import hashlib
import posixpath
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from typing import Any, Literal, TypeAlias, TypedDict

import pyarrow as pa
from pyarrow import fs

from shoal.data._internal.sources.errors import FilesNotFoundError
from shoal.data._internal.sources.partitioning import (
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    PathPartitionParser,
)
from shoal.data._internal.sources.paths import Paths, has_pattern, resolve_paths
from shoal.data.exceptions import InvalidArgumentError

ErrorPolicy: TypeAlias = Literal["raise", "skip"]


@dataclass(frozen=True)
class FileShuffleConfig:
    """In which order files are read.

    Args:
        seed: of the order; None for one that nobody can tell before, another in each run.
        reseed_after_execution: whether each run has another order (the first one is told by `seed`, and so are the others).

    Example:
        >>> from shoal.data.datasource import FileShuffleConfig
        >>> FileShuffleConfig(seed=42, reseed_after_execution=False)
        FileShuffleConfig(seed=42, reseed_after_execution=False)
    """

    seed: int | None = None
    reseed_after_execution: bool = True

    def __post_init__(self) -> None:
        if self.seed is not None and type(self.seed) is not int:
            raise InvalidArgumentError(f"seed={self.seed!r}: use an integer, or None.")


FileShuffle: TypeAlias = Literal["files"] | FileShuffleConfig | None


class ListingArguments(TypedDict, total=False):
    """Arguments that the sources of all formats have. See `FileSource`."""

    filesystem: Any
    arrow_open_stream_args: dict[str, Any] | None
    partition_filter: PathPartitionFilter | None
    partitioning: Partitioning | None
    include_paths: bool
    ignore_missing_paths: bool
    shuffle: FileShuffle
    on_error: ErrorPolicy


@dataclass(frozen=True)
class FoundFile:
    """A file to read.

    Args:
        path: in the terms of its file system.
        size_bytes: on the disk; 0 where that is not known.
        values: of the columns in its path.
    """

    path: str
    size_bytes: int
    values: dict[str, Any] = field(default_factory=dict, hash=False)


class RunCounter:
    """Counts runs. Shared by all sources that come from one, as each run has a source of its own."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> int:
        """Returns the number of this run, from 0 on."""
        self._count += 1
        return self._count - 1


@dataclass(frozen=True)
class FileSet:
    """Files to read, in order. Picklable.

    Args:
        filesystem: that they are in.
        files: in the order of their paths.
        value_fields: the columns in their paths.
        shuffle: of the order; None to keep it.
        runs: how often they have been put in order.
    """

    filesystem: fs.FileSystem
    files: tuple[FoundFile, ...]
    value_fields: pa.Schema
    shuffle: FileShuffleConfig | None = None
    runs: RunCounter = field(default_factory=RunCounter, compare=False, repr=False)

    @staticmethod
    def found(
        paths: Paths,
        *,
        filesystem: Any = None,
        file_extensions: Sequence[str] | None = None,
        partitioning: Partitioning | None = None,
        partition_filter: PathPartitionFilter | None = None,
        ignore_missing_paths: bool = False,
        shuffle: FileShuffle = None,
        skip_paths: Paths | None = None,
    ) -> FileSet:
        """Looks for files.

        Args:
            paths: files, directories and patterns (`*`, `?`, `[…]` within a name, `**` for directories at any depth). Files of a directory
                or pattern come in the order of their paths; names that begin with `.` or `_` are passed over.
            filesystem: of pyarrow or fsspec; None to find it by the first path.
            file_extensions: only files with these; None for all.
            partitioning: which directories are columns; None for none.
            partition_filter: which files are read; None for all.
            ignore_missing_paths: whether paths where there is nothing are passed over.
            shuffle: None, 'files' or a `FileShuffleConfig`.
            skip_paths: files that are passed over, and directories whose files are.

        Raises:
            FilesNotFoundError: if there is nothing at a path, or no such file at all.
            InvalidArgumentError: if an argument has a value that it cannot have.
        """
        extensions = _checked_extensions(file_extensions)
        order = _checked_shuffle(shuffle)
        parser = PathPartitionParser(partitioning) if partitioning is not None else None
        if partition_filter is not None and not isinstance(partition_filter, PathPartitionFilter):
            raise InvalidArgumentError(f"partition_filter={partition_filter!r}: use a PathPartitionFilter.")
        store, plain = resolve_paths(paths, filesystem)
        skipped = tuple(resolve_paths(skip_paths, filesystem)[1]) if skip_paths else ()
        files = []
        seen = 0
        for base, info in _entries(store, plain, ignore_missing_paths):
            seen += 1
            if not _has_extension(info.path, extensions) or any(_is_at(info.path, path) for path in skipped):
                continue
            if partition_filter is not None and not partition_filter.apply(info.path):
                continue
            values = _values(parser, info.path, base) if parser is not None else {}
            files.append(FoundFile(info.path, info.size or 0, values))
        if not files:
            raise _nothing(plain, seen, extensions, partition_filter is not None)
        names = dict.fromkeys(name for file in files for name in file.values)
        fields = pa.schema([(name, parser.scheme.type_of(name)) for name in names] if parser is not None else [])
        return FileSet(store, tuple(files), fields, order)

    def in_order(self) -> FileSet:
        """Returns the files in the order of one run: that of their paths, or a shuffled one."""
        if self.shuffle is None:
            return self
        seed = self.shuffle.seed
        if seed is None:
            drawn = secrets.token_hex(16)
        elif self.shuffle.reseed_after_execution:
            drawn = f"{seed}:{self.runs.next()}"
        else:
            drawn = str(seed)
        # A hash, as it gives the same order with every release of every library.
        places = sorted(range(len(self.files)), key=lambda place: hashlib.blake2b(f"{drawn}:{place}".encode()).digest())
        return replace(self, files=tuple(self.files[place] for place in places), shuffle=None)


def _checked_extensions(extensions: Sequence[str] | None) -> tuple[str, ...] | None:
    if extensions is None:
        return None
    if isinstance(extensions, str) or not all(isinstance(extension, str) for extension in extensions):
        raise InvalidArgumentError(f"file_extensions={extensions!r}: use a list such as ['csv', 'csv.gz'], or None.")
    if not extensions:
        raise InvalidArgumentError("file_extensions=[]: no file has none of no extensions. Use None to read all files.")
    return tuple(extension.lower().removeprefix(".") for extension in extensions)


def _checked_shuffle(shuffle: FileShuffle) -> FileShuffleConfig | None:
    if shuffle is None or isinstance(shuffle, FileShuffleConfig):
        return shuffle
    if shuffle == "files":
        return FileShuffleConfig()
    raise InvalidArgumentError(f"shuffle={shuffle!r}: use 'files', a FileShuffleConfig, or None.")


def _values(parser: PathPartitionParser, path: str, base: str) -> dict[str, Any]:
    scheme = parser.scheme
    if scheme.style is PartitionStyle.DIRECTORY and not scheme.base_dir:
        return parser.parse(path, base)
    return parser(path)


def _entries(
    filesystem: fs.FileSystem, paths: Sequence[str], ignore_missing: bool
) -> Iterator[tuple[str, fs.FileInfo]]:
    """Yields files, with the directory (with a slash) below which each has been found."""
    for path, info in zip(paths, filesystem.get_file_info(list(paths)), strict=True):
        if info.type is fs.FileType.Directory:
            yield from _inside(filesystem, path)
        elif info.type is not fs.FileType.NotFound:
            yield posixpath.dirname(info.path).rstrip("/") + "/", info
        elif has_pattern(path):
            base, *parts = _split_pattern(path)
            # By path, as `**` may find a file by more than one way.
            found: dict[str, fs.FileInfo] = {}
            for match in _matches(filesystem, base, parts):
                if match.type is fs.FileType.Directory:
                    found.update((entry.path, entry) for _, entry in _inside(filesystem, match.path))
                else:
                    found[match.path] = match
            yield from ((base.rstrip("/") + "/", found[file]) for file in sorted(found))
        elif not ignore_missing:
            raise FilesNotFoundError(
                f"{path}: there is no such file or directory. Pass ignore_missing_paths=True to pass over such paths."
            )


def _inside(filesystem: fs.FileSystem, directory: str) -> Iterator[tuple[str, fs.FileInfo]]:
    base = directory.rstrip("/") + "/"
    found = filesystem.get_file_info(fs.FileSelector(directory, recursive=True))
    for info in sorted((entry for entry in found if entry.is_file), key=lambda entry: entry.path):
        relative = info.path.removeprefix(base)
        if not any(map(_is_hidden, relative.split("/"))):
            yield base, info


def _split_pattern(path: str) -> list[str]:
    """The directory before the first pattern, and the parts from there on."""
    parts = path.split("/")
    first = next(index for index, part in enumerate(parts) if has_pattern(part))
    return ["/".join(parts[:first]) or ("/" if path.startswith("/") else ""), *parts[first:]]


def _matches(filesystem: fs.FileSystem, base: str, parts: Sequence[str]) -> Iterator[fs.FileInfo]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        if not rest:
            yield from (entry for _, entry in _inside(filesystem, base))
            return
        yield from _matches(filesystem, base, rest)
        for entry in _children(filesystem, base):
            if entry.type is fs.FileType.Directory and not _is_hidden(entry.base_name):
                yield from _matches(filesystem, entry.path, parts)
        return
    matching = re.compile(translate(part)).match
    for entry in _children(filesystem, base):
        name = entry.base_name
        if not matching(name) or (_is_hidden(name) and not part.startswith((".", "_"))):
            continue
        if not rest:
            yield entry
        elif entry.type is fs.FileType.Directory:
            yield from _matches(filesystem, entry.path, rest)


def _children(filesystem: fs.FileSystem, directory: str) -> list[fs.FileInfo]:
    selector = fs.FileSelector(directory, allow_not_found=True)
    return filesystem.get_file_info(selector)  # type: ignore[no-any-return]


def _is_hidden(name: str) -> bool:
    # A partition column may begin with an underscore.
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _is_at(file: str, path: str) -> bool:
    return file == path or file.startswith(path.rstrip("/") + "/")


def _has_extension(path: str, extensions: tuple[str, ...] | None) -> bool:
    return extensions is None or path.lower().endswith(tuple(f".{extension}" for extension in extensions))


def _nothing(paths: Sequence[str], seen: int, extensions: tuple[str, ...] | None, filtered: bool) -> FilesNotFoundError:
    where = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    kinds = f" with the extensions {', '.join(extensions)}" if extensions is not None else ""
    passed = " that partition_filter lets pass" if filtered else ""
    others = f" There are {seen} others; pass file_extensions=None to read all." if seen and extensions else ""
    return FilesNotFoundError(f"{where}: there are no files{kinds}{passed}.{others}")
