"""The folder of a search: its trials, what searcher and scheduler know, and how it was asked for.

    trials.log      one record for each change of a trial; the last one counts
    search.pkl      what searcher, scheduler, stopper and callbacks know, as of some trial
    tuner.pkl       the arguments of the Tuner, but for the trainable
    {trial}/        result.json, progress.csv, params.json, error.txt, checkpoint_000000, ...

Where the storage is not on this machine, the files lie in a folder of this machine, too, and travel from there.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyarrow import fs

from shoal import cloudpickle
from shoal.tune._internal.logic.life import Life
from shoal.tune._internal.process.record_log import RecordLog, go_back, mark, read_records
from shoal.tune._internal.process.trial_record import TrialRecord, decoded, encoded
from shoal.tune.exceptions import RestoreError
from shoal.tune.experiment.trial import Trial

TRIALS, SEARCH, TUNER = "trials.log", "search.pkl", "tuner.pkl"
_CHECKPOINT = "checkpoint_"
_MARK = "mark"


class SearchStorage:
    """One search's folder.

    Args:
        path: of the folder.
        filesystem: of pyarrow.
    """

    def __init__(self, path: str, filesystem: fs.FileSystem) -> None:
        self.path = path.rstrip("/")
        self.filesystem = filesystem
        self.is_local = isinstance(filesystem, fs.LocalFileSystem)
        self._staging: str | None = None
        self._log: RecordLog | None = None
        self._compact_at = 1000
        """Records after which the log is written anew. It grows with the number of trials, so that the cost of a record stays the same."""
        self._sent: dict[str, tuple[int, int]] = {}
        self._made: set[str] = set()

    @property
    def local_path(self) -> str:
        """The folder on this machine."""
        if self.is_local:
            return self.path
        if self._staging is None:
            self._staging = tempfile.mkdtemp(prefix="shoal-search-")
        return self._staging

    @staticmethod
    def at(path: str | os.PathLike[str], filesystem: Any = None) -> SearchStorage:
        """Returns the folder of a path or URI, which need not be there."""
        text = os.fspath(path)
        if filesystem is None:
            if "://" in text:
                found, text = fs.FileSystem.from_uri(text)
                return SearchStorage(text, found)
            return SearchStorage(str(Path(text).expanduser().absolute()), fs.LocalFileSystem())
        if not isinstance(filesystem, fs.FileSystem):
            filesystem = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
        return SearchStorage(text, filesystem)

    def below(self, name: str) -> SearchStorage:
        """Returns a folder in it."""
        return SearchStorage(f"{self.path}/{name}", self.filesystem)

    def make(self) -> None:
        """Makes the folder. Raises OSError."""
        self.filesystem.create_dir(self.path, recursive=True)
        os.makedirs(self.local_path, exist_ok=True)

    # --- writing --------------------------------------------------------------------------------------------------------------------

    def save_trials(self, lives: Iterable[Life], all_lives: Iterable[Life]) -> None:
        """Writes what has changed. Raises OSError."""
        if self._log is None:
            self._log = RecordLog(f"{self.local_path}/{TRIALS}")
        self._log.add(encoded(life, self.path) for life in lives)
        if self._log.records > self._compact_at:
            everything = list(all_lives)
            self._log.replace(encoded(life, self.path) for life in everything)
            self._compact_at = 1000 + 8 * len(everything)

    def save_search(self, state: dict[str, Any]) -> None:
        """Writes what searcher, scheduler and callbacks know, as of the trials that are saved now. Raises OSError."""
        self._put(SEARCH, cloudpickle.dumps({**state, _MARK: mark(f"{self.local_path}/{TRIALS}")}))

    def save_tuner(self, arguments: dict[str, Any]) -> None:
        """Writes the Tuner's arguments. Raises OSError."""
        self._put(TUNER, cloudpickle.dumps(arguments))

    def _put(self, name: str, data: bytes) -> None:
        beside = f"{self.local_path}/{name}.new"
        with open(beside, "wb") as file:
            file.write(data)
        os.replace(beside, f"{self.local_path}/{name}")

    def set_aside(self) -> None:
        """A new search begins in the folder of an old one, whose trials do not count as its own."""
        old = Path(self.local_path, TRIALS)
        if old.exists():
            old.rename(f"{old}.{int(old.stat().st_mtime)}.old")

    def send(self, folders: Iterable[str] = ()) -> None:
        """Sends what is new on this machine to the storage, but for checkpoints, which are there already. Raises OSError.

        Args:
            folders: of trials (local paths) whose files go; without any, all do.
        """
        if self.is_local or self._staging is None:
            return
        roots = list(folders) or [self._staging]
        for root in roots:
            for parent, _, names in os.walk(root):
                for name in names:
                    self._send_file(os.path.join(parent, name))
        if folders:
            for name in (TRIALS, SEARCH, TUNER):
                if os.path.exists(path := os.path.join(self._staging, name)):
                    self._send_file(path)

    def _send_file(self, local: str) -> None:
        status = os.stat(local)
        stamp = (status.st_size, status.st_mtime_ns)
        if self._sent.get(local) == stamp:
            return
        assert self._staging is not None
        target = f"{self.path}/{os.path.relpath(local, self._staging)}"
        if (folder := os.path.dirname(target)) not in self._made:
            self.filesystem.create_dir(folder, recursive=True)
            self._made.add(folder)
        fs.copy_files(local, target, source_filesystem=fs.LocalFileSystem(), destination_filesystem=self.filesystem)
        self._sent[local] = stamp

    def close(self) -> None:
        """Removes the folder on this machine, where it is not the storage itself."""
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging = None

    # --- reading --------------------------------------------------------------------------------------------------------------------

    @property
    def has_search(self) -> bool:
        """Whether a search was stored here."""
        found = self.filesystem.get_file_info([f"{self.path}/{name}" for name in (TRIALS, TUNER)])
        return all(one.type == fs.FileType.File for one in found)

    def fetch(self) -> None:
        """Brings the files, but for checkpoints, to this machine. Raises OSError."""
        if self.is_local:
            return
        for info in self.filesystem.get_file_info(fs.FileSelector(self.path, recursive=True)):
            below = os.path.relpath(info.path, self.path)
            if info.type == fs.FileType.File and not any(part.startswith(_CHECKPOINT) for part in below.split("/")):
                local = os.path.join(self.local_path, below)
                os.makedirs(os.path.dirname(local), exist_ok=True)
                fs.copy_files(
                    info.path, local, source_filesystem=self.filesystem, destination_filesystem=fs.LocalFileSystem()
                )

    def trials(self) -> list[TrialRecord]:
        """Returns the trials as they were last saved, in order. Raises RestoreError."""
        latest: dict[int, TrialRecord] = {}
        for record in read_records(f"{self.local_path}/{TRIALS}"):
            found = decoded(record, self.path, self.local_path, self.filesystem)
            latest[found.trial.number] = found
        return [latest[number] for number in sorted(latest)]

    def search(self) -> dict[str, Any]:
        """Returns what `save_search` got. Raises RestoreError."""
        return self._get(SEARCH)

    def go_back(self) -> None:
        """Forgets what was saved of trials after `save_search`. Raises RestoreError, OSError."""
        if (place := self.search().get(_MARK)) is not None:
            go_back(f"{self.local_path}/{TRIALS}", place)

    def tuner(self) -> dict[str, Any]:
        """Returns what `save_tuner` got. Raises RestoreError."""
        return self._get(TUNER)

    def _get(self, name: str) -> dict[str, Any]:
        path = f"{self.local_path}/{name}"
        try:
            found: dict[str, Any] = pickle.loads(Path(path).read_bytes())
        except FileNotFoundError:
            raise RestoreError(
                f"{self.path} has no {name}: there is no search of shoal.tune that could go on"
            ) from None
        except Exception as error:
            raise RestoreError(f"{self.path}/{name} cannot be read: {type(error).__name__}: {error}") from error
        return found


def read_trials(path: str | os.PathLike[str], filesystem: Any = None) -> tuple[list[Trial], SearchStorage]:
    """Returns the trials of a search that was stored, and its folder. Raises RestoreError."""
    storage = SearchStorage.at(path, filesystem)
    if not storage.has_search:
        raise RestoreError(f"{storage.path} has no {TRIALS}: there is no search of shoal.tune")
    try:
        storage.fetch()
        return [record.trial for record in storage.trials()], storage
    finally:
        storage.close()
