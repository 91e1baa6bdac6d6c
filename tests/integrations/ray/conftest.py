"""What the tests of the ray engine share: a local Ray of two or more workers, one a module. Without ray they are skipped."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

import pytest

import shoal

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    ray = importlib.import_module("ray")
    ray.init(
        "local",
        num_cpus=4,
        resources={"camera": 1},
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",  # nothing listens where others could reach it
    )
    try:
        shoal.init("ray")
        yield
    finally:
        shoal.shutdown()
        ray.shutdown()
