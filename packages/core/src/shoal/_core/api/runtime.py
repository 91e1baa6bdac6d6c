"""Beginning and ending the session of this process."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal._core.api.checks import did_you_mean, flag
from shoal._core.api.context import ShoalContext
from shoal._core.api.current_session import CurrentSession
from shoal._core.api.engine_choice import start_engine
from shoal._core.schema.session_request import SessionRequest
from shoal.exceptions import InvalidOptionTypeError, SessionStartError

if TYPE_CHECKING:
    from os import PathLike

    from shoal._core.api.engine import Engine
    from shoal._core.api.job_config import JobConfig
    from shoal._core.api.logging_config import LoggingConfig

_WITHOUT_EFFECT = frozenset(
    {
        "_redis_username",
        "_redis_password",
        "_plasma_directory",
        "_enable_object_reconstruction",
        "_driver_object_store_memory",
        "proxy_server_url",
    }
)
"""Keywords about parts of Ray that shoal does not have; there is nothing to set."""
_ISOLATION = ("enable_resource_isolation", "cgroup_path", "system_reserved_cpu", "system_reserved_memory")


def init(
    address: str | None = None,
    *,
    client: object | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    object_store_memory: int | None = None,
    local_mode: bool = False,
    seed: int | None = None,
    preload: Sequence[str] | None = None,
    ignore_reinit_error: bool = False,
    include_dashboard: bool | None = None,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: int | None = None,
    job_config: JobConfig | None = None,
    configure_logging: bool = True,
    logging_level: int | str | None = None,
    logging_format: str | None = None,
    logging_config: LoggingConfig | None = None,
    log_to_driver: bool | None = None,
    namespace: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    object_spilling_directory: str | PathLike[str] | None = None,
    _memory: int | None = None,
    _temp_dir: str | PathLike[str] | None = None,
    _node_ip_address: str | None = None,
    _node_name: str | None = None,
    _metrics_export_port: int | None = None,
    _tracing_startup_hook: str | None = None,
    _system_config: Mapping[str, Any] | None = None,
    _inline_seed: int | None = None,
    **others: Any,
) -> ShoalContext:
    """Begins a session on this machine, or joins one that runs. Any first use of shoal calls this with default settings.

    Args:
        address: None or 'local' for a session of this program alone, which ends with it; 'auto' for the newest session on this
            machine that may be joined, or its folder; 'ray', 'ray://host:port' or 'dask://host:port' for another engine. None
            reads the environment variable SHOAL_ADDRESS first, and in a worker of another engine means that engine.
        client: a connected `distributed.Client`, instead of an address: the session is on its cluster, and leaves it open.
        num_cpus: CPUs to use; by default those that this process may use.
        num_gpus: GPUs to use; by default those that are found.
        resources: further resources of this machine: name -> amount.
        labels: labels of this machine, for `label_selector=`.
        object_store_memory: size of the object store in bytes.
        local_mode: True to run everything in this process, one thing at a time: for breakpoints, coverage and tests.
        seed: with local_mode, chooses the order in which tasks run; the same seed gives the same order.
        preload: modules that worker processes find imported, as in ['torch'].
        ignore_reinit_error: True to get the running session's context rather than an error where there is one.
        include_dashboard: whether to serve the dashboard.
        dashboard_host: address that the dashboard listens on.
        dashboard_port: its port.
        job_config: settings of the job, as an object.
        configure_logging: False to leave the program's loggers alone.
        logging_level: level of the logger 'shoal'.
        logging_format: its format.
        logging_config: how the root loggers of this program and of its workers write.
        log_to_driver: whether what workers print appears here, too (default True; SHOAL_LOG_TO_DRIVER).
        namespace: where named actors are looked up; by default one of this program's own (SHOAL_NAMESPACE).
        runtime_env: environment of all tasks and actors (see `shoal.runtime_env.RuntimeEnv`).
        object_spilling_directory: where objects go that do not fit in the object store.

    Returns:
        The session's context; as a context manager it ends the session.

    Raises:
        SessionStartError: (a RuntimeError) a session runs already, or none could be begun or joined.
        InvalidOptionError: (a ValueError) an argument has a value that it cannot have.
        InvalidOptionTypeError: (a TypeError) an argument has a wrong type.
        TypeError: for an argument that does not exist.
        ForkedProcessError: this process was forked from one with a session.

    Example:
        >>> import shoal
        >>> context = shoal.init(num_cpus=2)
        >>> shoal.cluster_resources()["CPU"]
        2.0
        >>> shoal.shutdown()
    """
    given = {name: value for name, value in locals().items() if name != "others"}
    _check_others(others, given)
    with SESSION.lock:
        if SESSION.engine is not None:
            if flag("ignore_reinit_error", ignore_reinit_error):
                return context()
            raise SessionStartError(
                "a session runs already: shoal.init() was called twice, or a first use of shoal has called it. "
                "Call shoal.shutdown() first, or give ignore_reinit_error=True to keep the session that runs."
            )
        SESSION.check_may_begin()
        request, job = _request_of(given)
        if configure_logging:
            from shoal._core.api.logging_config import configure_logging as configure

            configure(logging_level, logging_format, request.logging)
        _begin(start_engine(request), runs_tasks=None)
        SESSION.detached_by_default = job is not None and job.default_actor_lifetime == "detached"
        return context()


def _check_others(others: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Sorts out keywords that are not in the signature: of Ray's, and wrong ones."""
    isolation = {name: value for name, value in others.items() if name in _ISOLATION}
    if isolation:
        from shoal._core.api.session_arguments import refuse_isolation

        refuse_isolation(isolation)
    for name in others:
        if name not in _WITHOUT_EFFECT and name not in _ISOLATION:
            raise TypeError(f"init() got an unexpected keyword argument {name!r}.{did_you_mean(name, known)}")


