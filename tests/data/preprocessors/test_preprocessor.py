"""What all preprocessors do alike: formats, states, errors, keeping."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import shoal
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError
from shoal.data.preprocessors import (
    Categorizer,
    Chain,
    Concatenator,
    CustomKBinsDiscretizer,
    FeatureHasher,
    FitStatus,
    HashingVectorizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    Preprocessor,
    PreprocessorNotFittedException,
    SimpleImputer,
    StandardScaler,
    Tokenizer,
    TorchVisionPreprocessor,
    UniformKBinsDiscretizer,
)

ROWS = [{"x": float(n), "y": n % 3, "c": "ab"[n % 2]} for n in range(6)]


@pytest.fixture(scope="module")
def ds() -> Any:
    return shoal.data.from_items(ROWS)


@pytest.fixture(scope="module")
def fitted(ds: Any) -> Preprocessor:
    return MinMaxScaler(["x"]).fit(ds)


def test_a_batch_comes_back_in_its_format(fitted: Preprocessor) -> None:
    expected = [0.0, 0.5, 1.0]
    numbers = fitted.transform_batch({"x": np.array([0.0, 2.5, 5.0])})
    assert isinstance(numbers["x"], np.ndarray)
    assert numbers["x"].tolist() == expected
    frame = fitted.transform_batch(pd.DataFrame({"x": [0.0, 2.5, 5.0]}))
    assert isinstance(frame, pd.DataFrame)
    assert frame["x"].tolist() == expected
    table = fitted.transform_batch(pa.table({"x": [0.0, 2.5, 5.0]}))
    assert isinstance(table, pa.Table)
    assert table["x"].to_pylist() == expected


def test_other_columns_get_the_results_where_that_is_asked_for(ds: Any) -> None:
    row = StandardScaler(["x"], output_columns=["z"]).fit_transform(ds).take(1)[0]
    assert row["x"] == 0.0
    assert row["z"] == pytest.approx(-1.4638501094)


def test_nothing_is_applied_before_it_is_fitted(ds: Any) -> None:
    scaler = StandardScaler(["x"])
    assert scaler.fit_status() == FitStatus.NOT_FITTED
    with pytest.raises(PreprocessorNotFittedException, match="StandardScaler") as caught:
        scaler.transform(ds)
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(PreprocessorNotFittedException):
        scaler.transform_batch({"x": np.array([1.0])})
    assert scaler.fit(ds).fit_status() == FitStatus.FITTED
    assert Normalizer(["x"]).fit_status() == FitStatus.NOT_FITTABLE


def test_kept_as_text_and_by_pickle(fitted: Preprocessor) -> None:
    for copy in (Preprocessor.deserialize(fitted.serialize()), pickle.loads(pickle.dumps(fitted))):
        assert copy.transform_batch({"x": np.array([2.5])})["x"].tolist() == [0.5]
    with pytest.raises(InvalidArgumentError, match="deserialize"):
        Preprocessor.deserialize("something else")


def test_missing_columns_are_named_with_close_ones(ds: Any, fitted: Preprocessor) -> None:
    with pytest.raises(ColumnNotFoundError, match="xx"):
        StandardScaler(["xx"]).fit(ds)
    with pytest.raises(ColumnNotFoundError, match="MinMaxScaler: there is no column 'x'"):
        fitted.transform_batch({"X": np.array([1.0])})


def test_a_chain_fits_each_on_what_the_others_make(ds: Any) -> None:
    chain = Chain(
        StandardScaler(["x"]), MinMaxScaler(["x"]), OneHotEncoder(["c"]), Concatenator(["x", "c"], flatten=True)
    )
    assert chain.fit_status() == FitStatus.NOT_FITTED
    batch = chain.fit_transform(ds).take_batch(6)
    assert chain.fit_status() == FitStatus.FITTED
    np.testing.assert_allclose(batch["concat_out"][:, 0], np.arange(6) / 5)
    assert batch["concat_out"][:, 1:].tolist() == [[1, 0], [0, 1]] * 3
    assert set(batch) == {"y", "concat_out"}
    assert chain.transform_batch({"x": np.array([5.0]), "c": np.array(["b"])})["concat_out"].tolist() == [[1, 0, 1]]
    assert (chain.get_input_columns(), chain.get_output_columns()) == (["x", "c"], ["x", "c", "concat_out"])


def test_a_chain_that_is_fitted_in_part(ds: Any) -> None:
    chain = Chain(StandardScaler(["x"]).fit(ds), MinMaxScaler(["x"]))
    assert chain.fit_status() == FitStatus.PARTIALLY_FITTED
    with pytest.raises(PreprocessorNotFittedException):
        chain.transform(ds)


def test_categories_that_were_not_seen(ds: Any) -> None:
    assert pd.isna(OrdinalEncoder(["c"]).fit(ds).transform_batch(pd.DataFrame({"c": ["z"]}))["c"][0])
    vectors = OneHotEncoder(["c"]).fit(ds).transform_batch({"c": np.array(["z", "a"])})["c"]
    assert vectors.tolist() == [[0, 0], [1, 0]]


def test_only_the_most_frequent_categories_get_a_place() -> None:
    few = shoal.data.from_items([{"c": c} for c in "aaabbc"])
    vectors = OneHotEncoder(["c"], max_categories={"c": 2}).fit_transform(few).take_batch(6)["c"]
    assert vectors.tolist() == [[1, 0]] * 3 + [[0, 1]] * 2 + [[0, 0]]


def test_lists_of_categories() -> None:
    lists = shoal.data.from_items([{"c": ["b", "a"]}, {"c": ["a"]}])
    items = OrdinalEncoder(["c"]).fit_transform(lists).take_all()
    assert [list(row["c"]) for row in items] == [[1, 0], [0]]
    whole = OrdinalEncoder(["c"], encode_lists=False).fit_transform(lists).take_all()
    assert [row["c"] for row in whole] == [1, 0]


def test_categorizer(ds: Any) -> None:
    made = Categorizer(["c"]).fit_transform(ds)
    assert made.to_pandas()["c"].tolist() == ["a", "b"] * 3
    given = Categorizer(["c"], dtypes={"c": pd.CategoricalDtype(["b", "a"])}).fit(ds)
    assert list(given.transform_batch(pd.DataFrame({"c": ["a"]}))["c"].cat.categories) == ["b", "a"]


def test_concatenator(ds: Any) -> None:
    made = Concatenator(["y", "x"], "v", dtype=np.float32).transform(ds).take_batch(2)
    assert made["v"].dtype == np.float32
    assert made["v"].tolist() == [[0, 0], [1, 1]]
    with pytest.raises(ColumnNotFoundError, match="nope"):
        Concatenator(["nope"], raise_if_missing=True).transform_batch({"x": np.array([1.0])})
    with pytest.raises(TypeError, match="'c'"):
        Concatenator(["c"]).transform_batch({"c": np.array(["a"])})


def test_text() -> None:
    lines = shoal.data.from_items([{"t": "a b a"}, {"t": None}])
    assert [
        row["t"] if row["t"] is None else list(row["t"]) for row in Tokenizer(["t"]).transform(lines).take_all()
    ] == [
        ["a", "b", "a"],
        None,
    ]
    hashed = HashingVectorizer(["t"], 50).transform(lines).take_batch(2)["t"]
    assert sorted(hashed[0].tolist())[-2:] == [1, 2]
    assert hashed[1].sum() == 0
    counts = {"red": np.array([1, 0]), "blue": np.array([2, 5])}
    vectors = FeatureHasher(["red", "blue"], 40, "v").transform_batch(counts)
    assert set(vectors) == {"v"}
    assert vectors["v"].sum(axis=1).tolist() == [3, 5]


def test_torchvision() -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    images = shoal.data.from_items([{"image": np.full((2, 2, 3), n, np.uint8)} for n in range(2)])
    made = TorchVisionPreprocessor(["image"], lambda image: image.to(torch.float32) + 0.5).transform(images)
    assert made.take_batch(2)["image"].shape == (2, 2, 2, 3)
    assert made.take(1)[0]["image"].max() == 0.5


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: StandardScaler("x"), "columns='x'"),
        (lambda: StandardScaler([]), "columns"),
        (lambda: StandardScaler(["x"], output_columns=["a", "b"]), "output_columns"),
        (lambda: Normalizer(["x"], "l3"), "norm='l3'"),
        (lambda: SimpleImputer(["x"], "median"), "strategy='median'"),
        (lambda: SimpleImputer(["x"], "constant"), "fill_value"),
        (lambda: CustomKBinsDiscretizer(["x"], [3, 1]), "bins of 'x'"),
        (lambda: UniformKBinsDiscretizer(["x"], 0), "bins of 'x'"),
        (lambda: UniformKBinsDiscretizer(["x"], {"y": 2}), "'x'"),
        (lambda: HashingVectorizer(["x"], 0), "num_features=0"),
        (lambda: OneHotEncoder(["x"], max_categories={"z": 2}), "max_categories"),
        (lambda: Chain(), "Chain"),
    ],
)
def test_bad_arguments_are_refused_at_once(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


def test_nothing_to_fill_in() -> None:
    with pytest.raises(ValueError, match="'x' has no value"):
        SimpleImputer(["x"]).fit(shoal.data.from_arrow(pa.table({"x": pa.array([None, None], pa.float64())})))


def test_in_tasks(ds: Any) -> None:
    many = shoal.data.range(1000, override_num_blocks=4)
    made = MinMaxScaler(["id"]).fit_transform(many, transform_num_cpus=1, transform_batch_size=100)
    assert made.sum("id") == pytest.approx(500.0)


def test_whole_numbers_are_filled_with_their_mean() -> None:
    ds = shoal.data.from_items([{"x": 0}, {"x": 3}, {"x": None}, {"x": 4}, {"x": 3}])
    assert [row["x"] for row in SimpleImputer(["x"]).fit_transform(ds).take_all()] == [0.0, 3.0, 2.5, 4.0, 3.0]
    assert [row["x"] for row in SimpleImputer(["x"], "most_frequent").fit_transform(ds).take_all()] == [0, 3, 3, 4, 3]
