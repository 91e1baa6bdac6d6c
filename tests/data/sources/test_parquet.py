"""Parquet files: what is known of them, what is pushed into the reading, and how it is divided."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shoal
from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.sources import parquet_footers, parquet_reading
from shoal.data._internal.sources.parquet import ParquetSource
from shoal.data._internal.sources.partitioning import Partitioning
from shoal.data.datasource import FileShuffleConfig
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError, SchemaMismatchError
from shoal.data.expressions import Expr, col, lit

Rows = Callable[..., list[dict[str, Any]]]
Read = Callable[..., pa.Table]
Tables = Callable[..., list[pa.Table]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files of ten rows, each of two row groups."""
    for number in range(4):
        ids = list(range(number * 10, number * 10 + 10))
        table = pa.table({"id": ids, "half": [value / 2 for value in ids], "name": [f"n{value}" for value in ids]})
        pq.write_table(table, tmp_path / f"part{number}.parquet", row_group_size=5)
    return tmp_path


class Opened:
    """Counts what is read of files: footers by the driver, and row groups by tasks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.footers: list[str] = []
        self.row_groups: list[int] = []
        real_footer, real_file = parquet_footers._read_footer, pq.ParquetFile
        opened = self

        def read_footer(filesystem: Any, path: str) -> Any:
            opened.footers.append(os.path.basename(path))
            return real_footer(filesystem, path)

        class CountingFile(real_file):  # type: ignore[misc]
            def read_row_groups(self, row_groups: list[int], *args: Any, **kwargs: Any) -> Any:
                opened.row_groups += row_groups
                return super().read_row_groups(row_groups, *args, **kwargs)

            def iter_batches(self, batch_size: int, row_groups: list[int], *args: Any, **kwargs: Any) -> Any:
                for group in row_groups:
                    opened.row_groups.append(group)
                    yield from super().iter_batches(batch_size, [group], *args, **kwargs)

        monkeypatch.setattr(parquet_footers, "_read_footer", read_footer)
        monkeypatch.setattr(parquet_reading.pq, "ParquetFile", CountingFile)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def test_what_footers_tell(folder: Path, opened: Opened) -> None:
    source = ParquetSource(folder)
    assert opened.footers == []
    assert source.schema() == pa.schema([("id", pa.int64()), ("half", pa.float64()), ("name", pa.string())])
    assert 500 < (source.size_bytes() or 0) < 4000
    assert opened.footers == ["part0.parquet"]
    assert source.num_rows() == 40
    assert sorted(opened.footers) == [f"part{number}.parquet" for number in range(4)]
    assert [os.path.basename(path) for path in source.input_files()] == sorted(opened.footers)
    assert opened.row_groups == []


@pytest.mark.parametrize("parallelism", [1, 2, 3, 5, 8, 100])
def test_rows_keep_their_order_however_they_are_divided(folder: Path, rows: Rows, parallelism: int) -> None:
    source = ParquetSource(folder)
    assert [row["id"] for row in rows(source, parallelism)] == list(range(40))
    tasks = source.read_tasks(parallelism)
    assert len(tasks) == min(parallelism, 8)
    assert sum(task.metadata.num_rows or 0 for task in tasks) == 40
    assert all(task.schema == source.schema() for task in tasks)


def test_tasks_are_not_larger_than_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"x": np.arange(100_000)}), tmp_path / "a.parquet", row_group_size=10_000)
    monkeypatch.setattr("shoal.data._internal.sources.parquet._MOST_BYTES", 200_000)
    tasks = ParquetSource(tmp_path).read_tasks(1)
    assert [task.metadata.num_rows for task in tasks] == [30_000, 20_000, 30_000, 20_000]
    assert tasks[1].metadata.size_bytes == pytest.approx(160_000, rel=0.05)


def test_a_limit_reads_no_more_than_it_needs(folder: Path, rows: Rows, opened: Opened) -> None:
    assert [row["id"] for row in rows(ParquetSource(folder), 8, 3)] == [0, 1, 2]
    assert opened.footers == ["part0.parquet"]
    assert opened.row_groups == [0]
    opened.footers.clear()
    opened.row_groups.clear()
    assert [row["id"] for row in rows(ParquetSource(folder), 8, 12)] == list(range(12))
    assert opened.footers == ["part0.parquet", "part1.parquet"]
    assert opened.row_groups == [0, 1, 0]


@given(limit=st.integers(0, 50), parallelism=st.integers(1, 9))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_limits(folder: Path, rows: Rows, limit: int, parallelism: int) -> None:
    source = ParquetSource(folder)
    assert [row["id"] for row in rows(source, parallelism, limit)] == list(range(min(limit, 40)))
    filtered = source.with_filter(col("id") % 2 == 0) or source.with_filter(col("half") >= 5.0)
    assert filtered is not None
    # A filter may leave rows out, so that each task gives up to the limit.
    assert [row["id"] for row in rows(filtered, parallelism, limit)][:limit] == list(range(10, 40))[:limit]


def test_columns(folder: Path, tables: Tables, read: Read) -> None:
    source = ParquetSource(folder).with_columns(["name", "id"])
    assert source.schema().names == ["name", "id"]
    assert all(table.schema == source.schema() for table in tables(source))
    assert ParquetSource(folder, columns=["half"]).schema().names == ["half"]
    assert (source.size_bytes() or 0) < (ParquetSource(folder).size_bytes() or 0)
    none = source.with_columns([])
    assert [sum(table.num_rows for table in tables(none)), none.schema().names] == [40, []]
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'name'"):
        ParquetSource(folder, columns=["nam"])
    with pytest.raises(InvalidArgumentError, match=r"\['id'\]"):
        ParquetSource(folder, columns="id")
    with pytest.raises(ColumnNotFoundError, match="'gone'"):
        source.with_columns(["gone"]).read_tasks(1)


def test_names_with_dots_beside_structs(tmp_path: Path, read: Read) -> None:
    table = pa.table({"a": [{"b": 1, "c": 2}], "a.b": [3], "d": [4]})
    pq.write_table(table, tmp_path / "x.parquet")
    source = ParquetSource(tmp_path)
    assert read(source) == table
    for columns in (["a"], ["a.b"], ["a.b", "a"], ["d"]):
        assert read(source.with_columns(columns)) == table.select(columns)


def test_filters_leave_row_groups_out(folder: Path, rows: Rows, opened: Opened) -> None:
    source = ParquetSource(folder).with_filter((col("id") >= 13) & (col("id") < 16))
    assert source is not None
    assert source.num_rows() is None
    assert [row["id"] for row in rows(source.with_columns(["id"]))] == [13, 14, 15]
    assert opened.row_groups == [0, 1]
    assert [task.metadata.num_rows for task in source.read_tasks(2)] == [None, None]
    nothing = source.with_filter(col("id") > 100)
    assert nothing is not None
    [task] = nothing.read_tasks(4)
    [table] = task()
    assert (table.num_rows, table.schema) == (0, source.schema())


def test_a_filter_may_look_at_columns_that_are_not_given(folder: Path, rows: Rows) -> None:
    source = ParquetSource(folder).with_columns(["half"]).with_filter(col("name") == "n7")
    assert source is not None
    assert rows(source) == [{"half": 3.5}]


def test_filters_that_are_not_taken(folder: Path) -> None:
    source = ParquetSource(folder)
    assert source.with_filter(col("nowhere") > 3) is None
    assert source.with_filter(col("id") + 1 > 3) is None


NAN = float("nan")
FLOATS: list[float | None] = [5.0, NAN, None, 5.0, -1.0]
PREDICATES: list[Expr] = [
    col("x") != 5.0,
    ~(col("x") > 3.0),
    ~(col("x") == 5.0),
    col("x").is_in([NAN]),
    col("x").is_in([None, 1.0]),
    col("x").not_in([5.0]),
    ~col("x").is_in([5.0]),
    ~(col("x").is_in([5.0]) | (col("x") > 7.0)),
    (col("x") > 6.0) | (col("x") != 5.0),
    col("x").is_null(),
    ~col("x").is_null(),
    col("x").is_not_null(),
    lit(NAN) == col("x"),
    (col("x") == 5.0) & (lit(True) == lit(True)),
]


@pytest.mark.parametrize("predicate", PREDICATES, ids=repr)
def test_statistics_lose_no_row(tmp_path: Path, read: Read, predicate: Expr) -> None:
    """Row groups of single values: Arrow's own filter leaves NaN out where it should not."""
    table = pa.table({"x": pa.array([*FLOATS, 5.0, NAN, 5.0, None, None], pa.float64()), "n": range(10)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    source = ParquetSource(tmp_path).with_filter(predicate)
    assert source is not None
    assert read(source)["n"] == table.filter(predicate.evaluate(table))["n"]


cells = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-5, 5),
        "f": st.none() | st.sampled_from([-1.0, 0.0, 2.5, NAN, float("inf")]),
        "s": st.none() | st.sampled_from(["", "a", "ab", "z"]),
        "b": st.none() | st.booleans(),
    }
)
comparisons = st.one_of(
    st.builds(
        lambda op, v: op(col("i"), v),
        st.sampled_from(["lt", "le", "gt", "ge", "eq", "ne"]).map(
            lambda name: lambda left, right: getattr(left, f"__{name}__")(right)
        ),
        st.integers(-6, 6),
    ),
    st.builds(
        lambda op, v: op(col("f"), v),
        st.sampled_from(["lt", "ge", "eq", "ne"]).map(
            lambda name: lambda left, right: getattr(left, f"__{name}__")(right)
        ),
        st.sampled_from([-1.0, 0.5, 2.5, NAN]),
    ),
    st.builds(lambda values: col("i").is_in(values), st.lists(st.integers(-6, 6), max_size=3)),
    st.builds(lambda values: col("s").not_in(values), st.lists(st.sampled_from(["a", "z"]), max_size=2)),
    st.builds(lambda value: col("s") > value, st.sampled_from(["", "aa", "y"])),
    st.builds(lambda name: col(name).is_null(), st.sampled_from("ifsb")),
    st.just(col("b")),
    st.just(col("k") == "1"),
)
predicates = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=4,
)


