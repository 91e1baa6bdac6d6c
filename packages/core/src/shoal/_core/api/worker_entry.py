"""Where forked workers begin: a client is made, becomes the process's session, and serves."""

from __future__ import annotations

# Nearly every function and class comes by it: imported here it is in the fork server, and shared by all workers.
import cloudpickle  # noqa: F401

from shoal._core.api.runtime import adopt
from shoal._core.process.worker import serve


def main(config: bytes) -> None:
    """Runs a worker with the daemon's `config`; does not return."""
    serve(config, adopt)
