"""One measurement of another library's parallel API, made by integrations.py in a process of its own.

    python integrations_cases.py '{"backend": "shoal", "case": "tiny_maps", "quick": false}' FILE_DESCRIPTOR

Backends: shoal, ray (its adapters), and own: multiprocessing, concurrent.futures, loky, Dask's processes.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SLOTS = 2


def same(value: Any) -> Any:
    return value


def taken(work: Callable[[], Any], times: int = 1) -> float:
    """Returns the seconds of so many runs."""
    started = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - started


class Setting:
    """What a measurement is made with.

    Args:
        backend: "shoal", "ray" or "own".
        quick: a glance instead of a measurement.
    """

    def __init__(self, backend: str, quick: bool) -> None:
        self.backend = backend
        self.quick = quick

    def count(self, full: int) -> int:
        return max(1, full // 20) if self.quick else full

    def start(self) -> None:
        """Begins a session."""
        if self.backend != "own":
            importlib.import_module(self.backend).init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)

    def pool(self) -> Any:
        """Returns a pool."""
        if self.backend == "own":
            import multiprocessing

            return multiprocessing.Pool(SLOTS)
        return importlib.import_module(f"{self.backend}.util.multiprocessing").Pool(SLOTS)

    @contextlib.contextmanager
    def joblib(self) -> Iterator[Any]:
        """Has joblib use the backend."""
        import joblib

        name = "loky"
        if self.backend != "own":
            adapter = importlib.import_module(f"{self.backend}.util.joblib")
            getattr(adapter, f"register_{self.backend}")()
            name = self.backend
        with joblib.parallel_config(name, n_jobs=SLOTS):
            joblib.Parallel()(joblib.delayed(same)(number) for number in range(4))
            yield joblib

    def dask_options(self) -> dict[str, Any]:
        """Returns arguments of compute()."""
        if self.backend == "own":
            return {"scheduler": "processes", "num_workers": SLOTS}
        return {"scheduler": getattr(importlib.import_module(f"{self.backend}.util.dask"), f"{self.backend}_dask_get")}


def tiny_maps(setting: Setting) -> float:
    with setting.pool() as pool:
        pool.map(same, range(100))
        count = setting.count(1000)
        return taken(lambda: pool.map(same, range(8)), count) * 1000 / count


def one_map(setting: Setting) -> float:
    with setting.pool() as pool:
        pool.map(same, range(100))
        return taken(lambda: pool.map(same, range(1000), chunksize=1))


def pool_start(setting: Setting) -> float:
    started = time.perf_counter()
    with setting.pool() as pool:
        pool.apply(same, (1,))
        return time.perf_counter() - started


def executor_map(setting: Setting) -> float:
    module, name = (
        ("concurrent.futures", "ProcessPoolExecutor")
        if setting.backend == "own"
        else ("shoal.util.futures", "Executor")
    )
    kind: Any = getattr(importlib.import_module(module), name)
    with kind(SLOTS) as executor:
        list(executor.map(same, range(100)))
        return taken(lambda: list(executor.map(same, range(2000))))


def joblib_tiny(setting: Setting) -> float:
    with setting.joblib() as joblib:
        count = setting.count(10_000)
        return (
            taken(lambda: joblib.Parallel()(joblib.delayed(same)(number) for number in range(count))) * 10_000 / count
        )


def total(array: Any, position: int) -> float:
    return float(array[position::100].sum())


def joblib_array(setting: Setting) -> float:
    import numpy as np

    array = np.random.default_rng(0).random(10_000_000)
    with setting.joblib() as joblib:
        return taken(lambda: joblib.Parallel()(joblib.delayed(total)(array, position) for position in range(100)))


def grid_search(setting: Setting) -> float:
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    features, target = make_classification(2000, 20, random_state=0)
    search = GridSearchCV(
        RandomForestClassifier(setting.count(100), random_state=0),
        {"max_depth": [3, 5, 7, 9], "max_features": [2, 4]},
        cv=3,
    )
    with setting.joblib():
        return taken(lambda: search.fit(features, target))


def dask_tiny(setting: Setting) -> float:
    dask: Any = importlib.import_module("dask")
    options = setting.dask_options()
    dask.compute([dask.delayed(same)(number) for number in range(10)], **options)
    parts = [dask.delayed(same)(number) for number in range(setting.count(5000))]
    return taken(lambda: dask.delayed(sum)(parts).compute(**options))


def dask_array(setting: Setting) -> float:
    da: Any = importlib.import_module("dask.array")
    options = setting.dask_options()
    da.ones(10).sum().compute(**options)
    size = 200 if setting.quick else 2000
    numbers = da.random.default_rng(0).random((size, size), chunks=(size // 4, size // 4))
    return taken(lambda: (numbers @ numbers.T).sum().compute(**options))


ALL: dict[str, Callable[[Setting], float]] = {
    function.__name__: function
    for function in (
        tiny_maps,
        one_map,
        pool_start,
        executor_map,
        joblib_tiny,
        joblib_array,
        grid_search,
        dask_tiny,
        dask_array,
    )
}
RAY = {name: function for name, function in ALL.items() if name != "executor_map"}
CASES = {"shoal": ALL, "ray": RAY, "own": ALL}


def main() -> None:
    request = json.loads(sys.argv[1])
    setting = Setting(request["backend"], request["quick"])
    with os.fdopen(int(sys.argv[2]), "w", buffering=1) as output:
        try:
            if request["case"] != "pool_start":
                setting.start()
            figure = CASES[setting.backend][request["case"]](setting)
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}), file=output)
        else:
            print(json.dumps({"figure": figure}), file=output)


if __name__ == "__main__":
    main()