@given(
    files=st.lists(st.lists(cells, max_size=8), min_size=1, max_size=3),
    predicate=predicates,
    columns=st.permutations(["i", "f", "s", "b", "k"]).flatmap(
        lambda names: st.integers(0, 5).map(lambda n: names[:n])
    ),
    row_group=st.integers(1, 4),
    parallelism=st.integers(1, 4),
)
@settings(max_examples=120, deadline=None)
def test_filter_and_projection_mean_what_they_mean_in_memory(
    tmp_path_factory: pytest.TempPathFactory,
    tables: Tables,
    files: list[list[dict[str, Any]]],
    predicate: Expr,
    columns: list[str],
    row_group: int,
    parallelism: int,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    schema = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("b", pa.bool_())])
    whole = []
    for number, file in enumerate(files):
        table = pa.Table.from_pylist(file, schema)
        (folder / f"k={number}").mkdir()
        pq.write_table(table, folder / f"k={number}" / "x.parquet", row_group_size=row_group)
        whole.append(table.append_column("k", pa.array([str(number)] * len(file), pa.string())))
    together = concat(whole)
    frame = together.to_pandas()
    mask = pd.array(predicate.evaluate(together).to_pylist(), dtype="boolean").fillna(False).to_numpy(dtype=bool)
    source = ParquetSource(folder).with_filter(predicate)
    assert source is not None
    found = tables(source.with_columns(columns), parallelism)
    assert sum(table.num_rows for table in found) == int(mask.sum())
    assert all(table.column_names == columns for table in found)
    if columns:
        pd.testing.assert_frame_equal(
            concat(found).to_pandas(), frame[mask][columns].reset_index(drop=True), check_dtype=False
        )


