"""Where files are: paths and URIs to a file system and paths in it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from shoal.data.exceptions import InvalidArgumentError

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

GLOB_CHARACTERS = "*?["
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)://")
_LOCAL_ONLY = "local"
# A question mark in a URI begins its query only if an option follows.
_QUERY = re.compile(r"\?(?=[A-Za-z_]+=)")


def resolve_paths(paths: Paths, filesystem: Any = None) -> tuple[fs.FileSystem, list[str]]:
    """Returns the file system of paths, and the paths in its terms: absolute on a disk, without scheme elsewhere.

    Args:
        paths: local paths, relative to the working directory; or URIs (`s3://bucket/folder`, `file:///folder`, `local:///folder`, and those
            that fsspec knows). They may be patterns. All of one file system.
        filesystem: of pyarrow or fsspec; None to find it by the first path.

    Raises:
        InvalidArgumentError: if there is no path, one that is no path, or paths are of different file systems.
    """
    texts = [_text(path) for path in _listed(paths)]
    if filesystem is not None:
        given = as_filesystem(filesystem)
        return given, [_path_inside(text, given) for text in texts]
    found, first = _of_text(texts[0])
    plain = [first]
    for text in texts[1:]:
        scheme = _scheme(text)
        if _place(text) == _place(texts[0]):
            plain.append(_path_inside(text, found))
        elif scheme in {None, "file", _LOCAL_ONLY} and isinstance(found, fs.LocalFileSystem):
            plain.append(_local_path(text))
        else:
            other, path = _of_text(text)
            if not other.equals(found):
                raise InvalidArgumentError(
                    f"paths: {texts[0]!r} and {text!r} are in different file systems. Read them apart, and use Dataset.union."
                )
            plain.append(path)
    return found, plain


def as_filesystem(filesystem: Any) -> fs.FileSystem:
    """Returns a file system of pyarrow for one of pyarrow or fsspec.

    Raises:
        InvalidArgumentError: if it is neither.
    """
    if isinstance(filesystem, fs.FileSystem):
        return filesystem
    import fsspec

    if isinstance(filesystem, fsspec.AbstractFileSystem):
        protocols = filesystem.protocol
        if "file" in ([protocols] if isinstance(protocols, str) else protocols):
            return fs.LocalFileSystem()
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem))
    raise InvalidArgumentError(
        f"filesystem={filesystem!r}: a file system is one of pyarrow.fs or of fsspec, not a {type(filesystem).__name__}."
    )


def is_local_only(paths: Paths) -> bool:
    """Whether paths are said to be on the driver's machine alone (`local://`)."""
    return any(_scheme(_text(path)) == _LOCAL_ONLY for path in _listed(paths))


def has_pattern(path: str) -> bool:
    """Whether a path may be a pattern for several."""
    return any(character in path for character in GLOB_CHARACTERS)


def _listed(paths: Any) -> Sequence[Any]:
    if isinstance(paths, (str, os.PathLike)):
        return [paths]
    if not isinstance(paths, Sequence) or isinstance(paths, (bytes, bytearray)):
        raise InvalidArgumentError(
            f"paths={paths!r}: a path is a string or an os.PathLike, and several are a list of such, not a {type(paths).__name__}."
        )
    if not paths:
        raise InvalidArgumentError(f"paths={paths!r}: name at least one file or directory.")
    return paths


def _text(path: object) -> str:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise InvalidArgumentError(
            f"paths: {path!r} is no path; use strings or os.PathLike, not a {type(path).__name__}."
        )
    if not text.strip():
        raise InvalidArgumentError("paths: a path is empty. Name a file or a directory.")
    return text


def _scheme(text: str) -> str | None:
    match = _SCHEME.match(text)
    return match.group(1).lower() if match else None


def _place(text: str) -> tuple[str, str]:
    """What decides of the file system: scheme, server or bucket, options."""
    head, query = _without_query(text)
    return (_root(head), query) if _scheme(text) is not None else ("", "")


def _root(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _without_query(text: str) -> tuple[str, str]:
    found = _QUERY.search(text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def _local_path(text: str) -> str:
    if _scheme(text) == "file":
        return unquote(text[len("file://") :])
    plain = text[len(f"{_LOCAL_ONLY}://") :] if _scheme(text) == _LOCAL_ONLY else text
    return os.path.abspath(os.path.expanduser(plain))


def _path_inside(text: str, filesystem: fs.FileSystem) -> str:
    """The path of a URI or plain path, in the terms of a file system that is known."""
    if isinstance(filesystem, fs.LocalFileSystem):
        return _local_path(text)
    if isinstance(filesystem, fs.PyFileSystem) and isinstance(filesystem.handler, fs.FSSpecHandler):
        return str(filesystem.handler.fs._strip_protocol(text))
    if _scheme(text) is not None:
        head, _ = _without_query(text)
        text = _SCHEME.sub("", head)
        bucket, slash, rest = text.partition("/")
        text = bucket.rpartition("@")[2] + slash + rest
    return text.rstrip("/") or text


def _of_text(text: str) -> tuple[fs.FileSystem, str]:
    scheme = _scheme(text)
    if scheme in {None, "file", _LOCAL_ONLY}:
        return fs.LocalFileSystem(), _local_path(text)
    head, query = _without_query(text)
    root = _root(head)
    if root.startswith("s3://anonymous@"):
        public = fs.S3FileSystem(anonymous=True, region=_region(root.rpartition("@")[2]))
        return public, _path_inside(text, public)
    try:
        # Only the bucket, as patterns and spaces are no parts of a URI.
        filesystem, _ = fs.FileSystem.from_uri(root + query)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        if "nrecognized" not in str(error):
            raise InvalidArgumentError(f"paths: {text!r}: {error}") from error
    else:
        return filesystem, _path_inside(text, filesystem)
    import fsspec

    try:
        foreign = fsspec.filesystem(scheme)
    except (ValueError, ImportError) as error:
        raise InvalidArgumentError(
            f"paths: {text!r}: nothing here can read {scheme}:// ({error}). Use a local path, s3://, gs:// or abfss://, install the fsspec "
            "package of that store, or pass filesystem=."
        ) from error
    return as_filesystem(foreign), str(foreign._strip_protocol(text))


def _region(bucket: str) -> str | None:
    try:
        return str(fs.resolve_s3_region(bucket))
    except OSError:
        return None  # a server of one's own knows no regions
