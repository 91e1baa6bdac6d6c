"""What settings say about failures is done: blocks left out, calls and IO tried again, files passed over and counted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from shoal.data import DataContext, Dataset
from shoal.data.block import BlockMetadata
from shoal.data.datasource import Datasink, Datasource, ReadTask
from shoal.data.exceptions import InvalidArgumentError, SchemaMismatchError

Set = Callable[..., None]


@pytest.fixture
def settings(shared_session: None) -> Iterator[Set]:
    """Changes settings for one test."""
    context = DataContext.get_current()
    before = dataclasses.replace(context)

    def change(**values: Any) -> None:
        for name, value in values.items():
            setattr(context, name, value)

    yield change
    for field in dataclasses.fields(context):
        setattr(context, field.name, getattr(before, field.name))


def refuse_some(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] in (3, 25):
        raise ValueError("refused")
    return row


class RefuseSome:
    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for number in batch["id"]:
            refuse_some({"id": number})
        return batch


STEPS: dict[str, Callable[[Dataset], Dataset]] = {
    "map": lambda ds: ds.map(refuse_some),
    "flat_map": lambda ds: ds.flat_map(lambda row: [refuse_some(row)]),
    "map_batches": lambda ds: ds.map_batches(RefuseSome().__call__, num_cpus=0.5),
    "a pool": lambda ds: ds.map_batches(RefuseSome, concurrency=1),
}
WITHOUT = [*range(10, 20), *range(30, 40)]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("most", [2, -1])
def test_blocks_that_fail_are_left_out_and_counted(step: str, most: int, settings: Set) -> None:
    settings(max_errored_blocks=most)
    made = STEPS[step](shoal.data.range(40, override_num_blocks=4)).materialize()
    assert "2 blocks failed and were left out" in made.stats()
    assert [row["id"] for row in made.take_all()] == WITHOUT


def test_counting_does_not_count_what_is_left_out(settings: Set) -> None:
    settings(max_errored_blocks=-1)
    assert shoal.data.range(40, override_num_blocks=4).map(refuse_some).count() == 20
    assert shoal.data.range(2).map(refuse_some).count() == 2, "a small dataset as well"


@pytest.mark.parametrize("step", STEPS)
def test_one_more_than_may_fail_is_an_error(step: str, settings: Set) -> None:
    settings(max_errored_blocks=1)
    with pytest.raises(ValueError, match="refused"):
        STEPS[step](shoal.data.range(40, override_num_blocks=4)).materialize()


class FailsFirst:
    """Raises the first time that it sees a row or batch; notes that on the disk, as processes may differ."""

    def __init__(self, folder: str, error: str = "busy now") -> None:
        self.folder, self.error = Path(folder), error

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        mark = self.folder / str(item["id"])[:40]
        if not mark.exists():
            mark.touch()
            raise RuntimeError(self.error)
        return item


class FailsFirstAsync(FailsFirst):
    async def __call__(self, item: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return super().__call__(item)


RETRIED: dict[str, Callable[[Dataset, str], Dataset]] = {
    "map": lambda ds, folder: ds.map(FailsFirst(folder)),
    "flat_map": lambda ds, folder: ds.flat_map(lambda row: (FailsFirst(folder)(item) for item in [row])),
    "filter": lambda ds, folder: ds.filter(lambda row: bool(FailsFirst(folder)(row))),
    "map_batches": lambda ds, folder: ds.map_batches(FailsFirst(folder)),
    "a class": lambda ds, folder: ds.map_batches(FailsFirst, fn_constructor_args=(folder,)),
    "an asynchronous class": lambda ds, folder: ds.map_batches(FailsFirstAsync, fn_constructor_args=(folder,)),
}


@pytest.mark.parametrize("step", RETRIED)
@pytest.mark.parametrize("errors", [True, ["busy"]])
def test_functions_are_called_again(step: str, errors: Any, settings: Set, tmp_path: Path) -> None:
    settings(retried_map_errors=errors, max_map_retries=1)
    made = RETRIED[step](shoal.data.range(6, override_num_blocks=2), str(tmp_path))
    assert [row["id"] for row in made.take_all()] == list(range(6))


@pytest.mark.parametrize(("errors", "times"), [(False, 3), (["other"], 3), (True, 0)])
def test_other_errors_are_raised(errors: Any, times: int, settings: Set, tmp_path: Path) -> None:
    settings(retried_map_errors=errors, max_map_retries=times)
    with pytest.raises(RuntimeError, match="busy now"):
        shoal.data.range(6).map(FailsFirst(str(tmp_path))).take_all()


def test_objects_on_actors_are_called_again(settings: Set, tmp_path: Path) -> None:
    settings(actor_task_retry_on_errors=[RuntimeError])
    made = shoal.data.range(6).map_batches(FailsFirst, fn_constructor_args=(str(tmp_path),), concurrency=1)
    assert made.sum("id") == 15


class Interrupted(Datasource):
    """Breaks off after its first table, as often as is asked for."""

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[ReadTask]:
        def read() -> Iterator[pa.Table]:
            yield pa.table({"x": [1, 2]})
            marks = len(list(self.folder.iterdir()))
            if marks < self.times:
                (self.folder / str(marks)).touch()
                raise ConnectionError("reset by peer")
            yield pa.table({"x": [3]})

        return [ReadTask(read, BlockMetadata(num_rows=3, size_bytes=24))]


def test_reading_goes_on_where_it_broke_off(settings: Set, tmp_path: Path) -> None:
    settings(retried_io_errors=["reset by peer"])
    rows = shoal.data.read_datasource(Interrupted(tmp_path, times=2)).take_all()
    assert [row["x"] for row in rows] == [1, 2, 3]


def test_reading_is_not_tried_for_ever(settings: Set, tmp_path: Path) -> None:
    settings(retried_io_errors=["timed out"])
    with pytest.raises(ConnectionError, match="reset by peer"):
        shoal.data.read_datasource(Interrupted(tmp_path, times=1)).take_all()


class FullAtFirst(Datasink[None]):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, blocks: Any, ctx: Any) -> None:
        mark = self.folder / f"mark-{ctx.task_idx}"
        if not mark.exists():
            mark.touch()
            raise OSError("try again later")
        rows = [row for block in blocks for row in block.to_pylist()]
        (self.folder / f"rows-{ctx.task_idx}").write_text(json.dumps(rows))


def test_writing_begins_again(settings: Set, tmp_path: Path) -> None:
    settings(write_file_retry_on_errors=["try again"])
    shoal.data.range(5).write_datasink(FullAtFirst(tmp_path))
    assert json.loads((tmp_path / "rows-0").read_text()) == [{"id": number} for number in range(5)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_errored_blocks", -2),
        ("max_map_retries", -1),
        ("retried_io_errors", "reset"),
        ("write_file_retry_on_errors", [OSError]),
        ("retried_map_errors", [1]),
        ("max_tasks_in_flight_per_actor", 0),
    ],
)
def test_settings_that_cannot_be(name: str, value: Any, settings: Set) -> None:
    settings(**{name: value})
    with pytest.raises(InvalidArgumentError, match=f"DataContext.{name}"):
        shoal.data.range(3).map(refuse_some).take_all()


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_files_that_are_passed_over_are_counted(kind: str, way: str, tmp_path: Path) -> None:
    read = shoal.data.read_parquet if kind == "parquet" else shoal.data.read_csv
    for number in range(3):
        if kind == "parquet":
            pq.write_table(pa.table({"a": [number]}), tmp_path / f"{number}.parquet")
        else:
            (tmp_path / f"{number}.csv").write_text(f"a,b\n{number},1\n")
    (tmp_path / f"1.{kind}").write_bytes(b"a,b\n1,2,3\n4\n")
    dataset = read(str(tmp_path), on_error="skip")
    assert [row["a"] for row in dataset.take_all()] == [0, 2]
    assert f"1 files passed over that cannot be read: {tmp_path}/1.{kind}" in dataset.stats()


def test_nothing_but_files_that_are_passed_over(way: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    dataset = shoal.data.read_images(str(tmp_path), on_error="skip")
    assert dataset.take_all() == []
    assert "1 files passed over" in dataset.stats()


def test_files_of_types_that_do_not_go_together(way: str, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a\n1\n")
    (tmp_path / "2.csv").write_text("a\nx\n")
    with pytest.raises(SchemaMismatchError, match=r"[12]\.csv does not fit .* field 'a'"):
        shoal.data.read_csv(str(tmp_path)).take_all()