def test_filters_over_directories_need_no_other_file(tmp_path: Path, rows: Rows, opened: Opened) -> None:
    for year in (2022, 2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        pq.write_table(pa.table({"x": [year, year + 1]}), tmp_path / f"year={year}" / "a.parquet")
    source = ParquetSource(tmp_path)
    assert source.schema() == pa.schema([("x", pa.int64()), ("year", pa.string())])
    late = source.with_filter(col("year") == "2024")
    assert late is not None
    assert late.num_rows() == 2
    assert sorted(opened.footers) == ["a.parquet", "a.parquet"], (
        "of the first file for its columns, and of the one that is left"
    )
    assert rows(late, 1, 1) == [{"x": 2024, "year": "2024"}]
    both = late.with_filter((col("x") > 2024) | (col("year") == "2022"))
    assert both is not None
    assert rows(both) == [{"x": 2025, "year": "2024"}]
    assert rows(late.with_columns(["year"])) == [{"year": "2024"}] * 2
    typed = ParquetSource(tmp_path, partitioning=Partitioning("hive", field_types={"year": int}))
    newer = typed.with_filter(col("year") > 2022)
    assert newer is not None
    assert [row["year"] for row in rows(newer)] == [2023, 2023, 2024, 2024]
    assert ParquetSource(tmp_path, partitioning=None).schema().names == ["x"]


def test_a_column_of_the_files_is_not_taken_from_directories(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "k=1").mkdir()
    pq.write_table(pa.table({"k": [7, 8]}), tmp_path / "k=1" / "a.parquet")
    (tmp_path / "k=2").mkdir()
    pq.write_table(pa.table({"x": [9]}), tmp_path / "k=2" / "a.parquet")
    source = ParquetSource(tmp_path)
    assert rows(source) == [{"k": 7, "x": None}, {"k": 8, "x": None}, {"k": 2, "x": 9}]
    seven = source.with_filter(col("k") < 8)
    assert seven is not None
    assert [row["k"] for row in rows(seven)] == [7, 2]


def test_paths_as_a_column(folder: Path, rows: Rows) -> None:
    source = ParquetSource(folder, include_paths=True)
    assert source.schema().names[-1] == "path"
    assert {row["path"] for row in rows(source)} == set(source.input_files())
    [first, *_] = source.input_files()
    one = source.with_filter(col("path") == first)
    assert one is not None
    assert one.num_rows() == 10
    pq.write_table(pa.table({"path": [1]}), folder / "a.parquet")
    with pytest.raises(SchemaMismatchError, match=r"a\.parquet has a column 'path'"):
        ParquetSource(folder / "a.parquet", include_paths=True).schema()


def test_files_that_differ_are_unified(tmp_path: Path, tables: Tables) -> None:
    pq.write_table(pa.table({"x": pa.array([1], pa.int32()), "only_a": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"only_b": [[1, 2]], "x": [2.5]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"x": pa.array([3], pa.int64())}), tmp_path / "c.parquet")
    found = tables(ParquetSource(tmp_path), 3)
    expected = pa.schema([("x", pa.float64()), ("only_a", pa.string()), ("only_b", pa.list_(pa.int64()))])
    assert [table.schema for table in found] == [expected] * 3
    assert [row for table in found for row in table.to_pylist()] == [
        {"x": 1.0, "only_a": "a", "only_b": None},
        {"x": 2.5, "only_a": None, "only_b": [1, 2]},
        {"x": 3.0, "only_a": None, "only_b": None},
    ]


def test_files_that_contradict_are_named(tmp_path: Path, rows: Rows) -> None:
    pq.write_table(pa.table({"x": [1], "y": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [2], "y": ["two"]}), tmp_path / "b.parquet")
    source = ParquetSource(tmp_path)
    with pytest.raises(SchemaMismatchError, match=r"b\.parquet.*'y'.*int64.*string"):
        source.read_tasks(2)
    assert rows(source, 2, 1) == [{"x": 1, "y": 1}]
    text = ParquetSource(tmp_path, schema=pa.schema([("y", pa.string()), ("z", pa.int8())]))
    assert rows(text) == [{"y": "1", "z": None}, {"y": "two", "z": None}]
    numbers = ParquetSource(tmp_path, schema=pa.schema([("y", pa.int64())]))
    with pytest.raises(SchemaMismatchError, match=r"b\.parquet: field 'y'.*string.*int64"):
        rows(numbers)


def test_a_broken_file(folder: Path, rows: Rows, opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "part2.parquet").write_bytes(b"not Parquet at all")
    with pytest.raises(FileReadError, match=r"part2\.parquet"):
        ParquetSource(folder).num_rows()
    with pytest.raises(FileReadError, match=r"part2\.parquet"):
        ParquetSource(folder).read_tasks(2)
    assert len(rows(ParquetSource(folder), 2, 20)) == 20
    source = ParquetSource(folder, on_error="skip")
    assert source.num_rows() == 30
    assert [row["id"] for row in rows(source)] == [*range(20), *range(30, 40)]
    assert "part2.parquet" in caplog.text
    (folder / "part0.parquet").write_bytes(b"")
    assert ParquetSource(folder, on_error="skip").num_rows() == 20
    with pytest.raises(InvalidArgumentError, match="on_error='ignore'"):
        ParquetSource(folder, on_error="ignore")  # type: ignore[arg-type]


def test_a_file_that_breaks_after_its_footer_was_read(folder: Path) -> None:
    path = folder / "part1.parquet"
    source = ParquetSource(folder, on_error="skip")
    [task] = source.read_tasks(1)
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)
    assert [value for table in task() for value in table["id"].to_pylist()] == [*range(10), *range(20, 40)]
    assert [os.path.basename(skipped) for skipped in task.read_fn.skipped_files] == ["part1.parquet"]  # type: ignore[attr-defined]
    source.on_error = "raise"
    [task] = source.read_tasks(1)
    with pytest.raises(FileReadError, match=r"part1\.parquet"):
        list(task())
    path.unlink()
    with pytest.raises(FileReadError, match=r"part1\.parquet"):
        list(task())


