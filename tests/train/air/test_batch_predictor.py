"""Predictions for datasets, in real actors, with models of the real libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import shoal.data
from shoal.train import Checkpoint
from shoal.train.batch_predictor import BatchPredictor
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.predictor import Predictor


def rows() -> pd.DataFrame:
    values = np.arange(60, dtype=np.float64)
    return pd.DataFrame({"id": np.arange(60), "x": values, "z": values % 7})


def target(frame: pd.DataFrame) -> Any:
    return 2 * frame["x"] + frame["z"]


def predicted(predictor: BatchPredictor, **options: Any) -> pd.DataFrame:
    dataset = predictor.predict(
        shoal.data.from_pandas(rows()),
        feature_columns=["x", "z"],
        keep_columns=["id"],
        batch_size=16,
        max_scoring_workers=2,
        **options,
    )
    found: pd.DataFrame = dataset.to_pandas().sort_values("id").reset_index(drop=True)
    assert list(found["id"]) == list(range(60))
    return found


def test_sklearn() -> None:
    from sklearn.linear_model import LinearRegression

    from shoal.train.sklearn import SklearnCheckpoint, SklearnPredictor

    model = LinearRegression().fit(rows()[["x", "z"]], target(rows()))
    found = predicted(BatchPredictor.from_checkpoint(SklearnCheckpoint.from_estimator(model), SklearnPredictor))
    assert np.allclose(found["predictions"], target(rows()))


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    from shoal.train.torch import TorchCheckpoint, TorchPredictor

    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, 1.0]]))
        model.bias.zero_()
    for checkpoint, options in (
        (TorchCheckpoint.from_state_dict(model.state_dict()), {"model": torch.nn.Linear(2, 1)}),
        (TorchCheckpoint.from_model(model), {}),
    ):
        predictor = TorchPredictor.from_checkpoint(checkpoint, **options)  # type: ignore[arg-type]
        found = predictor.predict(rows()[["x", "z"]])
        assert np.allclose(np.stack(found["predictions"])[:, 0], target(rows()))
    with pytest.raises(InvalidArgumentError, match="holds weights; give model="):
        TorchPredictor.from_checkpoint(TorchCheckpoint.from_state_dict(model.state_dict()))
    found = predicted(BatchPredictor(checkpoint, TorchPredictor))
    assert np.allclose(np.stack(found["predictions"])[:, 0], target(rows()))


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosted_trees(library: str) -> None:
    pytest.importorskip(library)
    features = rows()[["x", "z"]]
    predictor_cls: type[Predictor]
    if library == "xgboost":
        import xgboost

        from shoal.train.xgboost import XGBoostCheckpoint, XGBoostPredictor

        booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(features, target(rows())), 5)
        checkpoint: Checkpoint = XGBoostCheckpoint.from_model(booster)
        expected, predictor_cls = booster.predict(xgboost.DMatrix(features)), XGBoostPredictor
    else:
        import lightgbm

        from shoal.train.lightgbm import LightGBMCheckpoint, LightGBMPredictor

        model = lightgbm.train({"verbose": -1, "min_data": 2}, lightgbm.Dataset(features, target(rows())), 5)
        checkpoint = LightGBMCheckpoint.from_model(model)
        expected, predictor_cls = np.asarray(model.predict(features)), LightGBMPredictor
    assert np.allclose(predictor_cls.from_checkpoint(checkpoint).predict(features)["predictions"], expected)


class Scaled(Predictor):
    """A user's own."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, **kwargs: Any) -> Scaled:
        return cls(checkpoint.get_metadata()["factor"] * kwargs.get("more", 1))

    def _predict_numpy(self, data: Any, add: float = 0.0, **kwargs: Any) -> Any:
        return {"scaled": data["x"] * self.factor + add}


def test_a_predictor_of_ones_own(tmp_path: Any) -> None:
    checkpoint = Checkpoint.from_directory(tmp_path)
    checkpoint.set_metadata({"factor": 3})
    found = predicted(BatchPredictor.from_checkpoint(checkpoint, Scaled, more=2), add=0.5)
    assert list(found["scaled"]) == [6 * x + 0.5 for x in rows()["x"]]
    assert Scaled(2).predict({"x": np.array([1.0])})["scaled"].tolist() == [2.0]
    assert list(Scaled(2).predict(pd.DataFrame({"x": [1.0]}))["scaled"]) == [2.0]


def test_a_function() -> None:
    found = predicted(BatchPredictor.from_pandas_udf(lambda frame: pd.DataFrame({"sum": frame["x"] + frame["z"]})))
    assert list(found["sum"]) == list(rows()["x"] + rows()["z"])


def test_a_preprocessor_comes_first() -> None:
    class Halved:
        def transform_batch(self, batch: Any) -> Any:
            return {"x": batch["x"] / 2}

    predictor = Scaled(2)
    predictor.set_preprocessor(Halved())
    assert predictor.predict({"x": np.array([1.0])})["scaled"].tolist() == [1.0]


def test_wrong_arguments(tmp_path: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="give a class that derives from Predictor"):
        BatchPredictor(Checkpoint("x"), dict)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="give a DataFrame, or a dict of arrays"):
        Scaled(1).predict([1])  # type: ignore[arg-type]
    from shoal.train.xgboost import XGBoostCheckpoint

    with pytest.raises(InvalidArgumentError, match=r"has no file 'model\.ubj'"):
        XGBoostCheckpoint(tmp_path).get_model()
