"""scikit-learn on shoal: its own checks of estimators, and the results that loky gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.cluster import DBSCAN
from sklearn.datasets import load_diabetes, make_classification, make_multilabel_classification
from sklearn.ensemble import BaggingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_validate, learning_curve
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from shoal.util.joblib import register_shoal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _registered() -> None:
    register_shoal()


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(4, n_jobs=2, random_state=0),
        BaggingRegressor(n_estimators=4, n_jobs=2, random_state=0),
        MultiOutputRegressor(Ridge(), n_jobs=2),
        MultiOutputClassifier(LogisticRegression(), n_jobs=2),
        OneVsRestClassifier(LogisticRegression(), n_jobs=2),
        DBSCAN(n_jobs=2),
        GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_estimator_passes_scikit_learns_own_checks(estimator: Any) -> None:
    with joblib.parallel_config("sequential"):
        expected = outcomes(estimator)
    with joblib.parallel_config("shoal", n_jobs=2):
        found = outcomes(estimator)
    assert found == expected
    assert "passed" in found.values()


def outcomes(estimator: Any) -> dict[str, str]:
    return {result["check_name"]: result["status"] for result in check_estimator(estimator, on_skip=None, on_fail=None)}


def diabetes() -> Any:
    return load_diabetes(return_X_y=True)


def searched_forest() -> Any:
    features, target = make_classification(300, random_state=0)
    search = GridSearchCV(RandomForestClassifier(10, random_state=0, n_jobs=2), {"max_depth": [2, 4]}, cv=3)
    return search.fit(features, target).cv_results_["mean_test_score"]


def searched_pipeline() -> Any:
    features, target = make_classification(300, random_state=0)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = RandomizedSearchCV(pipeline, {"logisticregression__C": np.logspace(-2, 2, 20)}, n_iter=6, random_state=0)
    return search.fit(features, target).cv_results_["mean_test_score"]


def cross_validated() -> Any:
    found = cross_validate(Ridge(), *diabetes(), cv=4, return_train_score=True)
    return np.stack([found["test_score"], found["train_score"]])


def predicted() -> Any:
    return cross_val_predict(RandomForestRegressor(10, random_state=0), *diabetes(), cv=3)


def learnt() -> Any:
    return learning_curve(Ridge(), *diabetes(), cv=3, train_sizes=[0.2, 0.5, 1.0])[2]


def many_labels() -> Any:
    features, labels = make_multilabel_classification(100, random_state=0)
    return MultiOutputClassifier(LogisticRegression(), n_jobs=2).fit(features, labels).predict(features)


def chained() -> Any:
    features, labels = make_multilabel_classification(100, random_state=0)
    return ClassifierChain(LogisticRegression(), random_state=0).fit(features, labels).predict(features)


def large_table() -> Any:
    features, target = make_classification(20_000, 20, random_state=0)
    forest = RandomForestClassifier(8, max_depth=4, random_state=0, n_jobs=2).fit(features, target)
    return forest.set_params(n_jobs=1).predict_proba(features[:50])


def clusters() -> Any:
    features, _ = make_classification(500, random_state=0)
    return DBSCAN(eps=3.5, n_jobs=2).fit_predict(features)


@pytest.mark.parametrize(
    "work",
    [
        searched_forest,
        searched_pipeline,
        cross_validated,
        predicted,
        learnt,
        many_labels,
        chained,
        large_table,
        clusters,
    ],
    ids=lambda work: work.__name__,
)
def test_results_are_those_of_loky(work: Callable[[], Any]) -> None:
    with joblib.parallel_config("shoal", n_jobs=2):
        found = work()
    with joblib.parallel_config("loky", n_jobs=2):
        np.testing.assert_array_equal(found, work())


def test_loops_within_loops_within_loops() -> None:
    def innermost(number: int) -> int:
        return number + 1

    def inner(number: int) -> int:
        return sum(Parallel(n_jobs=2)(delayed(innermost)(other) for other in range(number)))

    def outer(number: int) -> int:
        return sum(Parallel(n_jobs=2)(delayed(inner)(other) for other in range(number)))

    numbers = range(8)
    with joblib.parallel_config("shoal", n_jobs=4):
        found = Parallel()(delayed(outer)(number) for number in numbers)
    assert found == [sum(sum(range(1, other + 1)) for other in range(number)) for number in numbers]
