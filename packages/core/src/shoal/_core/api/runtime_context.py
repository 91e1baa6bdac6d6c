"""Where the calling code runs: which session, machine, task and actor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from shoal._core.api.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID
from shoal._core.api.runtime import SESSION
from shoal._core.api.where_code_runs import WrongPlaceError

if TYPE_CHECKING:
    from shoal._core.api.actor_handle import ActorHandle
    from shoal._core.schema.session import ExecutionContext, SessionInfo

_LABEL_RESOURCES = ("accelerator_type:", "node:")


class RuntimeContext:
    """Answers questions about the calling code's surroundings. Made by `shoal.get_runtime_context`; answers are always of now."""

    __slots__ = ()

    @property
    def _session(self) -> SessionInfo:
        return SESSION.require().session

    @property
    def _execution(self) -> ExecutionContext:
        return SESSION.require().context()

    # --- ids -----------------------------------------------------------------------------------------------------------

    def get_node_id(self) -> str:
        """Returns the id (hex) of the machine."""
        return self._session.node_id.hex()

    def get_job_id(self) -> str:
        """Returns the id (hex) of the job: one for each program that begins or joins a session."""
        return self._session.job_id.hex()

    def get_worker_id(self) -> str:
        """Returns the id (hex) of the process."""
        return self._session.worker_id.hex()

    def get_task_id(self) -> str | None:
        """Returns the id (hex) of the task; None in the driver."""
        execution = self._execution
        return None if execution.is_driver else execution.task_id.hex() or None

    def get_actor_id(self) -> str | None:
        """Returns the id (hex) of the actor; None outside of actors."""
        return self._execution.actor_id.hex() or None

    def get_placement_group_id(self) -> str | None:
        """Returns the id (hex) of the placement group; None in none."""
        return self._execution.placement_group_id.hex() or None

    # --- names ---------------------------------------------------------------------------------------------------------

    def get_actor_name(self) -> str | None:
        """Returns the actor's name, '' for none; None outside of actors."""
        execution = self._execution
        return execution.actor_name if execution.actor_id else None

    def get_task_name(self) -> str | None:
        """Returns the task's name (its option, or the name of its function); None in the driver."""
        execution = self._execution
        return None if execution.is_driver else execution.task_name or None

    def get_task_function_name(self) -> str | None:
        """Returns the name of the function or method that runs; None in the driver."""
        execution = self._execution
        return None if execution.is_driver else execution.function_name or None

    @property
    def namespace(self) -> str:
        """The namespace in which names of actors are looked up."""
        return self._session.namespace

    def get_session_name(self) -> str:
        """Returns the name of the session's folder."""
        return os.path.basename(self._session.session_dir.rstrip("/"))

    def get_temp_dir(self) -> str:
        """Returns the folder that the session's folder is in."""
        return os.path.dirname(self._session.session_dir.rstrip("/"))

    @property
    def gcs_address(self) -> str:
        """The session's address: what `shoal.init(address)` takes to join it."""
        return self._session.address

    # --- what it has -----------------------------------------------------------------------------------------------------

    def get_assigned_resources(self) -> dict[str, float]:
        """Returns the resources that the task or actor holds. Raises WrongPlaceError (a RuntimeError) in the driver."""
        execution = self._execution
        if execution.is_driver:
            raise WrongPlaceError(
                "get_assigned_resources() is about the task or actor that calls it, and was called in the driver"
            )
        return {
            name: amount
            for name, amount in execution.resources.items()
            if amount and not name.startswith(_LABEL_RESOURCES)
        }

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Returns the accelerators that the task or actor has: kind -> ids, as in {'GPU': ['0', '1']}."""
        return {"GPU": [str(gpu) for gpu in self._execution.gpu_ids]}

    def get_resource_ids(self) -> dict[str, list[str]]:
        """The older name of `get_accelerator_ids`."""
        return self.get_accelerator_ids()

    def get_node_labels(self) -> dict[str, str]:
        """Returns the labels of the machine."""
        engine = SESSION.require()
        own = engine.session.node_id.hex()
        for node in engine.nodes():
            if node["NodeID"] == own:
                return dict(node.get("Labels") or {})
        return {}

    @property
    def runtime_env(self) -> Any:
        """The environment that the code runs in, as a `shoal.runtime_env.RuntimeEnv`."""
        import msgspec

        from shoal.runtime_env import RuntimeEnv

        return RuntimeEnv(**msgspec.json.decode(self.get_runtime_env_string()))

    def get_runtime_env_string(self) -> str:
        """Returns the environment that the code runs in, as JSON."""
        return self._execution.environment_json or "{}"

    # --- what becomes of it ------------------------------------------------------------------------------------------------

    def is_canceled(self) -> bool:
        """Returns whether the task was cancelled (`shoal.cancel`), so that long work can end early.

        Raises WrongPlaceError (a RuntimeError) in the driver, and in async actors, which get asyncio's cancellation.
        """
        execution = self._execution
        if execution.is_driver or execution.in_async_actor:
            where = (
                "an async actor, whose calls get asyncio.CancelledError" if execution.in_async_actor else "the driver"
            )
            raise WrongPlaceError(f"is_canceled() is about the task that calls it, and was called in {where}")
        return execution.canceled

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor was made again after its process had died. Raises WrongPlaceError outside of actors."""
        execution = self._execution
        if not execution.actor_id:
            raise WrongPlaceError(
                "was_current_actor_reconstructed is about the actor that asks, and was asked outside of actors"
            )
        return execution.was_reconstructed

    @property
    def current_actor(self) -> ActorHandle[Any]:
        """A handle to the actor that asks; it does not keep the actor alive. Raises WrongPlaceError outside of actors."""
        from shoal._core.api.actor_handle import ActorHandle

        engine = SESSION.require()
        if not engine.context().actor_id:
            raise WrongPlaceError("current_actor is a handle to the actor that asks, and was asked outside of actors")
        return ActorHandle(engine.current_actor(), SESSION.serial)

    # --- older names -----------------------------------------------------------------------------------------------------------

    @property
    def job_id(self) -> JobID:
        return JobID(self._session.job_id)

    @property
    def node_id(self) -> NodeID:
        return NodeID(self._session.node_id)

    @property
    def task_id(self) -> TaskID:
        """Raises WrongPlaceError in the driver."""
        task_id = self.get_task_id()
        if task_id is None:
            raise WrongPlaceError("task_id is the id of the task that asks, and was asked in the driver")
        return TaskID(bytes.fromhex(task_id))

    @property
    def actor_id(self) -> ActorID | None:
        """None outside of actors. Raises WrongPlaceError in the driver."""
        execution = self._execution
        if execution.is_driver:
            raise WrongPlaceError("actor_id is the id of the actor that asks, and was asked in the driver")
        return ActorID(execution.actor_id) if execution.actor_id else None

    @property
    def current_placement_group_id(self) -> PlacementGroupID:
        return PlacementGroupID(self._execution.placement_group_id or bytes(PlacementGroupID.SIZE))

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        return self._execution.capture_child_tasks

    def get(self) -> dict[str, Any]:
        """Returns the most important answers as a dict."""
        execution = self._execution
        answers: dict[str, Any] = {"job_id": self.job_id, "node_id": self.node_id, "namespace": self.namespace}
        if not execution.is_driver:
            answers["task_id"] = TaskID(execution.task_id) if execution.task_id else None
        if execution.actor_id:
            answers["actor_id"] = ActorID(execution.actor_id)
        return answers

    def __repr__(self) -> str:
        return f"RuntimeContext({self.get() if SESSION.engine is not None else 'no session'})"


def get_runtime_context() -> RuntimeContext:
    """Returns an object that tells where the calling code runs.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... def who():
        ...     return shoal.get_runtime_context().get_task_name()
        >>> shoal.get(who.remote())
        'who'
        >>> shoal.shutdown()
    """
    return RuntimeContext()
