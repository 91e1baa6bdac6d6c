"""Ranks that are killed, hang, or leave; numbers of workers that change."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import train
from shoal.train import (
    Checkpoint,
    CheckpointConsistencyMode,
    FailureConfig,
    Result,
    RunConfig,
    ScalingConfig,
    WorkerGroupError,
)
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.exceptions import LoopExitError, WorkerHungError


def trainer(loop: Any, folder: Path, workers: Any = 2, max_failures: int = 0, **scaling: Any) -> DataParallelTrainer:
    return DataParallelTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers, **scaling),
        run_config=RunConfig(storage_path=folder, failure_config=FailureConfig(max_failures=max_failures)),
    )


def fit(loop: Any, folder: Path, workers: Any = 2, max_failures: int = 0, **scaling: Any) -> Result:
    return trainer(loop, folder, workers, max_failures, **scaling).fit()


def saved(step: int) -> Checkpoint:
    folder = Path(tempfile.mkdtemp())
    (folder / "step").write_text(str(step))
    return Checkpoint.from_directory(folder)


def restored() -> int:
    found = train.get_checkpoint()
    if found is None:
        return 0
    with found.as_directory() as folder:
        return int((Path(folder) / "step").read_text())


def test_a_rank_killed_while_it_stores_behind_the_loop_leaves_nothing(tmp_path: Path) -> None:
    from shoal.train import CheckpointUploadMode
    from shoal.train._internal.process.run_storage import RunStorage

    def loop() -> None:
        if not (tmp_path / "killed").exists():

            def killed(*args: Any, **kwargs: Any) -> None:
                (tmp_path / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)

            RunStorage.add_files = killed  # type: ignore[method-assign] # in this worker
        for deletes in (True, False):
            train.report(
                {},
                checkpoint=saved(1),
                checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
                delete_local_checkpoint_after_upload=deletes,
            )

    result = fit(loop, tmp_path, workers=1, max_failures=1)
    assert (tmp_path / "killed").exists()
    assert len(result.best_checkpoints) == 2
    assert not Path(RunStorage(result.path, result.filesystem).staging.path).exists()


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("seed", range(3))
def test_ranks_killed_at_any_time_change_nothing_of_the_result(tmp_path: Path, seed: int) -> None:
    """From the driver, while the loops run: by the run's reports rather than by a clock."""
    (tmp_path / "pids").mkdir()

    def loop() -> int:
        rank = train.get_context().get_world_rank()
        (tmp_path / "pids" / f"new-{rank}").write_text(str(os.getpid()))
        (tmp_path / "pids" / f"new-{rank}").rename(tmp_path / "pids" / f"{rank}")
        total, step = divmod(restored(), 1000)
        while step < 12:
            step += 1
            total += step
            train.collective.barrier()
            train.report({"step": step}, checkpoint=saved(total * 1000 + step) if rank == 0 else None)
            (tmp_path / "pids" / f"step-{step}").touch()
        return total

    def kill() -> None:
        for kill_at in (2 + seed, 5 + seed):
            wait_for(lambda at=kill_at: (tmp_path / "pids" / f"step-{at}").exists())
            pid = int((tmp_path / "pids" / str(seed % 2)).read_text())
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    result = fit(loop, tmp_path, max_failures=-1)
    assert result.return_value == sum(range(13))
    assert result.metrics == {"step": 12}


