"""Fetching files by their URI."""

from __future__ import annotations

import importlib
import os
import shutil
import time
from typing import IO
from urllib.parse import unquote, urlsplit

from shoal.exceptions import RuntimeEnvSetupError

_CHUNK = 2**20
_SILENCE_SECONDS = 60.0
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "azure": "adlfs", "abfss": "adlfs"}


def fetch(uri: str, target: str, deadline: float | None) -> None:
    """Copies what a URI leads to.

    Args:
        uri: with the scheme file, http or https, or one that an installed fsspec knows (s3, gs, ...).
        target: path of the file to make.
        deadline: by `time.monotonic`; None for none.

    Raises:
        RuntimeEnvSetupError: it cannot be had, or not in time; nothing is left at the target.
    """
    try:
        with open(target, "wb") as file:
            _fetch(uri, file, deadline)
    except BaseException as error:
        os.unlink(target)
        if isinstance(error, Exception) and not isinstance(error, RuntimeEnvSetupError):
            raise RuntimeEnvSetupError(f"{uri} cannot be fetched: {type(error).__name__}: {error}") from error
        raise


def _fetch(uri: str, file: IO[bytes], deadline: float | None) -> None:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        with open(unquote(parts.path), "rb") as source:
            shutil.copyfileobj(source, file, _CHUNK)
    elif parts.scheme in ("http", "https"):
        from urllib.request import urlopen

        with urlopen(uri, timeout=_left(uri, deadline)) as source:
            _pump(uri, source, file, deadline)
    else:
        with _open_by_fsspec(uri, parts.scheme) as source:
            _pump(uri, source, file, deadline)


def _open_by_fsspec(uri: str, scheme: str) -> IO[bytes]:
    try:
        fsspec = importlib.import_module("fsspec")
        opened: IO[bytes] = fsspec.open(uri.replace("azure://", "az://", 1), "rb").open()
    except ImportError as error:
        packages = f"fsspec {_PACKAGES.get(scheme, '')}".strip()
        fix = f"`pip install {packages}` where the session runs, or give an https:// URI or a local path"
        raise RuntimeEnvSetupError(f"{uri} cannot be fetched: {error}. {fix}.") from error
    return opened


def _pump(uri: str, source: IO[bytes], file: IO[bytes], deadline: float | None) -> None:
    while chunk := source.read(_CHUNK):
        file.write(chunk)
        _left(uri, deadline)


def _left(uri: str, deadline: float | None) -> float:
    """Returns for how many seconds to wait for the next bytes."""
    left = _SILENCE_SECONDS if deadline is None else min(_SILENCE_SECONDS, deadline - time.monotonic())
    if left <= 0:
        raise RuntimeEnvSetupError(f"{uri} did not arrive within runtime_env['config']['setup_timeout_seconds'].")
    return left
