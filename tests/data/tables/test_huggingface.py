"""Datasets of Hugging Face: on the disk, in memory, as streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.data.exceptions import InvalidArgumentError

datasets = pytest.importorskip(
    "datasets", reason='shoal-data[huggingface] is not installed: pip install "shoal-data[huggingface]"'
)

pytestmark = pytest.mark.usefixtures("way")

ROWS = [{"text": f"t{number}", "label": number % 3} for number in range(100)]


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    """A dataset of two files, of which tasks need no copy."""
    datasets.disable_progress_bars()
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    made = datasets.Dataset.from_list(ROWS, features=features)
    made.save_to_disk(str(tmp_path / "set"), num_shards=2)
    return datasets.load_from_disk(str(tmp_path / "set"))


def test_on_the_disk(stored: Any) -> None:
    ds = shoal.data.from_huggingface(stored, override_num_blocks=4)
    assert ds.take_all() == ROWS
    assert ds.count() == 100
    assert ds.columns() == ["text", "label"]
    assert len(ds.input_files()) == 2
    assert ds.select_columns(["label"]).take(2) == [{"label": 0}, {"label": 1}]


def test_what_was_selected_and_shuffled_stays_so(stored: Any) -> None:
    chosen = stored.shuffle(seed=1).select(range(10, 40)).with_format("numpy")
    expected = [dict(row) for row in chosen.with_format(None)]
    assert shoal.data.from_huggingface(chosen, override_num_blocks=3).take_all() == expected


def test_in_memory() -> None:
    made = datasets.Dataset.from_list(ROWS).filter(lambda row: row["label"] == 1)
    ds = shoal.data.from_huggingface(made, override_num_blocks=2)
    assert ds.num_blocks() == 2
    assert ds.take_all() == [row for row in ROWS if row["label"] == 1]


def test_arrays_become_tensors(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Array2D((2, 3), "float32"), "n": datasets.Value("int64")})
    arrays = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    made = datasets.Dataset.from_dict({"image": list(arrays), "n": range(4)}, features=features)
    made.save_to_disk(str(tmp_path / "set"))
    for given in (made, datasets.load_from_disk(str(tmp_path / "set"))):
        batch = shoal.data.from_huggingface(given).take_batch(4)
        assert batch["image"].dtype == np.float32
        assert np.array_equal(batch["image"], arrays)


def test_streams_come_in_their_order(stored: Any) -> None:
    stream = stored.to_iterable_dataset(num_shards=4)
    ds = shoal.data.from_huggingface(stream, override_num_blocks=2)
    assert ds.take_all() == ROWS
    assert ds.columns() == ["text", "label"]
    assert ds.take(3) == ROWS[:3]


def numbers() -> Iterator[dict[str, int]]:
    for number in range(2500):
        yield {"n": number}


def test_streams_without_types() -> None:
    ds = shoal.data.from_huggingface(datasets.IterableDataset.from_generator(numbers))
    assert [row["n"] for row in ds.take_all()] == list(range(2500))


def test_splits_are_named() -> None:
    made = datasets.Dataset.from_list(ROWS)
    with pytest.raises(InvalidArgumentError, match=r"'train', 'test'.*dataset\['train'\]"):
        shoal.data.from_huggingface(datasets.DatasetDict({"train": made, "test": made}))
    with pytest.raises(InvalidArgumentError, match=r"'all'"):
        shoal.data.from_huggingface(datasets.IterableDatasetDict({"all": made.to_iterable_dataset()}))
    with pytest.raises(InvalidArgumentError, match="dataset is list"):
        shoal.data.from_huggingface(ROWS)
    with pytest.raises(InvalidArgumentError, match="concurrency is 0"):
        shoal.data.from_huggingface(made, concurrency=0)
