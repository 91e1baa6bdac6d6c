"""Names of older versions of Ray that programs still use."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

import shoal
import shoal.data.datasource
from shoal.data import preprocessors
from shoal.data._internal.api.old_parallelism import takes_parallelism


def test_parallelism_is_override_num_blocks() -> None:
    @takes_parallelism
    def read(path: str, override_num_blocks: int | None = None) -> tuple[str, int | None]:
        return path, override_num_blocks

    with_old_names: Any = read
    assert with_old_names("x", parallelism=3) == ("x", 3)
    assert with_old_names("x", parallelism=-1) == with_old_names("x", parallelism=None) == ("x", None)
    assert with_old_names("x", parallelism=3, override_num_blocks=2) == ("x", 2)
    assert list(inspect.signature(read).parameters) == ["path", "override_num_blocks"]


def test_readers_take_it() -> None:
    numbers: Any = shoal.data.range
    assert numbers(10, parallelism=5).count() == 10
    items: Any = shoal.data.from_items
    assert items([1, 2, 3, 4], parallelism=2).num_blocks() == 2


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("discretizer", "CustomKBinsDiscretizer"),
        ("discretizer", "UniformKBinsDiscretizer"),
        ("encoder", "OrdinalEncoder"),
        ("hasher", "FeatureHasher"),
        ("normalizer", "Normalizer"),
        ("scaler", "StandardScaler"),
        ("tokenizer", "Tokenizer"),
        ("torch", "TorchVisionPreprocessor"),
        ("transformer", "PowerTransformer"),
        ("vectorizer", "CountVectorizer"),
    ],
)
def test_modules_of_preprocessors(module: str, name: str) -> None:
    found = getattr(importlib.import_module(f"shoal.data.preprocessors.{module}"), name)
    assert found is getattr(preprocessors, name)


def test_names_that_are_at_home_elsewhere_too() -> None:
    assert shoal.data.DatasetContext is shoal.data.DataContext
    assert shoal.data.NodeIdStr is str
    assert shoal.data.Preprocessor is preprocessors.Preprocessor
    assert shoal.data.RowBasedFileDatasink is shoal.data.datasource.RowBasedFileDatasink
    assert shoal.data.BlockBasedFileDatasink is shoal.data.datasource.BlockBasedFileDatasink
