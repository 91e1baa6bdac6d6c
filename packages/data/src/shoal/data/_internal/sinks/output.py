"""The driver's part of writing files: may it begin, and what is in the directory afterwards."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from pyarrow import fs

from shoal.data._internal.sinks.errors import FileWriteError, naming_file
from shoal.data._internal.sinks.filename_provider import FilenameProvider
from shoal.data._internal.sinks.names import is_hidden, is_output, is_temporary, marker_name
from shoal.data._internal.sinks.save_mode import SaveMode
from shoal.data._internal.sinks.target import Target
from shoal.data._internal.sinks.task_files import WrittenFile
from shoal.data.exceptions import InvalidArgumentError

_log = logging.getLogger("shoal.data")

_ONLY_WHERE_EMPTY = frozenset({SaveMode.CREATE, SaveMode.ERROR, SaveMode.IGNORE})


@dataclass(frozen=True)
class Output:
    """A directory that one write puts files into.

    In the modes that ask whether there are files already, a hidden marker lies in the directory from the beginning of the write to its
    successful
    end: files of a run that was killed must not keep the next run of the same write from finishing the work.

    Args:
        target: the directory.
        mode: what to do with what is there.
        provider: what files are called.
        try_create_dir: whether to create the directory.
    """

    target: Target
    mode: SaveMode
    provider: FilenameProvider
    try_create_dir: bool

    def is_wanted(self, write_id: str | None) -> bool:
        """Whether there is anything to do. Changes nothing.

        Raises:
            InvalidArgumentError: if the path is a file, or there are files and the mode allows none.
        """
        found = self._found()
        if found is fs.FileType.File:
            raise InvalidArgumentError(
                f"path={self.target.path!r}: this is a file. Name a directory, into which files are written."
            )
        if found is fs.FileType.NotFound and not self.try_create_dir and not self.target.is_object_store:
            raise InvalidArgumentError(
                f"path={self.target.path!r}: there is no such directory, and try_create_dir is False. Create it, or leave "
                "try_create_dir out."
            )
        if self.mode not in _ONLY_WHERE_EMPTY:
            return True
        first = self._first_foreign_file(write_id)
        if first is None:
            return True
        if self.mode is SaveMode.IGNORE:
            _log.info("nothing is written: mode is IGNORE, and there are files in %s", self.target.path)
            return False
        raise InvalidArgumentError(
            f"path={self.target.path!r}: there are files already (such as {first}), and mode is {self.mode.name}. Use another directory, "
            "mode='append', 'overwrite' or 'ignore'."
        )

    def begin(self, write_id: str | None) -> bool:
        """Makes the directory ready.

        Returns:
            whether the directory was created.
        """
        created = False
        if self.try_create_dir and not self.target.is_object_store and self._found() is fs.FileType.NotFound:
            with naming_file(self.target.path):
                self.target.filesystem.create_dir(self.target.path, recursive=True)
            created = True
        if write_id is None:
            return created
        if not created:
            self.remove_unfinished(write_id)
        if self.mode in _ONLY_WHERE_EMPTY:
            marker = self.target.file(marker_name(write_id))
            with naming_file(marker), self.target.filesystem.open_output_stream(marker):
                pass
        return created

    def finish(self, write_id: str | None, written: Iterable[WrittenFile], created: bool) -> None:
        """Puts staged files in their places, and removes what is not to stay.

        Raises:
            InvalidArgumentError: if two tasks wrote a file of the same name.
        """
        files = list(written)
        places = {file.path for file in files}
        if len(places) < len(files):
            raise InvalidArgumentError(
                f"filename_provider={type(self.provider).__name__}: {len(files) - len(places)} files have the name of another one, "
                "which they "
                "replaced. Use the index of the task in it."
            )
        self.target.for_each(self._put_in_place, [file for file in files if file.staged is not None])
        if self.mode is SaveMode.OVERWRITE:
            self._keep_only(places)
        elif write_id is not None:
            self._remove_stale(write_id, places)
        if created and not files and not self._files():
            self.target.filesystem.delete_dir(self.target.path)

    def fail(self, write_id: str | None, created: bool) -> None:
        """Removes what unfinished tasks have left. Files of tasks that had finished stay: they are complete, and the same write, run again,
        replaces them."""
        if write_id is not None:
            self.remove_unfinished(write_id)
            files = [self.target.relative(info.path) for info in self._files()]
            marker = marker_name(write_id)
            if marker in files and not any(is_output(path, write_id, self.provider) for path in files):
                self._delete(marker)
        if created and not self._files():
            self.target.filesystem.delete_dir(self.target.path)

    def remove_unfinished(self, write_id: str) -> None:
        """Removes hidden files of tasks of the write that died."""
        if self.target.is_object_store and self.mode is not SaveMode.OVERWRITE:
            return  # an upload that is not finished shows nothing
        paths = (self.target.relative(info.path) for info in self._files())
        self.target.for_each(self._delete, [path for path in paths if is_temporary(path, write_id)])

    def _first_foreign_file(self, write_id: str | None) -> str | None:
        paths = [self.target.relative(info.path) for info in self._files()]
        resumed = write_id is not None and marker_name(write_id) in paths
        for path in paths:
            if is_hidden(path) or (resumed and write_id is not None and is_output(path, write_id, self.provider)):
                continue
            return path
        return None

    def _remove_stale(self, write_id: str, places: set[str]) -> None:
        try:
            paths = [self.target.relative(info.path) for info in self._files()]
        except FileWriteError as error:
            if not self.target.is_object_store:
                raise
            # Some policies allow to write objects but not to list them; what was written is complete.
            _log.warning("could not look for files of an earlier run of the same write: %s", error)
            return
        marker = marker_name(write_id)
        stale = [
            path
            for path in paths
            if path == marker
            or is_temporary(path, write_id)
            or (path not in places and is_output(path, write_id, self.provider))
        ]
        self.target.for_each(self._delete, stale)

    def _keep_only(self, places: set[str]) -> None:
        entries = self.target.entries()
        paths = [self.target.relative(info.path) for info in entries if info.type is fs.FileType.File]
        self.target.for_each(self._delete, [path for path in paths if path not in places])
        if self.target.is_object_store:
            return
        used = {parent for path in places for parent in _parents(path)}
        directories = {self.target.relative(info.path) for info in entries if info.type is fs.FileType.Directory}
        for directory in directories - used:
            # An empty directory within one that is gone is gone as well.
            if posixpath.dirname(directory) in {"", *used}:
                self.target.filesystem.delete_dir(self.target.file(directory))

    def _put_in_place(self, file: WrittenFile) -> None:
        assert file.staged is not None
        place = self.target.file(file.path)
        with naming_file(place):
            self.target.filesystem.move(self.target.file(file.staged), place)

    def _delete(self, relative: str) -> None:
        path = self.target.file(relative)
        with naming_file(path):
            self.target.filesystem.delete_file(path)

    def _files(self) -> list[fs.FileInfo]:
        with naming_file(self.target.path):
            return [info for info in self.target.entries() if info.type is fs.FileType.File]

    def _found(self) -> fs.FileType:
        with naming_file(self.target.path):
            return self.target.filesystem.get_file_info(self.target.path).type


def _parents(path: str) -> Iterable[str]:
    while path := posixpath.dirname(path):
        yield path
