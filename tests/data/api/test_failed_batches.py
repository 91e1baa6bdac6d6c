"""Batches on which the user's function raised are saved where the user asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shoal
from shoal.data import DataContext, Dataset
from shoal.data.exceptions import InvalidArgumentError


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    context = DataContext.get_current()
    context.save_failed_batches_to = str(tmp_path / "failed")
    yield tmp_path / "failed"
    context.save_failed_batches_to = None


def refuse_seven(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 7:
        raise ValueError("seven")
    return row


def refuse_batch(batch: dict[str, Any]) -> dict[str, Any]:
    if 7 in batch["id"]:
        raise ValueError("seven")
    return batch


@pytest.mark.parametrize(
    ("apply", "rows"),
    [
        (lambda ds: ds.map(refuse_seven), [7]),
        (lambda ds: ds.flat_map(lambda row: [refuse_seven(row)]), [7]),
        (lambda ds: ds.filter(lambda row: bool(refuse_seven(row))), [7]),
        (lambda ds: ds.map_batches(refuse_batch, batch_size=5), [5, 6, 7, 8, 9]),
    ],
    ids=["map", "flat_map", "filter", "map_batches"],
)
def test_the_rows_are_saved_and_the_error_says_where(
    apply: Callable[[Dataset], Dataset], rows: list[int], folder: Path, way: str
) -> None:
    with pytest.raises(ValueError, match="seven") as caught:
        apply(shoal.data.range(20, override_num_blocks=1)).materialize()
    (file,) = folder.iterdir()
    assert pa.ipc.open_file(file).read_all()["id"].to_pylist() == rows
    notes = getattr(caught.value, "__notes__", None) or getattr(caught.value.__cause__, "__notes__", [])
    assert str(file) in "\n".join(notes) + str(caught.value)


def test_nothing_is_saved_unless_asked_for(tmp_path: Path, way: str) -> None:
    with pytest.raises(ValueError, match="seven") as caught:
        shoal.data.range(20).map(refuse_seven).materialize()
    assert "the batch" not in str(getattr(caught.value, "__notes__", ""))


def test_a_folder_that_cannot_be_made_does_not_hide_the_error(folder: Path, way: str) -> None:
    folder.write_text("in the way")
    with pytest.raises(ValueError, match="seven"):
        shoal.data.range(20).map(refuse_seven).materialize()


def test_a_folder_is_a_path(shared_session: None) -> None:
    wrong = dataclasses.replace(DataContext.get_current(), save_failed_batches_to=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="save_failed_batches_to is 3"):
        wrong.checked()
