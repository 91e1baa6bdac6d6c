"""Datasets in training loops: parts of equal length, and going on where a checkpoint was made."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import train
from shoal.train import Checkpoint, FailureConfig, Result, RunConfig, ScalingConfig
from shoal.train.data_config import DataConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.exceptions import InvalidArgumentError


def fit(loop: Any, folder: Path, datasets: dict[str, Any], workers: Any = 2, **options: Any) -> Result:
    run = {name: options.pop(name) for name in ("failure_config", "name") if name in options}
    return DataParallelTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder, **run),
        datasets=datasets,
        **options,
    ).fit()


def numbers(count: int, blocks: int = 7) -> Any:
    # As it is there already, no task has to start first.
    return shoal.data.range(count, override_num_blocks=blocks).materialize()


def log(folder: Path, rank: int, text: str) -> None:
    with (folder / f"seen-{rank}").open("a") as file:
        file.write(text + "\n")


def logged(folder: Path) -> list[list[str]]:
    return [file.read_text().split() for file in sorted(folder.glob("seen-*"))]


def saved(text: str) -> Checkpoint:
    folder = Path(tempfile.mkdtemp())
    (folder / "step").write_text(text)
    return Checkpoint.from_directory(folder)


def test_parts_are_equal_and_disjoint_and_others_are_whole(tmp_path: Path) -> None:
    def loop() -> None:
        rank = train.get_context().get_world_rank()
        for name in ("train", "few", "whole"):
            for _ in range(2):
                rows = [str(row["id"]) for row in train.get_dataset_shard(name).iter_rows()]
                log(tmp_path, rank, f"{name}:{','.join(rows)}")

    datasets = {"train": numbers(101), "few": numbers(4, 1), "whole": numbers(9)}
    fit(loop, tmp_path, datasets, 3, dataset_config=DataConfig(datasets_to_split=["train", "few"]))
    seen = logged(tmp_path)
    for line in (0, 1, 2, 3):
        parts = [[int(row) for row in rank[line].partition(":")[2].split(",")] for rank in seen]
        assert {len(part) for part in parts} == {33 if line < 2 else 1}
        rows = [row for part in parts for row in part]
        assert len(rows) == len(set(rows))
    for rank in seen:
        assert rank[4] == rank[5] == "whole:" + ",".join(map(str, range(9)))


@pytest.mark.parametrize("shuffle", [None, 13])
@pytest.mark.parametrize("format_", ["numpy", "pandas", "pyarrow"])
def test_batches_of_any_format_have_the_columns_of_the_dataset(
    tmp_path: Path, format_: str, shuffle: int | None
) -> None:
    def loop() -> list[int]:
        seen: list[int] = []
        shard = train.get_dataset_shard()
        for batch in shard.iter_batches(batch_size=8, batch_format=format_, local_shuffle_buffer_size=shuffle):
            columns = batch.column_names if format_ == "pyarrow" else list(batch)
            assert columns == ["id"]
            seen += batch["id"].to_pylist() if format_ == "pyarrow" else batch["id"].tolist()
        position = shard.position()
        assert position["pass"] == 1
        assert position["done"]["0"] == [(0, 50)]
        return sorted(seen)

    assert fit(loop, tmp_path, {"train": numbers(50)}, 1).return_value == list(range(50))


@pytest.mark.parametrize("shuffle", [None, 20])
def test_no_row_is_lost_or_seen_twice_relative_to_the_checkpoint(tmp_path: Path, shuffle: int | None) -> None:
    """Rows since the checkpoint are seen again, those before it are not; ranks are killed in the middle of a pass, twice."""

    def loop() -> None:
        rank = train.get_context().get_world_rank()
        found, step = train.get_checkpoint(), 0
        if found is not None:
            with found.as_directory() as folder:
                step = int((Path(folder) / "step").read_text())
        log(tmp_path, rank, f"begin:{step}:")
        shard = train.get_dataset_shard()
        while step < 9:
            for batch in shard.iter_batches(batch_size=5, local_shuffle_buffer_size=shuffle):
                step += 1
                log(tmp_path, rank, f"rows:{step}:" + ",".join(map(str, batch["id"])))
                if step % 2 == 0:
                    train.report({"step": step}, checkpoint=saved(str(step)) if rank == 0 else None)
                if rank == 1 and step in (5, 7) and not (tmp_path / f"killed-{step}").exists():
                    (tmp_path / f"killed-{step}").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            # The end of a pass is a place to go on from, too.
            step = 9

    fit(loop, tmp_path, {"train": numbers(80, 6)}, failure_config=FailureConfig(max_failures=3))
    done: list[int] = []
    for events in logged(tmp_path):
        steps: list[tuple[int, list[int]]] = []
        assert sum(event.startswith("begin") for event in events) == 3
        for event in events:
            kind, number, rows = event.split(":")
            if kind == "begin":
                steps = [step for step in steps if step[0] <= int(number)]
            else:
                steps.append((int(number), [int(row) for row in rows.split(",")]))
        done += [row for _, rows_of_step in steps for row in rows_of_step]
    assert sorted(done) == list(range(80))


def test_a_run_goes_on_with_other_numbers_of_workers(tmp_path: Path) -> None:
    """By name: 1, then 3, then 2 workers share one pass."""

    def loop() -> None:
        rank, size = train.get_context().get_world_rank(), train.get_context().get_world_size()
        batches = train.get_dataset_shard().iter_batches(batch_size=4, prefetch_batches=2)
        for number, batch in enumerate(batches):
            log(tmp_path, rank, ",".join(map(str, batch["id"])))
            if number == 1 and size != 2:
                break
        train.report({"size": size}, checkpoint=saved("") if rank == 0 else None)

    for workers in (1, 3, 2):
        fit(loop, tmp_path, {"train": numbers(60, 5)}, workers, name="again")
    rows = [int(row) for rank in logged(tmp_path) for line in rank for row in line.split(",")]
    # 8 by one, 24 by three, and the 28 others by two.
    assert sorted(rows) == list(range(60))


def test_passes_after_the_first_begin_anew(tmp_path: Path) -> None:
    def loop() -> list[int]:
        shard = train.get_dataset_shard()
        sizes = [sum(len(batch["id"]) for batch in shard.iter_batches(batch_size=3)) for _ in range(2)]
        train.report({}, checkpoint=saved(""))
        return [*sizes, shard.materialize().count(), shard.position()["pass"]]

    for _ in range(2):
        assert fit(loop, tmp_path, {"train": numbers(10)}, 1, name="x").return_value[:3] == [10, 10, 10]


def test_tensors_of_torch_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("torch")

    def loop() -> tuple[float, Any]:
        shard = train.get_dataset_shard()
        total = 0.0
        for batch in shard.iter_torch_batches(batch_size=4):
            total += float(batch["id"].sum())
            if total > 20:
                break
        return total, shard.position()

    total, position = fit(loop, tmp_path, {"train": numbers(12)}, 0).return_value
    assert total == sum(range(8))
    assert position == {"pass": 0, "done": {"0": [(0, 8)]}}


def test_a_user_who_divides_data_in_another_way(tmp_path: Path) -> None:
    class Halves(DataConfig):
        def configure(self, datasets: Any, world_size: int, worker_handles: Any, worker_node_ids: Any) -> Any:
            whole = super().configure({"other": datasets["other"]}, world_size, worker_handles, worker_node_ids)
            parts = datasets["train"].split(world_size)
            return [{"train": part.iterator(), **rest} for part, rest in zip(parts, whole, strict=True)]

    def loop() -> tuple[int, int]:
        found = [len(list(train.get_dataset_shard(name).iter_rows())) for name in ("train", "other")]
        return found[0], found[1]

    datasets = {"train": numbers(10), "other": numbers(4)}
    config = Halves(datasets_to_split=["train"])
    assert fit(loop, tmp_path, datasets, dataset_config=config).return_value == (5, 4)


def test_wrong_datasets() -> None:
    with pytest.raises(InvalidArgumentError, match=r"datasets\['train'\] is list; give a shoal.data.Dataset"):
        DataParallelTrainer(lambda: None, datasets={"train": [1, 2]})
    with pytest.raises(
        InvalidArgumentError, match="datasets_to_split names 'tain', and the trainer's datasets are 'train'"
    ):
        DataParallelTrainer(
            lambda: None, datasets={"train": numbers(3)}, dataset_config=DataConfig(datasets_to_split=["tain"])
        )
