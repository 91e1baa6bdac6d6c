"""What `report` takes, and what becomes of it."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.air import session as air_session
from shoal.train import Checkpoint, CheckpointUploadMode, ValidationTaskConfig
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train._internal.process.worker_session import SESSION, Rank, Report, WorkerSession
from shoal.train.exceptions import CheckpointError, InvalidArgumentError

ASYNC = CheckpointUploadMode.ASYNC


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerSession]:
    """This process is the one rank of a run."""
    storage = RunStorage.of(tmp_path, None, "run")
    storage.make()
    SESSION.session = WorkerSession(Rank(0, 1, 0, 1, 0), "run", storage, "abc", None, {})
    yield SESSION.session
    SESSION.session = None


def sent(worker: WorkerSession) -> list[Report]:
    found = []
    while not worker.outgoing.empty():
        item = worker.outgoing.get()
        assert isinstance(item, Report)
        found.append(item)
    return found


def saved(text: str = "1") -> Checkpoint:
    folder = Path(tempfile.mkdtemp())
    (folder / "model").write_text(text)
    return Checkpoint.from_directory(folder)


def model(checkpoint: Checkpoint | None) -> str:
    assert checkpoint is not None
    with checkpoint.as_directory() as path:
        return (Path(path) / "model").read_text()


def test_every_spelling(worker: WorkerSession) -> None:
    train.report({"loss": 1})
    train.report(metrics={"loss": 2})
    train.report(loss=3)
    air_session.report({"loss": 4})
    air_session.report({"loss": 5}, checkpoint=saved("5"))
    train.report({"loss": 6}, saved("6"))
    train.report({"loss": 7}, checkpoint=saved("7"), checkpoint_dir_name="epoch_7")
    train.report({"loss": 8}, checkpoint=saved("8"), checkpoint_upload_mode=CheckpointUploadMode.SYNC)
    train.report({"loss": 9}, checkpoint=saved("9"), validation=True)
    train.report({"loss": 10}, checkpoint=saved("10"), validation=ValidationTaskConfig({"n": 1}))
    found = sent(worker)
    assert [report.metrics["loss"] for report in found] == list(range(1, 11))
    assert [report.number for report in found] == list(range(10))
    assert [model(report.checkpoint) for report in found[4:]] == ["5", "6", "7", "8", "9", "10"]
    assert os.path.basename(found[6].checkpoint.path) == "epoch_7"  # type: ignore[union-attr]
    assert found[8].validation is True
    assert found[9].validation == ValidationTaskConfig({"n": 1})


def test_what_it_is_told_later_changes_no_report(worker: WorkerSession) -> None:
    metrics = {"loss": 1}
    train.report(metrics)
    metrics["loss"] = 2
    assert sent(worker)[0].metrics == {"loss": 1}


def test_the_local_folder(worker: WorkerSession) -> None:
    kept, deleted, given, copied = saved(), saved(), saved(), saved()
    train.report({}, checkpoint=kept)
    train.report({}, checkpoint=deleted, delete_local_checkpoint_after_upload=True)
    train.report({}, checkpoint=given, checkpoint_upload_mode=ASYNC)
    train.report({}, checkpoint=copied, checkpoint_upload_mode=ASYNC, delete_local_checkpoint_after_upload=False)
    worker.close()
    assert [os.path.exists(one.path) for one in (kept, deleted, given, copied)] == [True, False, False, True]
    assert [model(report.checkpoint) for report in sent(worker)] == ["1"] * 4
    beside = os.listdir(os.path.dirname(given.path))
    assert not [name for name in beside if name.startswith(".storing-")]


@pytest.mark.parametrize("deletes", [True, False])
def test_a_folder_may_be_changed_while_it_is_stored(
    worker: WorkerSession, deletes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every way: files written anew, in place, and the folder removed."""
    checkpoint, may_go_on = saved("before"), threading.Event()
    add_files = worker.storage.add_files

    def later(*args: Any, **options: Any) -> None:
        may_go_on.wait(10)
        add_files(*args, **options)

    monkeypatch.setattr(worker.storage, "add_files", later)
    train.report({}, checkpoint, checkpoint_upload_mode=ASYNC, delete_local_checkpoint_after_upload=deletes)
    os.makedirs(checkpoint.path, exist_ok=True)
    (Path(checkpoint.path) / "model").write_text("after")
    may_go_on.set()
    worker.close()
    assert model(sent(worker)[0].checkpoint) == "before"


def test_reports_wait_behind_a_checkpoint_that_is_being_stored(worker: WorkerSession) -> None:
    may_go_on = threading.Event()

    def upload(checkpoint: Checkpoint, name: str | None) -> Checkpoint:
        may_go_on.wait(10)
        return checkpoint

    train.report({"step": 0}, checkpoint=saved(), checkpoint_upload_mode=ASYNC, checkpoint_upload_fn=upload)
    train.report({"step": 1})
    assert worker.outgoing.empty()
    may_go_on.set()
    worker.close()
    assert [report.metrics["step"] for report in sent(worker)] == [0, 1]


