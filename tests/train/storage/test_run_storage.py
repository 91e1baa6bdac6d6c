"""A run's folder and its list of checkpoints, in every kind of file system."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from pyarrow import fs

from shoal.train import Checkpoint, CheckpointConfig, ReportedCheckpointStatus
from shoal.train._internal.process.run_storage import LIST, CheckpointList, RunStorage
from shoal.train.exceptions import CheckpointError


@pytest.fixture(params=["local", "fsspec", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> RunStorage:
    if request.param == "s3":
        found = RunStorage.of("bucket/runs", request.getfixturevalue("s3"), tmp_path.name)
    elif request.param == "memory":
        found = RunStorage.of(f"memory:///{tmp_path.name}", None, "run")
    else:
        found = RunStorage.of(tmp_path, LocalFileSystem() if request.param == "fsspec" else None, "run")
    found.make()
    return found


def folder(tmp_path: Path, **files: str) -> str:
    made = tmp_path / f"made-{len(list(tmp_path.iterdir()))}"
    (made / "inside").mkdir(parents=True)
    for name, text in files.items():
        (made / "inside" / name).write_text(text)
    return str(made)


def stored(checkpoint: Checkpoint) -> dict[str, str]:
    with checkpoint.as_directory() as path:
        return {str(file.relative_to(path)): file.read_text() for file in Path(path).rglob("*") if file.is_file()}


def names(storage: RunStorage) -> set[str]:
    return {info.base_name for info in storage.filesystem.get_file_info(fs.FileSelector(storage.path))}


def test_ranks_write_into_one_checkpoint_which_counts_when_the_list_has_it(storage: RunStorage, tmp_path: Path) -> None:
    target = storage.folder_of("abc", 0)
    for rank in range(3):
        storage.add_files(folder(tmp_path, **{f"rank{rank}": str(rank)}), target)
        assert CheckpointList(storage, CheckpointConfig()).latest is None
    CheckpointList(storage, CheckpointConfig()).add(0, target, {"loss": 0.5})
    again = CheckpointList(storage, CheckpointConfig())
    assert again.latest is not None
    assert stored(again.latest) == {f"inside/rank{rank}": str(rank) for rank in range(3)}
    assert again.latest_metrics == {"loss": 0.5}
    assert again.next_number == 1


def test_only_those_are_kept_that_shall_be(storage: RunStorage, tmp_path: Path) -> None:
    config = CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="eval/acc")
    checkpoints = CheckpointList(storage, config)
    for number, score in enumerate([0.5, 0.9, 0.7]):
        target = storage.folder_of("abc", number)
        storage.add_files(folder(tmp_path, step=str(number)), target)
        checkpoints.add(number, target, {"eval": {"acc": score}})
    assert [metrics["eval"]["acc"] for _, metrics in CheckpointList(storage, config).all()] == [0.9, 0.7]
    assert names(storage) == {LIST, "checkpoint_abc_000001", "checkpoint_abc_000002"}


def test_what_is_not_whole_goes_with_its_attempt(storage: RunStorage, tmp_path: Path) -> None:
    checkpoints = CheckpointList(storage, CheckpointConfig())
    for number in range(2):
        storage.add_files(folder(tmp_path, step=str(number)), storage.folder_of("abc", number))
    checkpoints.add(0, storage.folder_of("abc", 0), {})
    storage.add_files(folder(tmp_path, step="x"), storage.folder_of("other", 0))
    checkpoints.forget_attempt("abc")
    assert names(storage) == {LIST, "checkpoint_abc_000000", "checkpoint_other_000000"}


def test_a_folder_that_is_written_again_is_the_later_checkpoints(storage: RunStorage, tmp_path: Path) -> None:
    checkpoints = CheckpointList(storage, CheckpointConfig(num_to_keep=1))
    for number in range(3):
        target = storage.folder_of("abc", number, "latest")
        storage.add_files(folder(tmp_path, step=str(number)), target)
        checkpoints.add(number, target, {"step": number})
    assert [(stored(one), metrics) for one, metrics in checkpoints.all()] == [({"inside/step": "2"}, {"step": 2})]


def test_the_runs_folder_may_be_moved(tmp_path: Path) -> None:
    storage = RunStorage.of(tmp_path, None, "run")
    storage.make()
    storage.add_files(folder(tmp_path, step="0"), storage.folder_of("abc", 0))
    CheckpointList(storage, CheckpointConfig()).add(0, storage.folder_of("abc", 0), {})
    os.rename(tmp_path / "run", tmp_path / "moved")
    latest = CheckpointList(RunStorage.of(tmp_path, None, "moved"), CheckpointConfig()).latest
    assert latest is not None
    assert stored(latest) == {"inside/step": "0"}


def test_a_checkpoint_that_is_being_validated_stays(tmp_path: Path) -> None:
    storage = RunStorage.of(tmp_path, None, "run")
    storage.make()
    checkpoints = CheckpointList(storage, CheckpointConfig(num_to_keep=1))
    for number in range(3):
        storage.add_files(folder(tmp_path, step=str(number)), storage.folder_of("abc", number))
        checkpoints.add(number, storage.folder_of("abc", number), {"step": number})
        if number == 0:
            checkpoints.validated(0, ReportedCheckpointStatus.PENDING_VALIDATION)
    assert [metrics["step"] for _, metrics in checkpoints.all()] == [0, 2]
    checkpoints.validated(0, ReportedCheckpointStatus.VALIDATED, {"acc": 1.0})
    assert [metrics["step"] for _, metrics in checkpoints.all()] == [2]
    checkpoints.validated(2, ReportedCheckpointStatus.VALIDATED, {"acc": 1.0})
    assert CheckpointList(storage, CheckpointConfig()).all()[0][1] == {"step": 2, "acc": 1.0}


class TinyDisk(LocalFileSystem):
    """A disk with room for two files."""

    protocol = "tiny"
    room = 2

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if "w" in mode and not path.endswith((".new", LIST)):
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            self.room -= 1
        return super().open(path, mode, **options)


def test_a_full_disk_is_explained_and_leaves_earlier_checkpoints(tmp_path: Path) -> None:
    storage = RunStorage.of(tmp_path, TinyDisk(), "run")
    storage.make()
    checkpoints = CheckpointList(storage, CheckpointConfig())
    storage.add_files(folder(tmp_path, a="1"), storage.folder_of("abc", 0))
    checkpoints.add(0, storage.folder_of("abc", 0), {"loss": 0.5})
    with pytest.raises(
        CheckpointError, match=r"The disk is full\. Checkpoints from before are untouched\. Free some space"
    ):
        storage.add_files(folder(tmp_path, a="1", b="2"), storage.folder_of("abc", 1))
    checkpoints.forget_attempt("abc")
    again = CheckpointList(storage, CheckpointConfig())
    assert again.latest is not None
    assert stored(again.latest) == {"inside/a": "1"}
    assert names(storage) == {LIST, "checkpoint_abc_000000"}


def test_a_local_write_that_fails_gives_back_what_it_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = RunStorage.of(tmp_path, None, "run")
    storage.make()
    local, target = folder(tmp_path, a="1", b="2", c="3"), storage.folder_of("abc", 0)
    moved: list[object] = []

    def full(source: str, path: str) -> None:
        if len(moved) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        moved.append(path)
        os.rename(source, path)

    with monkeypatch.context() as patched, pytest.raises(CheckpointError, match="The disk is full") as caught:
        patched.setattr("os.replace", lambda a, b: full(a, b) if a.startswith(local) else os.rename(a, b))
        storage.add_files(local, target, may_move=True)
    assert caught.value.errno == errno.ENOSPC
    assert sorted(os.listdir(f"{local}/inside")) == ["a", "b", "c"]
    assert os.listdir(f"{target}/inside") == []


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RunStorage.of(tmp_path / "file", None, "run").make()
    assert fsspec.filesystem("memory").protocol
