"""Trainers that others run: searches, actors, threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import train
from shoal.train import Checkpoint, Result, RunConfig, ScalingConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.forwarding import forward_to


def saved(text: str) -> Checkpoint:
    folder = Path(tempfile.mkdtemp())
    (folder / "text").write_text(text)
    return Checkpoint.from_directory(folder)


def text_of(checkpoint: Checkpoint | None) -> str | None:
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return (Path(folder) / "text").read_text()


def reporting(config: dict[str, Any]) -> str:
    first = text_of(train.get_checkpoint())
    for step in range(config.get("steps", 2)):
        train.report({"step": step, **config}, checkpoint=saved(f"{step}") if step % 2 else None)
    return f"{first} {train.get_context().get_world_size()}"


def made(folder: Path, workers: int = 2, **options: Any) -> DataParallelTrainer:
    return DataParallelTrainer(
        reporting,
        train_loop_config={"a": 1, "b": 2},
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder, name="mine"),
        **options,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_reports_are_handed_on_in_the_caller_s_thread(tmp_path: Path, workers: int) -> None:
    trainable = made(tmp_path / "other", workers).as_trainable()
    told: list[Any] = []

    def reporter(metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append((metrics, text_of(checkpoint)))

    with forward_to(reporter, start_from=saved("begin"), storage_path=tmp_path / "trial"):
        assert trainable({"train_loop_config": {"b": 3}}) is None
    assert told == [({"step": 0, "a": 1, "b": 3}, None), ({"step": 1, "a": 1, "b": 3}, "1")]
    (run,) = (tmp_path / "trial").iterdir()
    assert run.name.startswith("mine-")
    assert not (tmp_path / "other").exists()


def test_each_trial_is_a_run_of_its_own_with_its_own_scaling(tmp_path: Path) -> None:
    trainable = made(tmp_path).as_trainable()
    config = {"train_loop_config": {"steps": 1}, "scaling_config": {"num_workers": 1}}
    assert trainable(config) == {"step": 0, "a": 1, "b": 2, "steps": 1}
    assert trainable(config) == {"step": 0, "a": 1, "b": 2, "steps": 1}
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(
        InvalidArgumentError, match="the configuration of a trainer has 'lr'; it may have 'train_loop_config'"
    ):
        trainable({"lr": 1})
    with pytest.raises(InvalidArgumentError, match="num_workers"):
        trainable({"scaling_config": {"num_workers": -1}})


def test_what_the_reporter_raises_ends_the_workers(tmp_path: Path) -> None:
    class StopTrialError(Exception):
        pass

    def reporter(metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        raise StopTrialError

    before = shoal.available_resources()["CPU"]
    with forward_to(reporter), pytest.raises(StopTrialError):
        made(tmp_path).as_trainable()({"train_loop_config": {"steps": 10_000}})
    # Freed when the workers have ended.
    shoal.get(shoal.remote(num_cpus=before)(lambda: None).remote())


def test_trainers_run_in_actors_and_threads(tmp_path: Path) -> None:
    class Trial:
        def run(self, trainable: Any) -> Any:
            return trainable({"train_loop_config": {"steps": 1}})

    trial = shoal.remote(num_cpus=1)(Trial).remote()
    trainable = made(tmp_path).as_trainable()
    assert shoal.get(trial.run.remote(trainable))["step"] == 0
    found: list[Result] = []
    threads = [
        threading.Thread(target=lambda number=number: found.append(made(tmp_path / str(number), 1).fit()))
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [result.return_value for result in found] == ["None 1", "None 1"]


def test_a_new_run_begins_from_the_given_checkpoint_and_an_old_one_from_its_own(tmp_path: Path) -> None:
    begin = saved("given")
    assert made(tmp_path, 1, resume_from_checkpoint=begin).fit().return_value == "given 1"
    assert made(tmp_path, 1, resume_from_checkpoint=begin).fit().return_value == "1 1"


INTERRUPTED = """
    import os, sys, threading
    from pathlib import Path
    import shoal
    from shoal import train
    from shoal.train.data_parallel_trainer import DataParallelTrainer

    def loop(folder):
        rank = train.get_context().get_world_rank()
        train.report({})
        Path(folder["folder"], f"pid-{rank}.new").write_text(str(os.getpid()))
        Path(folder["folder"], f"pid-{rank}.new").rename(Path(folder["folder"], f"pid-{rank}"))
        threading.Event().wait()

    if __name__ == "__main__":
        DataParallelTrainer(
            loop, train_loop_config={"folder": sys.argv[1]}, scaling_config=train.ScalingConfig(num_workers=2),
            run_config=train.RunConfig(storage_path=sys.argv[1])
        ).fit()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_is_interrupted_or_killed_leaves_no_worker(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(INTERRUPTED))
    driver = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    pids = [tmp_path / f"pid-{rank}" for rank in range(2)]
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in pids):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    driver.send_signal(number)
    _, errors = driver.communicate(timeout=30)
    assert driver.returncode != 0
    if number == signal.SIGINT:
        assert errors.decode().rstrip().endswith("KeyboardInterrupt")
    while any(os.path.exists(f"/proc/{path.read_text()}") for path in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_session_without_processes_is_told_what_to_do(tmp_path: Path) -> None:
    shoal.shutdown()
    shoal.init(local_mode=True)
    try:
        with pytest.raises(InvalidArgumentError, match=r"ScalingConfig\(num_workers=0\)"):
            made(tmp_path).fit()
        assert made(tmp_path, 0).fit().return_value == "None 1"
    finally:
        shoal.shutdown()
