"""Backends of users, in Ray's way and in shoal's, and what ranks do together without any."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.train import (
    BackendConfig,
    ControllerError,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    WorkerGroupError,
)
from shoal.train.backend import Backend, Meeting
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.v2.api.data_parallel_trainer import DataParallelTrainer as OfTheSecondGeneration
from shoal.train.worker_group import WorkerGroup


def fit(loop: Any, folder: Path, workers: int = 2, backend: BackendConfig | None = None) -> Any:
    return (
        DataParallelTrainer(
            loop,
            backend_config=backend,
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(storage_path=folder),
        )
        .fit()
        .return_value
    )


def set_variable(name: str, value: str) -> None:
    os.environ[name] = value


class InRaysWay(Backend):
    def on_start(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
        assert isinstance(backend_config, InRaysWayConfig)
        assert len(worker_group) == worker_group.num_workers == 2
        pids = worker_group.execute(os.getpid)
        assert pids == [worker.metadata.pid for worker in worker_group.workers]
        worker_group.execute_single(1, set_variable, "GREETING", value=backend_config.greeting)
        Path(backend_config.folder, "start").touch()

    def on_training_start(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
        assert isinstance(backend_config, InRaysWayConfig)
        assert Path(backend_config.folder, "start").exists()
        worker_group.execute(set_variable, "TRAINING", "begins")

    def on_shutdown(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
        assert isinstance(backend_config, InRaysWayConfig)
        worker_group.execute(Path(backend_config.folder, "shutdown").touch)


@dataclass(frozen=True)
class InRaysWayConfig(BackendConfig):
    folder: str = ""
    greeting: str = "hello"

    @property
    def backend_cls(self) -> type[Backend]:
        return InRaysWay

    @property
    def train_func_context(self) -> Callable[[], AbstractContextManager[Any]]:
        @contextmanager
        def inside() -> Iterator[None]:
            os.environ["INSIDE"] = "yes"
            yield
            del os.environ["INSIDE"]

        return inside


def test_a_backend_in_rays_way(tmp_path: Path) -> None:
    def loop() -> tuple[str, ...]:
        rank = train.get_context().get_world_rank()
        assert os.environ.get("GREETING") == ("hello" if rank == 1 else None)
        assert not (tmp_path / "shutdown").exists()
        return os.environ["TRAINING"], os.environ["INSIDE"]

    config = InRaysWayConfig(str(tmp_path))
    assert fit(loop, tmp_path, backend=config) == ("begins", "yes")
    assert (tmp_path / "shutdown").exists()
    assert config.to_dict() == {"folder": str(tmp_path), "greeting": "hello"}
    assert OfTheSecondGeneration is DataParallelTrainer


def test_what_a_backend_raises_is_the_run_s_error(tmp_path: Path) -> None:
    class Broken(Backend):
        def on_start(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
            worker_group.execute_single(0, int, "no number")

    class BrokenConfig(BackendConfig):
        @property
        def backend_cls(self) -> type[Backend]:
            return Broken

    with pytest.raises(WorkerGroupError, match="invalid literal"):
        fit(lambda: None, tmp_path, backend=BrokenConfig())


def test_a_backend_in_the_thread_of_the_loop(tmp_path: Path) -> None:
    class Own(Backend):
        def begin(self, rank: Any, meeting: Meeting) -> None:
            assert (meeting.listener is not None) == (rank.world_rank == 0)
            os.environ["BEGUN"] = f"{rank.world_rank} of {rank.world_size}"

        def end(self) -> None:
            (tmp_path / os.environ["RANK"]).touch()

    class OwnConfig(BackendConfig):
        @property
        def backend_cls(self) -> type[Backend]:
            return Own

    def loop() -> tuple[str, bool]:
        import socket

        # A loop may listen on the port by itself: rank 0 has it.
        with socket.create_server((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))) as own:
            return os.environ["BEGUN"], own.getsockname()[0] == "127.0.0.1"

    def on_rank_0() -> Any:
        return loop() if train.get_context().get_world_rank() == 0 else None

    assert fit(on_rank_0, tmp_path, backend=OwnConfig()) == ("0 of 2", True)
    assert (tmp_path / "0").exists()
    assert (tmp_path / "1").exists()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_barriers_and_broadcasts(tmp_path: Path, workers: int) -> None:
    def loop() -> list[Any]:
        rank = train.get_context().get_world_rank()
        (tmp_path / f"{rank}").touch()
        train.collective.barrier()
        assert all((tmp_path / f"{other}").exists() for other in range(train.get_context().get_world_size()))
        found = [train.collective.broadcast_from_rank_zero({"rank": rank, "round": number}) for number in range(3)]
        assert found == [{"rank": 0, "round": number} for number in range(3)]
        return found

    assert len(fit(loop, tmp_path, workers)) == 3


def test_ranks_that_meet_for_different_things(tmp_path: Path) -> None:
    def loop() -> None:
        if train.get_context().get_world_rank() == 0:
            train.collective.barrier()
        else:
            train.collective.broadcast_from_rank_zero(1)

    with pytest.raises(WorkerGroupError, match=r"rank 0: barrier\(\), rank 1: broadcast_from_rank_zero\(\)"):
        fit(loop, tmp_path)


def test_a_rank_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def loop() -> None:
        os.environ["SHOAL_TRAIN_COLLECTIVE_TIMEOUT_S"] = "0.3"
        if train.get_context().get_world_rank() == 0:
            with pytest.raises(TrainingFailedError, match=r"rank 0 waited 0.3 s in barrier\(\) for rank 1"):
                train.collective.barrier()

    fit(loop, tmp_path)


class CannotStart(Backend):
    def on_start(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
        raise LookupError("no interconnect")


class CannotStartConfig(BackendConfig):
    backend_cls = CannotStart


def test_what_drives_a_run_and_fails_is_told_from_its_workers(tmp_path: Path) -> None:
    with pytest.raises(ControllerError, match="not its workers: LookupError: no interconnect") as caught:
        fit(lambda: None, tmp_path, backend=CannotStartConfig())
    assert isinstance(caught.value.controller_failure, LookupError)
    assert caught.value.__cause__ is caught.value.controller_failure
