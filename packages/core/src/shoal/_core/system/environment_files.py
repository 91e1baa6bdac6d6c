"""The files of a runtime environment on this machine: `working_dir` and `py_modules`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from shoal._core.schema.runtime_environment import Environment
from shoal._core.schema.runtime_environment_fields import IN_PLACE, WHEEL, archive_path, is_archive, is_uri
from shoal._core.system.archives import unpack
from shoal._core.system.folder_copies import LARGEST_COPY, IgnoreFiles, digest_of_file, keep_file, keep_folder, publish
from shoal._core.system.remote_files import fetch
from shoal.exceptions import RuntimeEnvSetupError

_NOT_OF_WORKING_DIRS = (".git", ".venv", "venv", "__pycache__")
_NOT_OF_MODULES = (".git", "__pycache__")


class Files(NamedTuple):
    """Where the files of an environment are."""

    working_dir: str
    """'' for none."""
    import_paths: list[str]
    """Folders to import from, first to last."""
    wheels: list[str]
    """Paths of wheels to install."""


def pin_environment(environment: Environment, store: str) -> Environment:
    """Returns the environment with copies in place of local folders, files and archives, so that later changes of those do
    not reach it; they are named by their content, so its key says what is in them. URIs stay as they are. A pinned
    environment is returned unchanged.

    Args:
        environment: what a user asked for.
        store: folder of the copies. Tasks may write into them: use one that ends with the session.

    Raises:
        RuntimeEnvSetupError: a file cannot be read or unpacked, or there is too much.
    """
    modules = tuple(_pinned_module(path, store, environment.excludes) for path in environment.py_modules)
    working_dir = _pinned_working_dir(environment.working_dir, store, environment.excludes)
    return msgspec.structs.replace(environment, working_dir=working_dir, py_modules=modules)


def materialize_files(environment: Environment, store: str, deadline: float | None) -> Files:
    """Fetches, copies and unpacks what the environment names, as far as it is not here yet.

    Args:
        environment: pinned or not.
        store: folder of the copies.
        deadline: for what is fetched, by `time.monotonic`; None for none.

    Raises:
        RuntimeEnvSetupError: a file is missing, unreadable, damaged or too large, or does not come in time.
    """
    pinned = pin_environment(environment, store)
    import_paths: list[str] = []
    wheels: list[str] = []
    working_dir = _local_folder("working_dir", pinned.working_dir, store, deadline)
    if working_dir:
        import_paths.append(working_dir)
    for module in pinned.py_modules:
        if archive_path(module).endswith(WHEEL):
            wheels.append(_fetched_wheel(module, store, deadline) if is_uri(module) else module)
        elif is_uri(module):
            import_paths.append(_local_folder("py_modules", module, store, deadline))
        else:
            import_paths.append(os.path.dirname(module))
    return Files(working_dir, import_paths, wheels)


def files_are_there(environment: Environment, store: str) -> bool:
    """Returns whether `materialize_files` would have nothing to do, and nothing to wait for."""
    paths = (environment.working_dir, *environment.py_modules)
    return all(path.startswith(IN_PLACE) or (_is_pinned(path, store) and not is_uri(path)) for path in paths)


def _is_pinned(path: str, store: str) -> bool:
    return not path or is_uri(path) or path.startswith(os.path.join(os.path.abspath(store), ""))


def _pinned_working_dir(path: str, store: str, excludes: Sequence[str]) -> str:
    if _is_pinned(path, store):
        return path
    store = os.path.abspath(store)
    if os.path.isdir(path):
        return keep_folder(path, store, _ignore(*_default_excludes(), *excludes))
    if not is_archive(path) or not os.path.isfile(path):
        raise RuntimeEnvSetupError(f"working_dir: there is no folder or archive {path} any more.")
    size = os.path.getsize(path)
    if size > LARGEST_COPY:
        raise RuntimeEnvSetupError(
            f"working_dir: {path} has {size / 2**20:.1f} MiB, and at most {LARGEST_COPY / 2**20:.0f} MiB are sent."
        )
    return publish(store, digest_of_file(path), lambda draft: unpack(path, draft, skip_only_folder=False))


def _pinned_module(path: str, store: str, excludes: Sequence[str]) -> str:
    if _is_pinned(path, store):
        return path
    store = os.path.abspath(store)
    if os.path.isdir(path):
        ignore = _ignore(*_NOT_OF_MODULES, *excludes)
        return keep_folder(path, store, ignore, inside=os.path.basename(path), field="py_modules")
    try:
        return keep_file(path, store)
    except OSError as error:
        raise RuntimeEnvSetupError(f"py_modules: {path} cannot be copied: {error.strerror}.") from error


def _default_excludes() -> Sequence[str]:
    override = os.environ.get("SHOAL_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES")
    return _NOT_OF_WORKING_DIRS if override is None else [name for name in override.split(",") if name]


def _ignore(*patterns: str) -> IgnoreFiles:
    ignore = IgnoreFiles(patterns)
    if os.environ.get("SHOAL_RUNTIME_ENV_IGNORE_GITIGNORE") == "1":
        return ignore._replace(names=[name for name in ignore.names if name != ".gitignore"])
    return ignore


def _local_folder(field: str, path: str, store: str, deadline: float | None) -> str:
    """Returns the folder that a path or URI stands for; '' for ''."""
    if path.startswith(IN_PLACE):
        folder = path.removeprefix(IN_PLACE)
        if not os.path.isdir(folder):
            raise RuntimeEnvSetupError(f"{field}: there is no folder {folder} on this machine, for {path}.")
        return folder
    if not is_uri(path):
        return path

    def build(draft: str) -> None:
        archive = f"{draft}.archive"
        fetch(path, archive, deadline)
        try:
            unpack(archive, draft, skip_only_folder=True, name=path)
        finally:
            os.unlink(archive)

    return publish(store, f"uri-{_digest_of_text(path)}", build)


def _fetched_wheel(uri: str, store: str, deadline: float | None) -> str:
    name = os.path.basename(archive_path(uri))

    def build(draft: str) -> None:
        os.mkdir(draft)
        fetch(uri, os.path.join(draft, name), deadline)

    return os.path.join(publish(store, f"uri-{_digest_of_text(uri)}", build), name)


def _digest_of_text(text: str) -> str:
    from hashlib import blake2b

    return blake2b(text.encode(), digest_size=16).hexdigest()
