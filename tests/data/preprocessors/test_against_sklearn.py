"""What is learned and what comes out equals scikit-learn's, on real data with missing values and text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import shoal
from shoal.data import preprocessors as ours

datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
theirs = pytest.importorskip("sklearn.preprocessing")
impute = pytest.importorskip("sklearn.impute")

COLUMNS = ["age", "bmi", "bp"]


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    """The diabetes data of scikit-learn, unscaled, with a constant column, a text column and missing values."""
    frame = datasets.load_diabetes(as_frame=True, scaled=False).data[[*COLUMNS, "sex"]].astype("float64")
    frame["constant"] = 3.0
    frame["group"] = np.where(frame["sex"] > 1.5, "b", "a")
    return frame


@pytest.fixture(scope="module")
def with_gaps(patients: pd.DataFrame) -> pd.DataFrame:
    frame = patients.copy()
    frame.loc[::7, "bmi"] = np.nan
    frame.loc[::5, "group"] = None
    return frame


SCALERS = [
    (ours.StandardScaler, theirs.StandardScaler()),
    (ours.MinMaxScaler, theirs.MinMaxScaler()),
    (ours.MaxAbsScaler, theirs.MaxAbsScaler()),
    (ours.RobustScaler, theirs.RobustScaler()),
]


@pytest.mark.parametrize(("kind", "reference"), SCALERS, ids=[kind.__name__ for kind, _ in SCALERS])
@pytest.mark.parametrize("blocks", [1, 5])
def test_scalers(kind: Any, reference: Any, blocks: int, patients: pd.DataFrame) -> None:
    columns = [*COLUMNS, "constant"]
    size = -(-len(patients) // blocks)
    ds = shoal.data.from_pandas([patients.iloc[n * size : (n + 1) * size] for n in range(blocks)])
    found = kind(columns).fit_transform(ds).to_pandas()
    np.testing.assert_allclose(found[columns], reference.fit_transform(patients[columns]), rtol=1e-12, atol=1e-12)
    assert found["group"].tolist() == patients["group"].tolist()


def test_scalers_leave_missing_values_out(with_gaps: pd.DataFrame) -> None:
    found = ours.StandardScaler(["bmi"]).fit_transform(shoal.data.from_pandas(with_gaps)).to_pandas()
    expected = theirs.StandardScaler().fit_transform(with_gaps[["bmi"]])[:, 0]
    np.testing.assert_allclose(found["bmi"].astype(float), expected, rtol=1e-12)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_normalizer(norm: str, patients: pd.DataFrame) -> None:
    found = ours.Normalizer(COLUMNS, norm).transform(shoal.data.from_pandas(patients)).to_pandas()
    np.testing.assert_allclose(found[COLUMNS], theirs.Normalizer(norm).fit_transform(patients[COLUMNS]), rtol=1e-12)


@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
def test_power_transformer(method: str, patients: pd.DataFrame) -> None:
    reference = theirs.PowerTransformer(method, standardize=False).fit(patients[["bmi"]])
    made = ours.PowerTransformer(["bmi"], float(reference.lambdas_[0]), method)
    found = made.transform(shoal.data.from_pandas(patients)).to_pandas()["bmi"]
    np.testing.assert_allclose(found, reference.transform(patients[["bmi"]])[:, 0], rtol=1e-10)


def test_ordinal_encoder(patients: pd.DataFrame) -> None:
    found = ours.OrdinalEncoder(["group"]).fit_transform(shoal.data.from_pandas(patients)).to_pandas()["group"]
    assert found.tolist() == theirs.OrdinalEncoder().fit_transform(patients[["group"]])[:, 0].tolist()


def test_label_encoder(patients: pd.DataFrame) -> None:
    ds = shoal.data.from_pandas(patients)
    encoder = ours.LabelEncoder("group").fit(ds)
    encoded = encoder.transform(ds)
    assert encoded.to_pandas()["group"].tolist() == theirs.LabelEncoder().fit_transform(patients["group"]).tolist()
    assert encoder.inverse_transform(encoded).to_pandas()["group"].tolist() == patients["group"].tolist()


def test_one_hot_encoder(patients: pd.DataFrame) -> None:
    found = ours.OneHotEncoder(["group"]).fit_transform(shoal.data.from_pandas(patients)).take_batch(len(patients))
    expected = theirs.OneHotEncoder(sparse_output=False).fit_transform(patients[["group"]])
    np.testing.assert_array_equal(found["group"], expected)


def test_multi_hot_encoder() -> None:
    genres = [["a", "b"], ["b"], [], ["c", "a", "a"]]
    found = ours.MultiHotEncoder(["genre"]).fit_transform(shoal.data.from_items([{"genre": g} for g in genres]))
    expected = theirs.MultiLabelBinarizer().fit_transform(genres)
    np.testing.assert_array_equal(found.take_batch(4)["genre"], expected)


@pytest.mark.parametrize("strategy", ["mean", "most_frequent"])
def test_simple_imputer(strategy: str, with_gaps: pd.DataFrame) -> None:
    found = ours.SimpleImputer(["bmi"], strategy).fit_transform(shoal.data.from_pandas(with_gaps)).to_pandas()["bmi"]
    expected = impute.SimpleImputer(strategy=strategy).fit_transform(with_gaps[["bmi"]])[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_simple_imputer_of_text(with_gaps: pd.DataFrame) -> None:
    ds = shoal.data.from_pandas(with_gaps)
    frequent = ours.SimpleImputer(["group"], "most_frequent").fit_transform(ds).to_pandas()["group"]
    most = with_gaps["group"].value_counts().idxmax()
    assert frequent.tolist() == [most if pd.isna(value) else value for value in with_gaps["group"]]
    constant = ours.SimpleImputer(["group"], "constant", "?").transform(ds).to_pandas()["group"]
    assert constant.tolist() == ["?" if pd.isna(value) else value for value in with_gaps["group"]]


def test_uniform_bins(patients: pd.DataFrame) -> None:
    found = ours.UniformKBinsDiscretizer(["bmi"], 4).fit_transform(shoal.data.from_pandas(patients)).to_pandas()["bmi"]
    assert found.tolist() == pd.cut(patients["bmi"], 4, labels=False).tolist()


def test_custom_bins(patients: pd.DataFrame) -> None:
    edges = [0, 25, 30, 100]
    found = ours.CustomKBinsDiscretizer(["bmi"], edges).transform(shoal.data.from_pandas(patients)).to_pandas()["bmi"]
    assert found.tolist() == pd.cut(patients["bmi"], edges, labels=False).tolist()


def test_count_vectorizer() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    lines = ["red blue red", "green", "", "blue green green red"]
    made = ours.CountVectorizer(["line"]).fit(ds := shoal.data.from_items([{"line": line} for line in lines]))
    found = made.transform(ds).take_batch(4)["line"]
    reference = text.CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False).fit(lines)
    tokens = [token for token in made.stats_["token_counts(line)"] if token]
    expected = reference.transform(lines).toarray()
    for token in tokens:
        place = list(made.stats_["token_counts(line)"]).index(token)
        np.testing.assert_array_equal(found[:, place], expected[:, reference.vocabulary_[token]])
    assert sorted(tokens) == sorted(reference.vocabulary_)
