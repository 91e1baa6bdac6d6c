"""Where code runs, in shoal's words."""

from __future__ import annotations

from shoal.engines import ExecutionContext, SessionInfo
from shoal.integrations.dask.connection import Connection
from shoal.integrations.dask.keys import host_of, node_id_of
from shoal.integrations.dask.running_call import Job, running_call


def session_info(connection: Connection, job: Job) -> SessionInfo:
    """Returns what is known of the cluster, and of this process in it.

    Args:
        connection: of this process.
        job: the driver for which code runs.
    """
    worker = connection.worker
    client = connection.client
    address: str = client.scheduler.address
    host = host_of(worker.address if worker is not None else client.scheduler_comm.comm.local_address)
    return SessionInfo(
        engine="dask",
        address=f"dask://{address.rpartition('://')[2]}",
        session_dir="",
        node_id=node_id_of(host),
        node_ip=host,
        job_id=job.job_id,
        worker_id=node_id_of(client.id),
        namespace=job.namespace,
        joinable=True,
    )


def execution_context(is_driver: bool) -> ExecutionContext:
    """Returns what the calling thread runs.

    Args:
        is_driver: whether this process is a driver.
    """
    call = running_call.get()
    if call is None:
        return ExecutionContext(is_driver=is_driver)
    host = call.actor
    return ExecutionContext(
        task_id=call.task_id,
        task_name=call.task_name,
        function_name=call.function_name,
        actor_id=bytes.fromhex(host.actor) if host is not None else b"",
        actor_name=host.template.options.name if host is not None else "",
        is_driver=False,
        in_async_actor=host is not None and host.template.is_async,
        canceled=call.canceled,
        was_reconstructed=host is not None and host.was_reconstructed,
        resources=call.resources,
    )
