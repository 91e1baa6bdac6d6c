"""Copies of folders, named by their content: equal folders have one copy, and a copy is whole from the moment it is there."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from shoal._core.system.ignore_rules import IgnoreRules
from shoal.exceptions import RuntimeEnvSetupError

if TYPE_CHECKING:
    from hashlib import blake2b

LARGEST_COPY = 500 * 2**20
"""Bytes."""

_CHUNK = 2**20
_NAMED_IN_ERRORS = 5


class FoundFile(NamedTuple):
    """A file or folder to copy."""

    path: str
    """Relative to the folder that is copied."""
    is_folder: bool
    size: int
    mode: int
    modified: int
    """Nanoseconds."""


class IgnoreFiles(NamedTuple):
    """What to leave out of a copy."""

    patterns: Sequence[str] = ()
    """As in a .gitignore file at the top."""
    names: Sequence[str] = (".gitignore", ".shoalignore", ".rayignore")
    """Files with more of them, in any folder."""


def publish(store: str, name: str, build: Callable[[str], None]) -> str:
    """Returns the path of an entry of the store, which is made first if it is not there yet.

    Args:
        store: folder of the entries; made if needed.
        name: of the entry; says what is in it.
        build: makes the entry at the path that it is given, where nothing is. An entry that was not finished is never
            taken for one, and another process may make the same one at the same time.
    """
    path = os.path.join(store, name)
    if os.path.lexists(path):
        return path
    os.makedirs(store, mode=0o700, exist_ok=True)
    draft = os.path.join(store, f".{name}.{os.urandom(6).hex()}")
    try:
        build(draft)
        try:
            os.rename(draft, path)
        except OSError:
            if not os.path.lexists(path):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return path


def keep_folder(source: str, store: str, ignore: IgnoreFiles, inside: str = "", field: str = "working_dir") -> str:
    """Returns a copy of the folder as it is now.

    Args:
        source: the folder.
        store: folder of the copies.
        ignore: what to leave out.
        inside: name of a folder in the copy that gets the files; '' for the copy itself.
        field: of the runtime environment, for errors.

    Returns:
        Path of the copied files.

    Raises:
        RuntimeEnvSetupError: a file cannot be read, or there are more than `LARGEST_COPY` bytes.
    """
    try:
        files = find_files(source, ignore, without=store)
        size = sum(file.size for file in files)
        if size > LARGEST_COPY:
            raise RuntimeEnvSetupError(_too_large(source, files, size, field))
        name = _digest(source, files, inside)
        copy = publish(store, name, lambda draft: _copy(source, files, os.path.join(draft, inside)))
    except OSError as error:
        raise RuntimeEnvSetupError(
            f"{field}: {error.filename or source} cannot be copied ({error.strerror}). Make it readable, or leave it out with "
            "runtime_env['excludes']."
        ) from error
    return os.path.join(copy, inside) if inside else copy


def keep_file(source: str, store: str) -> str:
    """Returns a copy of one file as it is now, of the same name in a folder of its own. Raises OSError."""
    name = os.path.basename(source)

    def build(draft: str) -> None:
        os.mkdir(draft)
        shutil.copy2(source, os.path.join(draft, name))

    return os.path.join(publish(store, digest_of_file(source), build), name)


def digest_of_file(path: str) -> str:
    """Returns the hash of a file's name and content, 32 hexadecimal digits. Raises OSError."""
    digest = _new_digest()
    digest.update(os.fsencode(os.path.basename(path)) + b"\0")
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def find_files(folder: str, ignore: IgnoreFiles, without: str = "") -> list[FoundFile]:
    """Returns what is in the folder, in a fixed order, links followed; sockets, devices and dead links left out.

    Args:
        folder: the folder.
        ignore: what to leave out.
        without: path of a folder to leave out, wherever it is.
    """
    found: list[FoundFile] = []
    left_out = {_identity(without)} if os.path.isdir(without) else set()
    top = IgnoreRules(ignore.patterns)

    def visit(path: str, rules: tuple[tuple[str, IgnoreRules], ...], above: frozenset[tuple[int, int]]) -> None:
        here = os.path.join(folder, path)
        rules = (*rules, *((path, IgnoreRules(lines)) for lines in _ignore_files(here, ignore.names)))
        for entry in sorted(os.scandir(here), key=lambda entry: entry.name):
            below = f"{path}/{entry.name}" if path else entry.name
            is_folder = entry.is_dir()
            if not is_folder and not entry.is_file():
                continue
            if top.verdict(below, is_folder) or _ignored(rules, below, is_folder):
                continue
            status = entry.stat()
            identity = (status.st_dev, status.st_ino)
            if is_folder and (identity in above or identity in left_out):
                continue  # A link to a folder that it is in has no end; a copy of the copies neither.
            size = 0 if is_folder else status.st_size
            found.append(FoundFile(below, is_folder, size, status.st_mode, status.st_mtime_ns))
            if is_folder:
                visit(below, rules, above | {identity})

    visit("", (), frozenset({_identity(folder)}))
    return found


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _ignore_files(folder: str, names: Sequence[str]) -> Iterator[list[str]]:
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                yield file.readlines()


def _ignored(rules: Sequence[tuple[str, IgnoreRules]], path: str, is_folder: bool) -> bool:
    """The innermost file that speaks of a path decides."""
    for base, list_of_rules in reversed(rules):
        verdict = list_of_rules.verdict(path[len(base) + 1 :] if base else path, is_folder)
        if verdict is not None:
            return verdict
    return False


def _new_digest() -> blake2b:
    from hashlib import blake2b

    return blake2b(digest_size=16)


def _digest(source: str, files: Sequence[FoundFile], inside: str) -> str:
    digest = _new_digest()
    digest.update(os.fsencode(inside))
    for file in files:
        executable = bool(file.mode & stat.S_IXUSR) and not file.is_folder
        digest.update(os.fsencode(f"\0{file.path}\0{file.is_folder:d}{executable:d}{file.size}\0"))
        if not file.is_folder:
            for chunk in _chunks(os.path.join(source, file.path)):
                digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: str) -> Iterator[memoryview]:
    buffer = bytearray(_CHUNK)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            yield memoryview(buffer)[:count]


def _copy(source: str, files: Sequence[FoundFile], target: str) -> None:
    os.makedirs(target)
    for file in files:
        path = os.path.join(target, file.path)
        if file.is_folder:
            os.mkdir(path)
        else:
            shutil.copyfile(os.path.join(source, file.path), path)
            os.chmod(path, stat.S_IMODE(file.mode) & 0o755 | 0o600)
            os.utime(path, ns=(file.modified, file.modified))


def _too_large(source: str, files: Sequence[FoundFile], size: int, field: str) -> str:
    sizes: dict[str, int] = {}
    for file in files:
        top = file.path.partition("/")[0]
        sizes[top] = sizes.get(top, 0) + file.size
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:_NAMED_IN_ERRORS]
    return (
        f"{field}: {source} holds {_mebibytes(size)}, and at most {_mebibytes(LARGEST_COPY)} are sent. "
        f"Largest in it: {', '.join(f'{name} ({_mebibytes(part)})' for name, part in largest)}. Leave out what tasks do not "
        "need with runtime_env['excludes'] or a .gitignore file, or read large data from where it is."
    )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
