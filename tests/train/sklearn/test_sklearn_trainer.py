"""Estimators of scikit-learn in a worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import shoal.data
from shoal import train
from shoal.train import RunConfig, ScalingConfig
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.sklearn import SklearnCheckpoint, SklearnTrainer

pytest.importorskip("sklearn")
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler


def parts() -> dict[str, pd.DataFrame]:
    features, labels = load_diabetes(return_X_y=True, as_frame=True)
    table = pd.concat([features, labels], axis=1)
    return {"train": table.iloc[:300].reset_index(drop=True), "valid": table.iloc[300:].reset_index(drop=True)}


def fit(folder: Path, tables: dict[str, pd.DataFrame], **options: Any) -> train.Result:
    options.setdefault("scaling_config", ScalingConfig(num_workers=0))
    datasets = {name: shoal.data.from_pandas(table) for name, table in tables.items()}
    return SklearnTrainer(datasets=datasets, run_config=RunConfig(storage_path=folder), **options).fit()


def test_a_worker_fits_and_scores_with_its_cpus(tmp_path: Path) -> None:
    tables = parts()
    forest = RandomForestRegressor(random_state=0)
    result = fit(
        tmp_path,
        tables,
        estimator=make_pipeline(StandardScaler(), forest),
        label_column="target",
        params={"randomforestregressor__n_estimators": 10},
        scaling_config=ScalingConfig(resources_per_worker={"CPU": 2}),
    )
    assert result.metrics is not None
    assert result.metrics["fit_time"] > 0
    assert set(result.metrics["valid"]) == {"test_score", "score_time"}
    assert result.checkpoint is not None
    model = SklearnTrainer.get_model(result.checkpoint)
    assert model[-1].n_jobs == 2
    assert len(model[-1].estimators_) == 10
    assert (forest.n_jobs, forest.n_estimators) == (None, 100)
    x, y = tables["valid"].drop(columns=["target"]), tables["valid"]["target"]
    assert model.score(x, y) == pytest.approx(result.metrics["valid"]["test_score"])


def test_several_scores_and_cross_validation(tmp_path: Path) -> None:
    tables = parts()
    scoring = ["r2", "neg_mean_absolute_error"]
    result = fit(
        tmp_path,
        tables,
        estimator=Ridge(),
        label_column="target",
        params={"alpha": 0.1},
        scoring=scoring,
        cv=3,
        return_train_score_cv=True,
    )
    assert result.metrics is not None
    assert set(result.metrics["valid"]) == {"test_r2", "test_neg_mean_absolute_error", "score_time"}
    x, y = tables["train"].drop(columns=["target"]), tables["train"]["target"]
    expected = cross_validate(Ridge(alpha=0.1), x, y, scoring=scoring, cv=3, return_train_score=True)
    found = result.metrics["cv"]
    assert found["test_r2"] == pytest.approx(expected["test_r2"].tolist())
    assert found["train_r2_mean"] == pytest.approx(expected["train_r2"].mean())
    assert found["test_neg_mean_absolute_error_std"] == pytest.approx(expected["test_neg_mean_absolute_error"].std())


def test_folds_keep_groups_together(tmp_path: Path) -> None:
    table = parts()["train"].assign(cv_groups=np.arange(300) % 4)
    result = fit(tmp_path, {"train": table}, estimator=LinearRegression(), label_column="target", cv=GroupKFold(4))
    x, y = table.drop(columns=["target", "cv_groups"]), table["target"]
    expected = cross_validate(LinearRegression(), x, y, groups=table["cv_groups"], cv=GroupKFold(4))
    assert result.metrics is not None
    assert result.metrics["cv"]["test_score"] == pytest.approx(expected["test_score"].tolist())
    assert result.checkpoint is not None
    assert SklearnTrainer.get_model(result.checkpoint).n_features_in_ == 10


def test_nothing_to_predict_and_weights_of_rows(tmp_path: Path) -> None:
    x = pd.DataFrame({"x": [0.0, 0.1, 5.0, 5.1]})
    result = fit(
        tmp_path, {"train": x}, estimator=KMeans(2, n_init=1, random_state=0), sample_weight=[1.0, 3.0, 1.0, 1.0]
    )
    assert result.metrics is not None
    assert set(result.metrics) == {"fit_time"}
    assert result.checkpoint is not None
    centers = SklearnTrainer.get_model(result.checkpoint).cluster_centers_
    assert sorted(centers.ravel()) == pytest.approx([0.075, 5.05])


def test_a_search_varies_the_parameters(tmp_path: Path) -> None:
    trainer = SklearnTrainer(
        estimator=Ridge(),
        datasets={name: shoal.data.from_pandas(table) for name, table in parts().items()},
        label_column="target",
        params={"solver": "cholesky"},
        scaling_config=ScalingConfig(num_workers=0),
        run_config=RunConfig(storage_path=tmp_path),
    )
    scores = [trainer.as_trainable()({"params": {"alpha": alpha}}) for alpha in (0.1, 1000.0)]
    assert scores[0]["valid"]["test_score"] > scores[1]["valid"]["test_score"] + 0.1  # type: ignore[index]
    with pytest.raises(InvalidArgumentError, match="train_loop_config has 'alpha'; it may have 'params'"):
        trainer.as_trainable()({"train_loop_config": {"alpha": 1}})


def test_checkpoints_of_estimators(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(lambda x: np.asarray(x) * 2), LinearRegression()).fit(
        [[0.0], [1.0]], [0.0, 4.0]
    )
    saved = SklearnCheckpoint.from_estimator(model, path=tmp_path / "saved")
    assert saved.get_estimator().predict([[2.0]]) == pytest.approx([8.0])
    with pytest.raises(InvalidArgumentError, match=r"has no file 'model\.pkl'; give one that SklearnCheckpoint or"):
        SklearnCheckpoint(tmp_path).get_estimator()


def test_a_label_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(train.WorkerGroupError, match="label_column is 'y'; the dataset 'train' has 'x': give one"):
        fit(
            tmp_path,
            {"train": pd.DataFrame({"x": [1.0]})},
            estimator=LinearRegression(),
            label_column="y",
            scaling_config=ScalingConfig(),
        )


def test_importing_loads_no_sklearn() -> None:
    code = "import sys, shoal.train.sklearn as x; x.SklearnTrainer; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"estimator": LinearRegression}, "estimator is the class LinearRegression; give an instance"),
        ({"estimator": 3}, r"estimator is 3, which has no fit\(\)"),
        ({"datasets": {"valid": 1}}, r"datasets is {'valid': 1}; give a dict that has 'train'"),
        ({"datasets": {"train": 1, "cv": 1}}, "datasets has 'cv', which is the name of a metric"),
        ({"cv": 3}, "cv is 3, and label_column is None"),
        ({"scaling_config": ScalingConfig(num_workers=2)}, "num_workers is 2, and scikit-learn fits in one worker"),
        ({"scaling_config": ScalingConfig(use_gpu=True), "parallelize_cv": True}, "the worker has a GPU"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        SklearnTrainer(**{"estimator": LinearRegression(), "datasets": {"train": 1}, **options})
