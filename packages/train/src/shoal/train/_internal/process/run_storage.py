"""The folder of a run: its checkpoints, and the list of those that are whole.

A checkpoint's files are written into a folder that the list does not name; it counts from the moment at which the list does. The list is
written beside, and put in its place by a rename where the file system has one.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyarrow import fs

from shoal.train._internal.logic.retention import Kept, to_delete
from shoal.train.checkpoint import Checkpoint, located
from shoal.train.configuration import CheckpointConfig

LIST = "checkpoint_manager_snapshot.json"


class RunStorage:
    """One run's folder. Picklable: workers write into it too.

    Args:
        path: of the folder.
        filesystem: of pyarrow.
    """

    def __init__(self, path: str, filesystem: fs.FileSystem) -> None:
        self.path = path
        self.filesystem = filesystem

    @staticmethod
    def of(storage_path: str | os.PathLike[str] | None, filesystem: Any, name: str) -> RunStorage:
        """Returns the folder of a run, which need not be there."""
        base = os.fspath(storage_path) if storage_path is not None else str(Path.home() / "ray_results")
        if filesystem is None:
            filesystem, base = located(base)
        elif not isinstance(filesystem, fs.FileSystem):
            filesystem = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
        return RunStorage(f"{base.rstrip('/')}/{name}", filesystem)

    def make(self) -> None:
        """Makes the folder. Raises OSError."""
        self.filesystem.create_dir(self.path, recursive=True)

    def folder_of(self, attempt: str, report: int) -> str:
        """Returns where the ranks write the files of one report's checkpoint."""
        return f"{self.path}/checkpoint_{attempt}_{report:06d}"

    def add_files(self, local: str, target: str) -> None:
        """Copies a local folder's files into a checkpoint's. Raises OSError."""
        self.filesystem.create_dir(target, recursive=True)
        fs.copy_files(local, target, source_filesystem=fs.LocalFileSystem(), destination_filesystem=self.filesystem)

    def checkpoint(self, folder: str) -> Checkpoint:
        return Checkpoint(folder, self.filesystem)


class CheckpointList:
    """The checkpoints of a run that are whole, kept in its folder. Raises OSError.

    Args:
        storage: the folder.
        config: which are kept.
    """

    def __init__(self, storage: RunStorage, config: CheckpointConfig) -> None:
        self._storage = storage
        self._config = config
        self._folders: dict[int, str] = {}
        self._kept: list[Kept] = []
        self._read()

    @property
    def next_number(self) -> int:
        return max((one.number for one in self._kept), default=-1) + 1

    @property
    def latest(self) -> Checkpoint | None:
        """What a restart begins from."""
        return self._storage.checkpoint(self._folders[self.next_number - 1]) if self._kept else None

    def all(self) -> list[tuple[Checkpoint, dict[str, Any]]]:
        """Returns those that are kept, with their metrics, oldest first."""
        return [(self._storage.checkpoint(self._folders[one.number]), one.metrics) for one in self._kept]

    def add(self, number: int, folder: str, metrics: dict[str, Any]) -> Checkpoint:
        """A checkpoint is whole: it counts from now on, and others may go."""
        self._kept.append(Kept(number, metrics))
        self._folders[number] = folder
        gone = to_delete(self._kept, self._config)
        self._kept = [one for one in self._kept if one not in gone]
        self._write()
        for one in gone:
            self._storage.filesystem.delete_dir(self._folders.pop(one.number))
        return self._storage.checkpoint(folder)

    def _read(self) -> None:
        try:
            with self._storage.filesystem.open_input_stream(f"{self._storage.path}/{LIST}") as stream:
                found = json.loads(stream.read())
        except FileNotFoundError:
            return
        for item in found["checkpoints"]:
            self._kept.append(Kept(item["number"], item["metrics"]))
            self._folders[item["number"]] = f"{self._storage.path}/{item['folder']}"

    def _write(self) -> None:
        items = [asdict(one) | {"folder": self._folders[one.number].rpartition("/")[2]} for one in self._kept]
        path = f"{self._storage.path}/{LIST}"
        text = json.dumps({"checkpoints": items}, default=_plain)
        with self._storage.filesystem.open_output_stream(f"{path}.new") as stream:
            stream.write(text.encode())
        self._storage.filesystem.move(f"{path}.new", path)


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's; what is no fact is told as text."""
    item = getattr(value, "item", None)
    if callable(item):
        try:
            return item()
        except (TypeError, ValueError, RuntimeError):
            return repr(value)
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else None
