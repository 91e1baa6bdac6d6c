"""The folder of a run: its checkpoints, and the list of those that are whole.

A checkpoint's files are written into a folder that the list does not name; it counts from the moment at which the list does. The list is
written beside, and put in its place by a rename where the file system has one.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs

from shoal.train._internal.logic.retention import Kept, to_delete
from shoal.train._internal.process.staging import Staging
from shoal.train.checkpoint import Checkpoint, as_arrow, located
from shoal.train.configuration import CheckpointConfig
from shoal.train.exceptions import CheckpointError
from shoal.train.reporting import ReportedCheckpoint, ReportedCheckpointStatus

LIST = "checkpoint_manager_snapshot.json"
_WHOLE_PUTS = ("s3", "gcs", "abfs")
"""File systems on which a file is there when it is whole, and which have no rename."""


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
        return RunStorage(f"{base.rstrip('/')}/{name}", as_arrow(filesystem))

    @property
    def storage_filesystem(self) -> fs.FileSystem:
        """Ray's name for `filesystem`."""
        return self.filesystem

    @property
    def experiment_fs_path(self) -> str:
        """Ray's name for `path`."""
        return self.path

    @property
    def is_local(self) -> bool:
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def staging(self) -> Staging:
        """Where checkpoints wait on this machine while they are stored."""
        return Staging(f"{self.filesystem.type_name}:{self.path}")

    def make(self) -> None:
        """Makes the folder. Raises OSError."""
        self.filesystem.create_dir(self.path, recursive=True)

    def folder_of(self, attempt: str, report: int, name: str | None = None) -> str:
        """Returns where the ranks write the files of one report's checkpoint."""
        return f"{self.path}/{name if name is not None else f'checkpoint_{attempt}_{report:06d}'}"

    def add_files(self, local: str, target: str, may_move: bool = False) -> None:
        """Puts a local folder's files into a checkpoint's. Raises CheckpointError; this folder's files are not there then.

        Args:
            local: the folder.
            target: the checkpoint's.
            may_move: whether the local files may go.
        """
        with self._storing(target):
            self.filesystem.create_dir(target, recursive=True)
            if self.is_local:
                _add_locally(local, target, may_move)
            else:
                fs.copy_files(
                    local, target, source_filesystem=fs.LocalFileSystem(), destination_filesystem=self.filesystem
                )

    def add_remote(self, checkpoint: Checkpoint, target: str) -> None:
        """Copies files that are elsewhere into a checkpoint's. Raises CheckpointError."""
        with self._storing(target):
            self.filesystem.create_dir(target, recursive=True)
            fs.copy_files(
                checkpoint.path,
                target,
                source_filesystem=checkpoint.filesystem,
                destination_filesystem=self.filesystem,
            )

    @contextmanager
    def _storing(self, target: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _explained(error, target) from error

    def checkpoint(self, folder: str) -> Checkpoint:
        return Checkpoint(folder, self.filesystem)

    def read(self, name: str) -> bytes | None:
        """Returns what a file of the folder holds; None where it is not there."""
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{name}") as stream:
                found: bytes = stream.read()
        except FileNotFoundError:
            return None
        return found

    def replace(self, name: str, content: bytes) -> None:
        """Puts a file in the place of another one, whole. Raises CheckpointError."""
        path = f"{self.path}/{name}"
        with self._storing(path):
            if self.filesystem.type_name in _WHOLE_PUTS:
                self._write(path, content)
            else:
                self._write(f"{path}.new", content)
                self.filesystem.move(f"{path}.new", path)

    def _write(self, path: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        """Removes a file, where it is there. Raises OSError."""
        if self.filesystem.get_file_info(f"{self.path}/{name}").type != fs.FileType.NotFound:
            self.filesystem.delete_file(f"{self.path}/{name}")

    def remove_attempt(self, attempt: str, kept: set[str]) -> None:
        """Removes checkpoints of an attempt that did not become whole. Raises OSError.

        Args:
            attempt: which; nobody writes for it any more.
            kept: folders that are whole.
        """
        found = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        for one in found:
            if one.base_name.startswith(f"checkpoint_{attempt}_") and one.path not in kept:
                self.filesystem.delete_dir(one.path)


class CheckpointList:
    """The checkpoints of a run that are whole, kept in its folder. Raises CheckpointError.

    Args:
        storage: the folder.
        config: which are kept.
    """

    def __init__(self, storage: RunStorage, config: CheckpointConfig) -> None:
        self._storage = storage
        self._config = config
        self._checkpoints: dict[int, Checkpoint] = {}
        self._statuses: dict[int, ReportedCheckpointStatus] = {}
        self._kept: list[Kept] = []
        self._read()

    @property
    def next_number(self) -> int:
        return max((one.number for one in self._kept), default=-1) + 1

    @property
    def latest(self) -> Checkpoint | None:
        """What a restart begins from."""
        return self._checkpoints[self.next_number - 1] if self._kept else None

    @property
    def latest_metrics(self) -> dict[str, Any] | None:
        """Those that came with it."""
        return self._kept[-1].metrics if self._kept else None

    def all(self) -> list[tuple[Checkpoint, dict[str, Any]]]:
        """Returns those that are kept, with their metrics, oldest first."""
        return [(self._checkpoints[one.number], one.metrics) for one in self._kept]

    def reported(self) -> list[ReportedCheckpoint]:
        """Returns those that are kept, with what became of them."""
        return [
            ReportedCheckpoint(
                self._checkpoints[one.number],
                one.metrics,
                self._statuses.get(one.number, ReportedCheckpointStatus.COMMITTED),
            )
            for one in self._kept
        ]

    def add(self, number: int, folder: str | Checkpoint, metrics: dict[str, Any]) -> Checkpoint:
        """A checkpoint is whole: it counts from now on, and others may go."""
        checkpoint = folder if isinstance(folder, Checkpoint) else self._storage.checkpoint(folder)
        # A folder that is written again is the later checkpoint's.
        self._forget([one for one in self._kept if self._checkpoints[one.number] == checkpoint])
        self._kept.append(Kept(number, metrics))
        self._checkpoints[number] = checkpoint
        self._thin_out()
        return checkpoint

    def _thin_out(self) -> None:
        """The list first: what it names is there."""
        pending = [n for n, status in self._statuses.items() if status is ReportedCheckpointStatus.PENDING_VALIDATION]
        gone = to_delete(self._kept, self._config, pending)
        removed = [self._checkpoints[one.number] for one in gone]
        self._forget(gone)
        self._write()
        for one in removed:
            _remove(one)

    def validated(self, number: int, status: ReportedCheckpointStatus, metrics: dict[str, Any] | None = None) -> None:
        """A checkpoint's validation has begun or ended: its metrics are added to the checkpoint's, where that is still there."""
        if number not in self._checkpoints:
            return
        self._statuses[number] = status
        if metrics:
            self._kept = [
                Kept(one.number, one.metrics | metrics) if one.number == number else one for one in self._kept
            ]
        self._thin_out()

    def forget_attempt(self, attempt: str) -> None:
        """Removes what an attempt that is over has left of checkpoints that did not become whole. Raises OSError."""
        self._storage.remove_attempt(attempt, {checkpoint.path for checkpoint in self._checkpoints.values()})
        self._storage.staging.clear()

    def _forget(self, gone: list[Kept]) -> None:
        self._kept = [one for one in self._kept if one not in gone]
        for one in gone:
            del self._checkpoints[one.number]
            self._statuses.pop(one.number, None)

    def _read(self) -> None:
        content = self._storage.read(LIST)
        if content is None:
            return
        for item in json.loads(content)["checkpoints"]:
            number, folder = item["number"], item["folder"]
            path = folder if "/" in folder else f"{self._storage.path}/{folder}"
            self._kept.append(Kept(number, item["metrics"]))
            self._checkpoints[number] = self._storage.checkpoint(path)
            if item.get("status") in (ReportedCheckpointStatus.VALIDATED.value, "VALIDATION_FAILED"):
                self._statuses[number] = ReportedCheckpointStatus(item["status"])

    def _write(self) -> None:
        items = [
            {
                "number": one.number,
                "metrics": one.metrics,
                "folder": self._folder(self._checkpoints[one.number]),
                "status": self._statuses.get(one.number, ReportedCheckpointStatus.COMMITTED).value,
            }
            for one in self._kept
        ]
        self._storage.replace(LIST, json.dumps({"checkpoints": items}, default=plain).encode())

    def _folder(self, checkpoint: Checkpoint) -> str:
        """Its name where it lies in the run's folder: so the run's folder may be moved."""
        parent, _, name = checkpoint.path.rpartition("/")
        return name if parent == self._storage.path else checkpoint.path


def plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's; what is no fact is told as text. For `json.dumps`."""
    item = getattr(value, "item", None)
    if callable(item):
        try:
            return item()
        except (TypeError, ValueError, RuntimeError):
            return repr(value)
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else None


def _add_locally(local: str, target: str, may_move: bool) -> None:
    """Copies or moves files; where it cannot go on, all are where they were, and other ranks' files of the folder as well."""
    moved: list[tuple[str, str]] = []
    copied: list[str] = []
    try:
        for folder, _, names in os.walk(local):
            inside = os.path.normpath(os.path.join(target, os.path.relpath(folder, local)))
            os.makedirs(inside, exist_ok=True)
            for name in names:
                source, path = os.path.join(folder, name), os.path.join(inside, name)
                if may_move and _moved(source, path):
                    moved.append((source, path))
                else:
                    copied.append(path)
                    shutil.copyfile(source, path)
    except BaseException:
        for source, path in moved:
            os.replace(path, source)
        for path in copied:
            if os.path.exists(path):
                os.remove(path)
        raise


def _moved(source: str, path: str) -> bool:
    """Returns False where they are on different file systems."""
    try:
        os.replace(source, path)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EACCES):
            return False
        raise
    return True


def _remove(checkpoint: Checkpoint) -> None:
    try:
        checkpoint.filesystem.delete_dir(checkpoint.path)
    except FileNotFoundError:
        # The user removed it.
        return


def _explained(error: OSError, target: str) -> CheckpointError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        fix = (
            "The disk is full. Checkpoints from before are untouched. Free some space, store the run elsewhere "
            "(RunConfig(storage_path=...)), or keep fewer (CheckpointConfig(num_to_keep=...))."
        )
    else:
        fix = "Checkpoints from before are untouched. Is RunConfig(storage_path=...) there, and may this program write to it?"
    explained = CheckpointError(f"{target} could not be written: {error}. {fix}")
    explained.errno = error.errno
    return explained
