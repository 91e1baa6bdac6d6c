"""What the tests of the dask engine share: a local Dask cluster of two worker processes, one a module."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import shoal


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip(
        "distributed", reason="the dask engine needs distributed: pip install 'shoal-integrations[dask]'"
    )
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=True,
            resources={"CPU": 2, "camera": 1},
            dashboard_address=None,
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield cluster


@pytest.fixture(scope="module", autouse=True)
def session(cluster: Any) -> Iterator[None]:
    shoal.shutdown()
    shoal.init("dask://")
    yield
    shoal.shutdown()
