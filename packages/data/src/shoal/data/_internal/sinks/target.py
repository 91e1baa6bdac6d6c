"""Where files go: paths and URIs to a file system and a directory in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import fs

from shoal.data.exceptions import InvalidArgumentError

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)://")
_LOCAL_ONLY = "local://"
_READ_ONLY_SCHEMES = frozenset({"http", "https"})
_ARROW_OBJECT_STORES = frozenset({"s3", "gcs", "abfs"})
_FSSPEC_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "hf", "r2"})
# A request to an object store takes some 50 ms, nearly all of it waiting.
_REQUESTS_AT_ONCE = 16

Item = TypeVar("Item")


@dataclass(frozen=True)
class Target:
    """A directory to write to. Picklable.

    Args:
        filesystem: the file system.
        path: of the directory, in the terms of the file system, without a slash at its end.
        driver_only: whether only the driver's machine has it ('local://').
    """

    filesystem: fs.FileSystem
    path: str
    driver_only: bool = False

    @property
    def is_object_store(self) -> bool:
        """Whether files appear when they are closed, and renaming is copying."""
        return _is_object_store(self.filesystem)

    def file(self, relative: str) -> str:
        """The path of a file in the directory."""
        return f"{self.path.rstrip('/')}/{relative}" if self.path else relative

    def entries(self) -> list[fs.FileInfo]:
        """Everything in the directory, at any depth; nothing where there is no directory."""
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        return self.filesystem.get_file_info(selector)  # type: ignore[no-any-return]

    def relative(self, path: str) -> str:
        """The path of a file or directory, as seen from the directory."""
        return path[len(self.path.rstrip("/")) :].lstrip("/")

    def for_each(self, action: Callable[[Item], Any], items: Iterable[Item]) -> None:
        """Does something with many files: one after the other on a disk, many at a time in an object store."""
        if not self.is_object_store:
            for item in items:
                action(item)
            return
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            for _ in pool.map(action, items):
                pass


def resolve_target(path: object, filesystem: Any = None) -> Target:
    """The directory that is meant.

    Args:
        path: a local path, relative to the working directory, or a URI (`s3://bucket/folder`, `file:///folder`, `local:///folder`).
        filesystem: of pyarrow or fsspec; None to find it by the URI's scheme.

    Raises:
        InvalidArgumentError: if there is no such scheme, it cannot be written to, or the path is empty.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidArgumentError(f"path={path!r}: a path is a string or an os.PathLike, not a {type(path).__name__}.")
    text = os.fspath(path)
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgumentError(f"path={path!r}: the path is empty. Name the directory to write to.")
    if text.startswith(_LOCAL_ONLY):
        return Target(fs.LocalFileSystem(), _absolute(text.removeprefix(_LOCAL_ONLY)), driver_only=True)
    match = _SCHEME.match(text)
    scheme = match.group(1).lower() if match else None
    if scheme in _READ_ONLY_SCHEMES and filesystem is None:
        raise InvalidArgumentError(
            f"path={text!r}: {scheme} can only be read. Write to a directory or an object store (s3://bucket/folder)."
        )
    if filesystem is not None:
        return _in_filesystem(text, scheme, filesystem)
    if scheme is None:
        return Target(fs.LocalFileSystem(), _absolute(text))
    return _of_uri(text, scheme)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _in_filesystem(path: str, scheme: str | None, filesystem: Any) -> Target:
    if isinstance(filesystem, fs.FileSystem):
        if isinstance(filesystem, fs.LocalFileSystem):
            return Target(filesystem, _absolute(path.removeprefix("file://")))
        plain = path if scheme is None else path[len(scheme) + len("://") :]
        return Target(filesystem, _trimmed(filesystem.normalize_path(plain)))
    try:
        import fsspec
    except ImportError as error:
        raise _no_filesystem(filesystem) from error
    if isinstance(filesystem, fsspec.AbstractFileSystem):
        return _of_fsspec(filesystem, path)
    raise _no_filesystem(filesystem)


def _of_uri(path: str, scheme: str) -> Target:
    try:
        filesystem, plain = fs.FileSystem.from_uri(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as arrow_error:
        if "nrecognized" not in str(arrow_error):
            raise InvalidArgumentError(f"path={path!r}: {arrow_error}") from arrow_error
    else:
        return Target(filesystem, _trimmed(plain))
    import fsspec

    try:
        foreign = fsspec.filesystem(scheme)
    except (ValueError, ImportError) as error:
        raise InvalidArgumentError(
            f"path={path!r}: nothing here can write to {scheme}:// ({error}). Use a local path, s3://, gs:// or abfss://, install the "
            "fsspec "
            "package of that store, or pass filesystem=."
        ) from error
    return _of_fsspec(foreign, path)


def _of_fsspec(filesystem: Any, path: str) -> Target:
    plain = filesystem._strip_protocol(path)
    if "file" in _protocols(filesystem):
        return Target(fs.LocalFileSystem(), _absolute(plain))
    return Target(fs.PyFileSystem(fs.FSSpecHandler(filesystem)), _trimmed(plain))


def _trimmed(path: str) -> str:
    return path.rstrip("/") or ("/" if path.startswith("/") else "")


def _is_object_store(filesystem: fs.FileSystem) -> bool:
    if isinstance(filesystem, fs.SubTreeFileSystem):
        return _is_object_store(filesystem.base_fs)
    if isinstance(filesystem, fs.PyFileSystem):
        handler = filesystem.handler
        return isinstance(handler, fs.FSSpecHandler) and bool(_protocols(handler.fs) & _FSSPEC_OBJECT_STORES)
    return filesystem.type_name in _ARROW_OBJECT_STORES


def _protocols(filesystem: Any) -> frozenset[str]:
    protocol = filesystem.protocol
    return frozenset({protocol} if isinstance(protocol, str) else protocol)


def _no_filesystem(filesystem: Any) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"filesystem={filesystem!r}: a file system is one of pyarrow.fs or of fsspec, not a {type(filesystem).__name__}."
    )
