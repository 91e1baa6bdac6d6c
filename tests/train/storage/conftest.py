"""A real S3 server on the loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

PROGRAM = """
from werkzeug.serving import make_server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
server = make_server('127.0.0.1', 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fs.S3FileSystem]:
    """A file system with the bucket 'bucket'."""
    log: Path = tmp_path_factory.mktemp("s3") / "log"
    environment = {**os.environ, "MOTO_ALLOW_NONEXISTENT_REGION": "true"}
    with log.open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
    assert server.stdout is not None
    try:
        # It listens before it says on which port, and answers what has come in the meantime.
        filesystem = fs.S3FileSystem(
            access_key="key",
            secret_key="secret",
            endpoint_override=f"127.0.0.1:{int(server.stdout.readline())}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        filesystem.create_dir("bucket")
        yield filesystem
    finally:
        server.terminate()
        server.wait(10)
        server.stdout.close()
