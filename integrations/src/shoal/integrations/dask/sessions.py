"""shoal's session in Dask's workers: the dask engine again, begun at the first task or reference that needs it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import shoal
from shoal import engines
from shoal.exceptions import NotSupportedByEngineError, SessionEndedError

if TYPE_CHECKING:
    from shoal.integrations.dask.engine import DaskEngine

_beginning = threading.Lock()


def is_worker() -> bool:
    """Whether this thread runs a task in a worker of Dask's (the entry point `dask` of `shoal.engines.surrounding`)."""
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def ensure_session() -> DaskEngine:
    """Returns the session of this process; in a worker of Dask's it begins where there is none."""
    from shoal.integrations.dask.engine import DaskEngine

    if not shoal.is_initialized():
        from distributed import get_client, get_worker

        with _beginning:
            if not shoal.is_initialized():
                engines.adopt(DaskEngine.in_worker(get_client(), get_worker()))
    engine = engines.current()
    if not isinstance(engine, DaskEngine):
        raise SessionEndedError(f"a task of Dask's ran in a process whose shoal session is on the {engine.name} engine")
    return engine


def session_of_task() -> DaskEngine:
    """Returns the session of the worker that runs a task. Raises NotSupportedByEngineError where its process is not its own."""
    from distributed import get_worker

    session = ensure_session()
    if session.connection.worker is not get_worker():
        raise shared_process()
    return session


def shared_process() -> NotSupportedByEngineError:
    """Returns the error of workers that have no processes of their own."""
    return NotSupportedByEngineError(
        "a process that is shared by workers of Dask's, or by one and the program,",
        "Give each worker a process: LocalCluster(processes=True), or `dask worker`.",
        "dask",
    )
