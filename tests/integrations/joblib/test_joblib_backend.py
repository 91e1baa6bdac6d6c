"""joblib's backend, held against loky's results on real estimators."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from sklearn.cluster import DBSCAN
from sklearn.datasets import load_diabetes, make_classification
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.svm import SVC

import shoal
from shoal.util.joblib import register_ray, register_shoal, shoal_backend


@pytest.fixture(autouse=True)
def _registered() -> None:
    register_shoal()


@pytest.fixture
def backend() -> Iterator[None]:
    with joblib.parallel_config("shoal", n_jobs=2):
        yield


def test_results_come_in_order(backend: None) -> None:
    assert Parallel()(delayed(pow)(number, 2) for number in range(500)) == [number**2 for number in range(500)]


@pytest.mark.parametrize("way", ["generator", "generator_unordered"])
def test_results_can_be_iterated_over(backend: None, way: str) -> None:
    results = Parallel(return_as=way)(delayed(abs)(-number) for number in range(20))
    assert sorted(results) == list(range(20))


def test_calls_run_in_other_processes(backend: None) -> None:
    assert os.getpid() not in Parallel()(delayed(os.getpid)() for _ in range(8))


def test_the_name_ray_means_the_same() -> None:
    register_ray()
    with joblib.parallel_backend("ray", n_jobs=2):
        assert Parallel()(delayed(abs)(-number) for number in range(3)) == [0, 1, 2]


def test_an_exception_comes_back_as_itself_and_the_next_loop_works(backend: None) -> None:
    with Parallel() as parallel:
        with pytest.raises(ZeroDivisionError):
            parallel(delayed(divmod)(1, number) for number in (1, 0, 1))
        assert parallel(delayed(abs)(-number) for number in range(3)) == [0, 1, 2]


def test_other_workers_outlive_a_call_that_fails(backend: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shoal_backend, "_SECONDS_TO_END", 50)
    started = shoal.util.queue.Queue()

    def fail_or_wait(number: int) -> None:
        if number == 0:
            raise LookupError(started.get())
        started.put(os.getpid())
        time.sleep(1000)

    with pytest.raises(LookupError) as caught:
        Parallel(batch_size=1)(delayed(fail_or_wait)(number) for number in range(2))
    assert Path(f"/proc/{caught.value.args[0]}").exists()


def test_a_worker_that_dies_is_explained(backend: None) -> None:
    with pytest.raises(shoal.exceptions.WorkerCrashedError, match="SIGKILL"):
        Parallel()(delayed(os.kill)(pid, signal.SIGKILL) for pid in [0])


def change(array: np.ndarray) -> float:
    array += 1
    return float(array.sum())


def test_small_arrays_may_be_changed(backend: None) -> None:
    zeros = np.zeros(1000)
    assert Parallel()(delayed(change)(zeros) for _ in range(4)) == [1000.0] * 4
    assert zeros.sum() == 0


def test_large_arrays_are_shared_read_only_as_with_loky(backend: None) -> None:
    zeros = np.zeros(300_000)
    assert Parallel()(delayed(lambda array: array.flags.writeable)(zeros) for _ in range(2)) == [False, False]
    with pytest.raises(ValueError, match="read-only"):
        Parallel()(delayed(change)(zeros) for _ in range(2))


@pytest.mark.parametrize("settings", [{"mmap_mode": "c"}, {"max_nbytes": None}])
def test_large_arrays_are_copies_where_that_is_asked_for(backend: None, settings: dict[str, Any]) -> None:
    zeros = np.zeros(300_000)
    assert Parallel(**settings)(delayed(change)(zeros) for _ in range(4)) == [300_000.0] * 4
    assert zeros.sum() == 0


def test_a_file_that_is_mapped_is_written_by_all(backend: None, tmp_path: Path) -> None:
    def write(array: np.ndarray, position: int) -> None:
        array[position] = position

    mapped = np.memmap(tmp_path / "numbers", dtype="int64", mode="w+", shape=10)
    Parallel()(delayed(write)(mapped, position) for position in range(10))
    assert mapped.tolist() == list(range(10))


def test_tables_and_sparse_matrices_are_shared(backend: None) -> None:
    from scipy import sparse

    table = pd.DataFrame({"a": np.arange(300_000.0)})
    matrix = sparse.csr_matrix(np.eye(600))
    assert (
        Parallel()(delayed(lambda both: float(both.sum().iloc[0]))(table) for _ in range(2)) == [table["a"].sum()] * 2
    )
    assert Parallel(max_nbytes=1000)(delayed(lambda part: part.sum())(matrix) for _ in range(2)) == [600.0] * 2


def test_loops_in_calls(backend: None) -> None:
    def inner(number: int) -> int:
        return sum(Parallel(n_jobs=2)(delayed(pow)(number, power) for power in range(3)))

    assert Parallel()(delayed(inner)(number) for number in range(6)) == [1 + n + n**2 for n in range(6)]


def bound_of_threads() -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def test_the_threads_of_libraries_can_be_bounded() -> None:
    with joblib.parallel_config("shoal", n_jobs=2, inner_max_num_threads=3):
        assert Parallel()(delayed(bound_of_threads)() for _ in range(4)) == ["3"] * 4


def test_as_many_calls_at_once_as_there_are_cpus() -> None:
    with joblib.parallel_config("shoal"):
        assert joblib.effective_n_jobs(-1) == 4
        assert joblib.effective_n_jobs(-2) == 3
        with pytest.raises(ValueError, match="n_jobs"):
            joblib.effective_n_jobs(0)


def grid_search() -> Any:
    features, target = make_classification(120, random_state=0)
    search = GridSearchCV(SVC(random_state=0), {"C": [0.1, 1, 10], "kernel": ["linear", "rbf"]}, cv=3)
    search.fit(features, target)
    return search.best_params_, search.cv_results_["mean_test_score"].tolist()


def cross_validation() -> Any:
    features, target = load_diabetes(return_X_y=True)
    return cross_val_score(Ridge(), features, target, cv=5).tolist()


def forest() -> Any:
    features, target = load_diabetes(return_X_y=True)
    return RandomForestRegressor(20, random_state=0, n_jobs=2).fit(features, target).predict(features[:50]).tolist()


def trees_on_large_data() -> Any:
    features, target = make_classification(4000, 40, random_state=0)
    fitted = ExtraTreesClassifier(8, random_state=0, max_depth=5, n_jobs=2).fit(features, target)
    # On threads, in whichever order they end, the trees' answers add up to something else in the last digit.
    return fitted.set_params(n_jobs=1).predict_proba(features[:50]).tolist()


def many_outputs() -> Any:
    features, target = load_diabetes(return_X_y=True)
    both = np.column_stack([target, -target])
    return MultiOutputRegressor(Ridge(), n_jobs=2).fit(features, both).predict(features[:50]).tolist()


def clusters() -> Any:
    features, _ = make_classification(200, random_state=0)
    return DBSCAN(eps=3.5, n_jobs=2).fit_predict(features).tolist()


@pytest.mark.parametrize(
    "work",
    [grid_search, cross_validation, forest, trees_on_large_data, many_outputs, clusters],
    ids=lambda work: work.__name__,
)
def test_estimators_give_the_same_results_as_without_it(backend: None, work: Any) -> None:
    found = work()
    with joblib.parallel_config("sequential"):
        assert found == work()
