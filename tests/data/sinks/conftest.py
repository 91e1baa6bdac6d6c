"""A driver for sinks without a cluster, and a real S3 server."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import fs

from shoal import cloudpickle
from shoal.data._internal.sinks.datasink import Datasink, TaskContext, WriteResult, run_write_task

WRITE_ID = "0123456789abcdef"

Drive = Callable[..., WriteResult[Any] | None]


def _drive(
    sink: Datasink[Any],
    tasks: Sequence[Sequence[pa.Table]],
    *,
    write_id: str = WRITE_ID,
    schema: pa.Schema | None = None,
) -> WriteResult[Any] | None:
    sink.set_write_id(write_id)
    sink.on_write_start(schema)
    if sink.skips_write:
        return None
    try:
        results = []
        for index, blocks in enumerate(tasks):
            # Every task has its own copy, as in a cluster.
            in_task = pickle.loads(cloudpickle.dumps(sink))
            results.append(
                pickle.loads(pickle.dumps(run_write_task(in_task, blocks, TaskContext(index, write_id, "Write"))))
            )
        result = WriteResult.combine(*results)
        sink.on_write_complete(result)
    except BaseException as error:
        sink.on_write_failed(error)
        raise
    return result


@pytest.fixture(scope="session")
def drive() -> Drive:
    """Does what the driver and the tasks of a write do: `drive(sink, [[block, …] of each task], write_id=, schema=)`."""
    return _drive


@pytest.fixture(scope="session")
def all_files() -> Callable[[Path], list[str]]:
    """The relative paths of all files below a directory, hidden ones too, sorted."""

    def listed(directory: Path) -> list[str]:
        return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())

    return listed


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fs.S3FileSystem]:
    """A file system of a server of its own on the loopback, with the bucket 'bucket'."""
    pytest.importorskip("moto.server")
    log = tmp_path_factory.mktemp("s3") / "log"
    program = (
        "from werkzeug.serving import make_server\n"
        "from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app\n"
        "server = make_server('127.0.0.1', 0, DomainDispatcherApplication(create_backend_app), threaded=True)\n"
        "print(server.server_port, flush=True); server.serve_forever()"
    )
    environment = {**os.environ, "MOTO_ALLOW_NONEXISTENT_REGION": "true"}
    with log.open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        endpoint = f"127.0.0.1:{port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{endpoint}/moto-api/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            pytest.fail(log.read_text())
        filesystem = fs.S3FileSystem(
            access_key="key",
            secret_key="secret",
            endpoint_override=endpoint,
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        filesystem.create_dir("bucket")
        yield filesystem
    finally:
        server.terminate()
        server.wait(10)
        if server.stdout is not None:
            server.stdout.close()
