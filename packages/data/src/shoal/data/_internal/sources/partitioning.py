"""Columns in paths: directories whose names are values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from shoal.data._internal.sources.paths import resolve_paths
from shoal.data.exceptions import InvalidArgumentError

NULL_DIRECTORY = "__HIVE_DEFAULT_PARTITION__"
_ARROW_TYPES: Mapping[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


class PartitionStyle(StrEnum):
    """How directories tell values."""

    HIVE = "hive"
    """`name=value`"""
    DIRECTORY = "dir"
    """Just the value; names are given apart."""


@dataclass(frozen=True)
class Partitioning:
    """Which directories in a path are columns.

    Args:
        style: 'hive' for directories that are named `column=value`, 'dir' for plain values.
        base_dir: only directories below it count, and files that are not below it have no such columns. None: for 'hive' all directories of
            the path, for 'dir' those below the directory that is read.
        field_names: the columns, the outermost first. Needed for 'dir'; for 'hive' a check.
        field_types: types of columns (int, float, str, bool, or an Arrow type); strings where there is none.
        filesystem: of `base_dir`; None to find it by its scheme.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.

    Example:
        >>> from shoal.data.datasource import Partitioning, PathPartitionParser
        >>> PathPartitionParser(Partitioning("hive", field_types={"year": int}))("sales/year=2024/part.csv")
        {'year': 2024}
    """

    style: PartitionStyle | str
    base_dir: str | None = None
    field_names: Sequence[str] | None = None
    field_types: Mapping[str, Any] | None = field(default=None, hash=False)
    filesystem: Any = field(default=None, hash=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "style", PartitionStyle(self.style))
        except ValueError:
            raise InvalidArgumentError(f"style={self.style!r}: use 'hive' or 'dir'.") from None
        if isinstance(self.field_names, str):
            raise InvalidArgumentError(f"field_names={self.field_names!r}: use a list of names.")
        if self.style is PartitionStyle.DIRECTORY and not self.field_names:
            raise InvalidArgumentError(
                "field_names: with the style 'dir', name a column for each level of directories."
            )
        object.__setattr__(self, "base_dir", self.base_dir or "")
        object.__setattr__(self, "field_types", dict(self.field_types or {}))
        for name in self.field_types or {}:
            self.type_of(name)
            if self.field_names is not None and name not in self.field_names:
                raise InvalidArgumentError(f"field_types: {name!r} is not in field_names={list(self.field_names)!r}.")

    @property
    def normalized_base_dir(self) -> str:
        """The base directory in the terms of its file system, with a slash at its end; '' for none."""
        if not self.base_dir:
            return ""
        [path] = resolve_paths(self.base_dir, self.filesystem)[1]
        return path.rstrip("/") + "/"

    @property
    def resolved_filesystem(self) -> fs.FileSystem:
        """The file system of the base directory."""
        return resolve_paths(self.base_dir or ".", self.filesystem)[0]

    def type_of(self, name: str) -> pa.DataType:
        """Returns the Arrow type of a column.

        Raises:
            InvalidArgumentError: if `field_types` has something else for it.
        """
        kind = (self.field_types or {}).get(name, str)
        if isinstance(kind, pa.DataType):
            return kind
        if kind not in _ARROW_TYPES:
            raise InvalidArgumentError(
                f"field_types: {name!r} has the type {kind!r}; use int, float, str, bool or an Arrow type."
            )
        return _ARROW_TYPES[kind]


class PathPartitionParser:
    """Tells the columns in a path.

    Args:
        partitioning: which directories are columns.

    Example:
        >>> from shoal.data.datasource import PathPartitionParser
        >>> PathPartitionParser.of("dir", base_dir="/pets", field_names=["kind"])("/pets/dog/1.png")
        {'kind': 'dog'}
    """

    def __init__(self, partitioning: Partitioning) -> None:
        if not isinstance(partitioning, Partitioning):
            raise InvalidArgumentError(f"partitioning={partitioning!r}: use a Partitioning.")
        self._scheme = partitioning
        self._base = partitioning.normalized_base_dir

    @staticmethod
    def of(
        style: PartitionStyle | str = PartitionStyle.HIVE,
        base_dir: str | None = None,
        field_names: Sequence[str] | None = None,
        field_types: Mapping[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionParser:
        """Makes one. The arguments are those of `Partitioning`."""
        return PathPartitionParser(Partitioning(style, base_dir, field_names, field_types, filesystem))

    @property
    def scheme(self) -> Partitioning:
        """Which directories are columns."""
        return self._scheme

    def __call__(self, path: str) -> dict[str, Any]:
        """Returns columns and values; none for a file that is not below the base directory, or right in it.

        Args:
            path: of a file, in the terms of its file system.

        Raises:
            InvalidArgumentError: if directories are not as many, or not of the names or types, as they should be.
        """
        return self.parse(path, self._base)

    def parse(self, path: str, base: str) -> dict[str, Any]:
        """As calling it, with another base directory, which ends with a slash."""
        if not path.startswith(base):
            return {}
        directories = [part for part in path[len(base) :].split("/")[:-1] if part]
        hive = self._scheme.style is PartitionStyle.HIVE
        found = _hive_values(directories) if hive else [("", _value(text)) for text in directories]
        names = self._scheme.field_names
        if names and found:
            told = [name for name, _ in found] if hive else names
            if len(found) != len(names) or list(told) != list(names):
                raise InvalidArgumentError(
                    f"partitioning: {path} should have directories for the columns {list(names)!r}, but has "
                    f"{[f'{name}={value}' if hive else value for name, value in found]!r}"
                    f"{f' below {base}' if base else ''}. Is base_dir right?"
                )
            found = [(name, value) for name, (_, value) in zip(names, found, strict=True)]
        return {name: self._typed(name, value, path) for name, value in found}

    def _typed(self, name: str, text: str | None, path: str) -> Any:
        kind = self._scheme.type_of(name)
        if text is None or kind == pa.string():
            return text
        try:
            return pa.scalar(text).cast(kind).as_py()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InvalidArgumentError(
                f"partitioning: {path}: the column {name!r} has the type {kind}, and {text!r} is none. Correct field_types."
            ) from error


class PathPartitionFilter:
    """Decides by the columns in their paths which files are read.

    Args:
        path_partition_parser: tells the columns.
        filter_fn: called with columns and values of a file (none for one that has none); True to read it.

    Example:
        >>> from shoal.data.datasource import PathPartitionFilter
        >>> recent = PathPartitionFilter.of(lambda columns: columns["year"] >= "2024")
        >>> recent(["sales/year=2023/a.csv", "sales/year=2024/a.csv"])
        ['sales/year=2024/a.csv']
    """

    def __init__(self, path_partition_parser: PathPartitionParser, filter_fn: Callable[[dict[str, Any]], bool]) -> None:
        if not callable(filter_fn):
            raise InvalidArgumentError(
                f"filter_fn={filter_fn!r}: use a function from a dict of values to True or False."
            )
        self._parser = path_partition_parser
        self._filter = filter_fn

    @staticmethod
    def of(
        filter_fn: Callable[[dict[str, Any]], bool],
        style: PartitionStyle | str = PartitionStyle.HIVE,
        base_dir: str | None = None,
        field_names: Sequence[str] | None = None,
        field_types: Mapping[str, Any] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionFilter:
        """Makes one. The arguments are `filter_fn` and those of `Partitioning`."""
        return PathPartitionFilter(
            PathPartitionParser.of(style, base_dir, field_names, field_types, filesystem), filter_fn
        )

    @property
    def parser(self) -> PathPartitionParser:
        """What tells the columns."""
        return self._parser

    def apply(self, path: str) -> bool:
        """Returns whether a file is read."""
        return bool(self._filter(self._parser(path)))

    def __call__(self, paths: Sequence[str]) -> list[str]:
        """Returns the paths of the files that are read."""
        return [path for path in paths if self.apply(path)]


def _hive_values(directories: Sequence[str]) -> list[tuple[str, str | None]]:
    found = []
    for directory in directories:
        name, equals, text = directory.partition("=")
        if equals and name:
            found.append((unquote(name), _value(text)))
    return found


def _value(text: str) -> str | None:
    return None if text == NULL_DIRECTORY else unquote(text)