def _request_of(given: Mapping[str, Any]) -> tuple[SessionRequest, JobConfig | None]:
    from shoal._core.api.job_config import JobConfig
    from shoal._core.api.session_arguments import parse_session

    job = given["job_config"]
    if isinstance(job, dict):
        job = JobConfig.from_json(job)
    if job is not None and not isinstance(job, JobConfig):
        raise InvalidOptionTypeError("job_config", job, "give a shoal.job_config.JobConfig")
    return parse_session(given, job), job


def _begin(engine: Engine, *, runs_tasks: bool | None) -> None:
    """Makes `engine` this process's session. `runs_tasks` None: tasks run elsewhere where the engine isolates processes, unless this
    process runs one."""
    if runs_tasks is None:
        runs_tasks = "process_isolation" not in engine.capabilities or not engine.context().is_driver
    SESSION.begin(engine, runs_tasks=runs_tasks)
    atexit.unregister(_end_at_exit)
    atexit.register(_end_at_exit)


def adopt(engine: Engine) -> None:
    """Makes `engine` the session of a worker process, for what the user's tasks and actors do with shoal.

    For engines, in the processes that they start; a session that the process has already is replaced, and not ended.
    """
    SESSION.begin(engine, runs_tasks=True)


def context() -> ShoalContext:
    """Returns the context of the running session. Raises NotInitializedError where there is none."""
    engine = SESSION.running()
    if SESSION.context is None:
        SESSION.context = ShoalContext(engine.session, getattr(engine, "dashboard_url", ""), _end_session_of)
    return SESSION.context


def _end_session_of(ended: ShoalContext) -> None:
    if SESSION.context is ended:
        shutdown()


def shutdown(*, wait_for_processes: bool = False, _exiting_interpreter: bool = False) -> None:
    """Ends the session: its tasks, actors and objects are gone. Does nothing where there is none.

    A session that was joined goes on for the others. References and handles of the ended session raise SessionEndedError. Runs by
    itself when the program ends. Inside of tasks and actors it does nothing: the session is the driver's.

    Args:
        wait_for_processes: kept for Ray's programs; shoal's processes have always ended when this returns.
    """
    with SESSION.lock:
        if SESSION.runs_tasks and SESSION.engine is not None and not SESSION.engine.context().is_driver:
            return
        engine = SESSION.end()
    if engine is not None:
        engine.shutdown()


def _end_at_exit() -> None:
    SESSION.exiting()
    shutdown()


def is_initialized() -> bool:
    """Returns whether this process has a session."""
    return SESSION.engine is not None


def _start_default() -> None:
    init()


SESSION = CurrentSession(_start_default)
"""The one session of this process."""

__all__ = ["SESSION", "adopt", "context", "init", "is_initialized", "shutdown"]