def test_a_failed_upload_surfaces_at_the_next_report_and_at_the_end(worker: WorkerSession) -> None:
    def upload(checkpoint: Checkpoint, name: str | None) -> Checkpoint:
        raise CheckpointError("no room")

    train.report({"step": 0}, checkpoint=saved(), checkpoint_upload_mode=ASYNC, checkpoint_upload_fn=upload)
    with pytest.raises(CheckpointError, match="no room"):
        worker.close()
    for again in (lambda: train.report({"step": 1}), lambda: train.report({}, saved(), checkpoint_upload_mode=ASYNC)):
        with pytest.raises(CheckpointError, match="no room"):
            again()
    assert sent(worker) == []


def test_a_report_that_could_not_be_stored_may_be_tried_again(worker: WorkerSession) -> None:
    os.rmdir(worker.storage.path)
    Path(worker.storage.path).write_text("in the way")
    with pytest.raises(CheckpointError, match="could not be written"):
        train.report({"step": 0}, checkpoint=saved())
    os.remove(worker.storage.path)
    train.report({"step": 0}, checkpoint=saved())
    assert [report.number for report in sent(worker)] == [0]


def test_who_stores_by_themselves(worker: WorkerSession, tmp_path: Path) -> None:
    local = saved("own")
    there = Checkpoint(tmp_path / "elsewhere")

    def upload(checkpoint: Checkpoint, name: str | None) -> Checkpoint:
        assert (checkpoint, name) == (local, "mine")
        checkpoint.to_directory(there.path)
        return there

    train.report({}, checkpoint=local, checkpoint_dir_name="mine", checkpoint_upload_fn=upload)
    train.report({}, checkpoint=there, checkpoint_upload_mode=CheckpointUploadMode.NO_UPLOAD)
    assert [report.checkpoint for report in sent(worker)] == [there, there]
    with pytest.raises(InvalidArgumentError, match="checkpoint_upload_fn returned None"):
        train.report({}, checkpoint=local, checkpoint_upload_fn=lambda checkpoint, name: None)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"metrics": 3}, "metrics is 3"),
        ({"metrics": {1: 2}}, "give a dict of names"),
        ({"metrics": {}, "checkpont": 3}, "report.. has no option 'checkpont'.*The options are checkpoint, "),
        ({"metrics": {}, "checkpoint": "folder"}, "give Checkpoint.from_directory"),
        ({"metrics": {}, "validation": True}, "validation needs a checkpoint"),
        ({"metrics": {}, "checkpoint": Checkpoint("x"), "checkpoint_upload_mode": "LATER"}, "give one of ASYNC, SYNC"),
        ({"metrics": {}, "checkpoint": Checkpoint("x"), "checkpoint_dir_name": "a/b"}, "give a text without '/'"),
        ({"metrics": {}, "checkpoint": Checkpoint("x"), "checkpoint_dir_name": "n" * 121}, "give 120 at most"),
        ({"metrics": {}, "checkpoint": Checkpoint("x"), "validation": 3}, "validation is 3"),
    ],
)
def test_wrong_reports(worker: WorkerSession, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        train.report(**arguments)
    with pytest.raises(FileNotFoundError, match="is not there"):
        train.report({}, checkpoint=Checkpoint("/nowhere"))


def test_who_this_is_by_the_names_of_air(worker: WorkerSession) -> None:
    assert (air_session.get_world_rank(), air_session.get_world_size()) == (0, 1)
    assert (air_session.get_local_rank(), air_session.get_local_world_size(), air_session.get_node_rank()) == (0, 1, 0)
    assert air_session.get_experiment_name() == air_session.get_trial_name() == air_session.get_trial_id() == "run"
    assert air_session.get_trial_dir() == worker.storage.path
    assert air_session.get_checkpoint() is None
    context = train.get_context()
    assert context.get_storage().experiment_fs_path == worker.storage.path
    with pytest.raises(DeprecationWarning, match="there is no metadata"):
        context.get_metadata()
    assert train.get_preemption_info() is None
    with pytest.raises(KeyError, match="there is no dataset 'train'"):
        air_session.get_dataset_shard()


class Trial:
    """What a search puts in the place of a training loop."""

    def __init__(self) -> None:
        self.reports: list[tuple[Any, Any]] = []

    def report(self, metrics: Any, *, checkpoint: Checkpoint | None = None) -> None:
        self.reports.append((metrics, checkpoint))

    def get_checkpoint(self) -> Checkpoint | None:
        return None

    def get_context(self) -> Any:
        return self

    def get_trial_name(self) -> str:
        return "trial"


def test_others_may_answer_outside_of_a_loop() -> None:
    trial = Trial()
    air_session.delegate_to(trial)
    try:
        train.report({"a": 1})
        train.report(b=2)
        air_session.report({"c": 3}, checkpoint=Checkpoint("x"))
        assert trial.reports == [({"a": 1}, None), ({"b": 2}, None), ({"c": 3}, Checkpoint("x"))]
        assert (air_session.get_trial_name(), air_session.get_world_rank()) == ("trial", 0)
        assert train.get_checkpoint() is None
    finally:
        air_session.delegate_to(None)
    with pytest.raises(RuntimeError, match="works inside of a training loop only"):
        air_session.get_trial_name()
