"""What the tests of shoal.serve share: one session a module, serving on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal
from shoal import serve


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(num_cpus=8, log_to_driver=False)
    # Others may run tests on this machine, and only one can have the port that is the default.
    serve.start(http_options={"port": 0})
    yield
    serve.shutdown()
    shoal.shutdown()


@pytest.fixture(scope="module")
def url() -> str:
    """Of the proxy."""
    host, port = serve.start(http_options={"port": 0})
    return f"http://{host}:{port}"
