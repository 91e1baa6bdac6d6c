"""What the tests of shoal.serve share: one session a module, serving on a port of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def tls_files(tmp_path: Path) -> tuple[str, str]:
    """A private key for this machine, and the certificate that goes with it."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    files = ["-keyout", key, "-out", certificate]
    subprocess.run(["openssl", "req", *kind, *files, *names], check=True, capture_output=True)
    return key, certificate