def test_a_rank_that_raises_is_told_with_its_traceback_and_others_are_ended(tmp_path: Path) -> None:
    def loop() -> None:
        rank = train.get_context().get_world_rank()
        (tmp_path / f"pid-{rank}").write_text(str(os.getpid()))
        if rank == 1:
            raise LookupError("no such row")
        threading.Event().wait()

    with pytest.raises(WorkerGroupError, match="rank 1: LookupError: no such row") as caught:
        fit(loop, tmp_path, 3)
    assert list(caught.value.worker_failures) == [1]
    assert 'raise LookupError("no such row")' in str(caught.value) or "in loop" in str(caught.value)
    assert isinstance(caught.value.__cause__, LookupError)
    shoal.get(shoal.remote(lambda: None).remote())
    deadline = time.monotonic() + 10
    while any(is_alive(int((tmp_path / f"pid-{rank}").read_text())) for rank in range(3)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_loop_that_exits_is_a_failure(tmp_path: Path) -> None:
    def loop() -> None:
        raise SystemExit(3)

    with pytest.raises(WorkerGroupError, match="SystemExit: 3; it has to return") as caught:
        fit(loop, tmp_path, 1)
    assert isinstance(caught.value.worker_failures[0], LoopExitError)


def test_a_death_is_the_cause_and_what_it_did_to_the_others_comes_after(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from shoal.train.torch import TorchTrainer

    def loop() -> None:
        import torch

        if train.get_context().get_world_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        torch.distributed.all_reduce(torch.ones(1))

    with pytest.raises(WorkerGroupError) as caught:
        TorchTrainer(
            loop, scaling_config=ScalingConfig(num_workers=2), run_config=RunConfig(storage_path=tmp_path)
        ).fit()
    assert next(iter(caught.value.worker_failures)) == 1
    assert "SIGKILL" in str(caught.value)


def test_a_rank_that_hangs_is_found_by_the_deadline_and_shows_its_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_TRAIN_PROGRESS_TIMEOUT_S", "1")

    def stuck_here() -> None:
        threading.Event().wait()

    def loop() -> str:
        rank, step = train.get_context().get_world_rank(), restored()
        if step == 0:
            train.report({"step": 1}, checkpoint=saved(1) if rank == 0 else None)
            if rank == 1:
                stuck_here()
            train.collective.barrier()
        return "went on"

    with pytest.raises(WorkerGroupError, match="SHOAL_TRAIN_PROGRESS_TIMEOUT_S") as caught:
        fit(loop, tmp_path / "a")
    (error,) = caught.value.worker_failures.values()
    assert list(caught.value.worker_failures) == [1]
    assert isinstance(error, WorkerHungError)
    assert "in stuck_here" in str(error)
    assert fit(loop, tmp_path / "b", max_failures=1).return_value == "went on"


def test_a_stopped_process_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_TRAIN_COLLECTIVE_WARN_INTERVAL_S", "0.5")
    monkeypatch.setenv("SHOAL_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S", "0.5")
    monkeypatch.setattr("shoal.train._internal.process.silence.STACK_SECONDS", 0.5)

    def loop() -> None:
        if train.get_context().get_world_rank() == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        threading.Event().wait()

    with pytest.raises(WorkerGroupError, match=r"rank 1 for 0.5 s .*it does not answer") as caught:
        fit(loop, tmp_path)
    assert list(caught.value.worker_failures) == [1]


def test_a_rank_that_keeps_others_waiting_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOAL_TRAIN_COLLECTIVE_WARN_INTERVAL_S", "0.3")
    opened = tmp_path / "go"

    def wait_for_the_test() -> None:
        while not opened.exists():
            time.sleep(0.01)

    def loop() -> None:
        if train.get_context().get_world_rank() == 1:
            wait_for_the_test()
        train.collective.barrier()

    told: list[str] = []

    def follow() -> None:
        while "rank 1 has reported nothing" not in "".join(told):
            told.append(capfd.readouterr().err)
            time.sleep(0.01)
        opened.touch()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    fit(loop, tmp_path)
    text = "".join(told)
    assert "s, and others wait" in text
    assert "in wait_for_the_test" in text


def test_an_elastic_run_begins_small_grows_and_goes_on_with_fewer(tmp_path: Path) -> None:
    """4 CPUs. Others hold 3 of them at first, and 2 of them from the moment at which a rank is killed."""
    sizes = tmp_path / "sizes"
    sizes.mkdir()

    class Other:
        def there(self) -> None:
            return

    holder = shoal.remote(num_cpus=3)(Other).remote()
    shoal.get(holder.there.remote())

    def loop() -> None:
        context = train.get_context()
        rank, size, step = context.get_world_rank(), context.get_world_size(), restored()
        (sizes / f"{step}-{size}-{rank}").touch()
        while True:
            step += 1
            train.report({"step": step, "size": size}, checkpoint=saved(step) if rank == 0 else None)
            # Rank 0 must not report steps while others have not come to its last checkpoint: those would not be whole.
            train.get_all_reported_checkpoints(CheckpointConsistencyMode.COMMITTED)
            if size == 4 and not (sizes / "shrunk").exists():
                while not (sizes / "shrink").exists():
                    time.sleep(0.01)
                if rank == 0:
                    (sizes / "shrunk").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()
            if (sizes / "shrunk").exists() and size in (2, 4):
                (sizes / f"after-{size}").touch()
                if size == 4:
                    return
            time.sleep(0.02)

    seen: list[str] = []

    def others() -> None:
        """Makes room, takes some, and gives it back."""
        nonlocal holder
        wait_for(lambda: any("-1-" in path.name for path in sizes.iterdir()))
        shoal.kill(holder)
        wait_for(lambda: any("-4-" in path.name for path in sizes.iterdir()))
        # Waits until the workers of the killed rank's group give up theirs.
        taker = shoal.remote(num_cpus=2)(Other).remote()
        there = taker.there.remote()
        (sizes / "shrink").touch()
        shoal.get(there)
        wait_for(lambda: (sizes / "after-2").exists())
        shoal.kill(taker)
        seen.append("all")

    thread = threading.Thread(target=others, daemon=True)
    thread.start()
    result = fit(loop, tmp_path, (1, 4), max_failures=1, elastic_resize_monitor_interval_s=0.1)
    thread.join(30)
    assert seen == ["all"]
    assert (sizes / "after-4").exists()
    steps = [metrics["step"] for metrics in result.history]
    found = [metrics["size"] for metrics in result.history]
    changes = [size for number, size in enumerate(found) if number == 0 or found[number - 1] != size]
    assert changes[0] == 1
    assert changes[-1] == 4
    assert 2 in changes
    # Growing lost no step: each begins where the last checkpoint was made.
    assert steps[-1] == max(steps)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_an_elastic_run_that_cannot_have_its_fewest_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(train.TrainingFailedError, match="5 workers need CPU: 5 in all, and the session has 4"):
        fit(lambda: None, tmp_path, (5, 9))


def test_workers_that_find_no_room_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "0.3")

    class Other:
        def there(self) -> None:
            return

    holder = shoal.remote(num_cpus=3)(Other).remote()
    shoal.get(holder.there.remote())
    with pytest.raises(train.TrainingFailedError, match=r"2 workers with .* could not be placed within 0.3 s"):
        fit(lambda: None, tmp_path)
    shoal.kill(holder)
    monkeypatch.delenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S")
    assert fit(lambda: 1, tmp_path).return_value == 1