def test_types_survive(tmp_path: Path, read: Read) -> None:
    table = pa.table(
        {
            "tensor": array_of(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
            "ragged": array_of([np.zeros((1, 2)), np.ones((3, 2))]),
            "dictionary": pa.array(["a", "b"]).dictionary_encode(),
            "time": pa.array([datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), None], pa.timestamp("us", "UTC")),
            "decimal": pa.array([1, 2], pa.decimal128(10, 2)),
            "nested": [[{"a": [1]}], None],
            "large": pa.array(["x" * 100_000, None], pa.large_string()),
            "null": pa.nulls(2),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    found = read(ParquetSource(tmp_path))
    assert found.schema == table.schema
    assert found == table
    frame = pd.DataFrame({"x": [1, 2]}, index=["a", "b"])
    frame.to_parquet(tmp_path / "x.parquet")
    assert ParquetSource(tmp_path).schema().metadata is None
    assert read(ParquetSource(tmp_path)).column_names == ["x", "__index_level_0__"]


def test_empty_files_and_tables(tmp_path: Path, tables: Tables) -> None:
    pq.write_table(pa.table({"x": pa.array([], pa.int8())}), tmp_path / "a.parquet")
    source = ParquetSource(tmp_path)
    assert source.num_rows() == 0
    [table] = tables(source)
    assert table == pa.table({"x": pa.array([], pa.int8())})
    pq.write_table(pa.table({"x": pa.array([1], pa.int8())}), tmp_path / "b.parquet")
    assert sum(table.num_rows for table in tables(source)) == 0, "files that come later are not part of it"
    assert sum(table.num_rows for table in tables(ParquetSource(tmp_path))) == 1


def test_large_row_groups_come_in_pieces(tmp_path: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(
        pa.table({"x": np.random.default_rng(0).random(40_000)}), tmp_path / "a.parquet", row_group_size=20_000
    )
    monkeypatch.setattr("shoal.data._internal.sources.parquet_reading._AT_ONCE_BYTES", 40_000)
    monkeypatch.setattr("shoal.data._internal.sources.files._FEW_BYTES", 1)
    monkeypatch.setattr("shoal.data._internal.sources.files._MOST_BYTES", 50_000)
    found = tables(ParquetSource(tmp_path), 1)
    assert len(found) >= 8
    assert max(table.nbytes for table in found) <= 50_000
    assert concat(found) == pq.read_table(tmp_path / "a.parquet")


def test_arguments_of_arrow(folder: Path, rows: Rows, tables: Tables) -> None:
    source = ParquetSource(
        folder,
        columns=["id"],
        arrow_parquet_args={
            "filter": pc.field("half") >= 19.0,
            "batch_size": 1,
            "use_threads": False,
            "batch_readahead": 2,
        },
    )
    assert rows(source) == [{"id": 38}, {"id": 39}]
    assert source.num_rows() is None
    encoded = ParquetSource(folder, arrow_parquet_args={"read_dictionary": ["name"]})
    assert [row["name"] for row in rows(encoded)][:2] == ["n0", "n1"]
    with pytest.raises(InvalidArgumentError, match="'colums'"):
        ParquetSource(folder, arrow_parquet_args={"colums": ["id"]})


def test_shuffled_files(folder: Path, rows: Rows) -> None:
    source = ParquetSource(folder, shuffle=FileShuffleConfig(3, reseed_after_execution=False))
    found = [row["id"] for row in rows(source)]
    assert found != list(range(40))
    assert sorted(found) == list(range(40))
    assert found == [row["id"] for row in rows(source, 7)]
    assert found[:5] == [row["id"] for row in rows(source, 7, 5)]


def test_other_file_systems(rows: Rows) -> None:
    memory = fsspec.filesystem("memory")
    with memory.open("/parquet/k=1/a.parquet", "wb") as file:
        pq.write_table(pa.table({"x": [1, 2, 3]}), file)
    source = ParquetSource("memory://parquet").with_filter(col("x") > 1)
    assert source is not None
    assert rows(source) == [{"x": 2, "k": "1"}, {"x": 3, "k": "1"}]


def test_repeated_names(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["x", "x"]), tmp_path / "a.parquet")
    with pytest.raises(SchemaMismatchError, match=r"a\.parquet has more than one column 'x'"):
        ParquetSource(tmp_path).schema()


def test_paths_that_are_skipped(tmp_path: Path) -> None:
    for number in range(3):
        pq.write_table(pa.table({"x": [number]}), tmp_path / f"{number}.parquet")
    (tmp_path / "more").mkdir()
    pq.write_table(pa.table({"x": [3]}), tmp_path / "more" / "3.parquet")
    read = shoal.data.read_parquet(str(tmp_path), skip_paths=[str(tmp_path / "1.parquet"), str(tmp_path / "more")])
    assert [row["x"] for row in read.take_all()] == [0, 2]


def test_bytes_that_are_tensors(tmp_path: Path) -> None:
    tensors = [np.arange(6, dtype=np.float32).reshape(2, 3) + number for number in range(3)]
    rows = {"id": [0, 1, 2, 3], "x": [*(tensor.tobytes() for tensor in tensors), None]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    read = shoal.data.read_parquet(str(tmp_path), tensor_column_schema={"x": (np.float32, (2, 3))})
    assert read.count() == 4
    assert read.schema().types[1] == pa.fixed_shape_tensor(pa.float32(), [2, 3])
    found = [row["x"] for row in read.take_all()]
    assert all((one == other).all() for one, other in zip(found, tensors, strict=False)) and found[3] is None
    with pytest.raises(ValueError, match="24 bytes of column 'x' are no tensor of float64"):
        shoal.data.read_parquet(str(tmp_path), tensor_column_schema={"x": (np.float64, (2, 3))}).take(1)
    with pytest.raises(InvalidArgumentError, match="tensor_column_schema"):
        shoal.data.read_parquet(str(tmp_path), tensor_column_schema={"x": np.float64})


# --- row hashes ----------------------------------------------------------------------------------------------------------------


def _hashes(table: pa.Table) -> dict[int, int]:
    """By id."""
    return dict(zip(table["id"].to_pylist(), table["row_hash"].to_pylist(), strict=True))


def test_row_hashes_tell_rows_apart_and_depend_on_file_and_place_alone(folder: Path, read: Read) -> None:
    whole = read(ParquetSource(folder, include_row_hash=True), 1)
    assert whole.schema.field("row_hash").type == pa.uint64()
    known = _hashes(whole)
    assert len(set(known.values())) == 40
    assert _hashes(read(ParquetSource(folder, include_row_hash=True), 8)) == known
    batches = ParquetSource(folder, include_row_hash=True, arrow_parquet_args={"batch_size": 3})
    assert _hashes(read(batches, 2)) == known
    one_file = ParquetSource(folder / "part2.parquet", include_row_hash=True)
    assert _hashes(read(one_file)) == {number: known[number] for number in range(20, 30)}


def test_row_hashes_of_rows_that_a_filter_leaves(folder: Path, read: Read) -> None:
    known = _hashes(read(ParquetSource(folder, include_row_hash=True)))
    filtered = ParquetSource(folder, include_row_hash=True).with_filter(col("id") >= 37)
    assert filtered is not None
    assert _hashes(read(filtered)) == {number: known[number] for number in (37, 38, 39)}
    for number in range(12):
        by_hash = ParquetSource(folder, include_row_hash=True).with_filter(col("row_hash") == known[number])
        assert by_hash is not None
        assert read(by_hash)["id"].to_pylist() == [number]


def test_row_hashes_alone(folder: Path, read: Read) -> None:
    known = _hashes(read(ParquetSource(folder, include_row_hash=True)))
    alone = read(ParquetSource(folder, include_row_hash=True, columns=["row_hash"]))
    assert alone.to_pydict() == {"row_hash": list(known.values())}
    without = read(ParquetSource(folder, include_row_hash=True).with_columns(["id"]))
    assert without.column_names == ["id"]


def test_row_hashes_are_the_same_in_the_driver_and_in_tasks(folder: Path, way: str) -> None:
    rows = shoal.data.read_parquet(str(folder), include_row_hash=True).take_all()
    direct = pa.concat_tables(
        [table for task in ParquetSource(folder, include_row_hash=True).read_tasks(1) for table in task()]
    )
    assert {row["id"]: row["row_hash"] for row in rows} == _hashes(direct)


def test_a_file_that_has_a_row_hash_itself(tmp_path: Path) -> None:
    pq.write_table(pa.table({"row_hash": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SchemaMismatchError, match=r"a\.parquet has a column 'row_hash' itself"):
        ParquetSource(tmp_path, include_row_hash=True).schema()
