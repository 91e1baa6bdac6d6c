"""The errors that shoal raises, and what each one knows.

Every error is a `ShoalError`; many are also the builtin that fits (`TimeoutError`, `ValueError`, ...), so ordinary
`except` clauses work. An error raised by a user's function comes back as the user's own class, which is then also a
`TaskError`. All errors survive pickling with their attributes. Ray's names (`RayError`, `RayTaskError`, ...) are the
same classes.

Messages say what happened, to whom, why, and what to do about it.
"""

from __future__ import annotations

from shoal._core.errors.base import ShoalError as ShoalError
from shoal._core.errors.death_cause import DeathCause as DeathCause
from shoal._core.errors.task_error import TaskError as TaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


def _sentences(*parts: str) -> str:
    """Joins what is not empty to one text."""
    return " ".join(part for part in parts if part)


def _explanation(death: DeathCause | None) -> str:
    return "" if death is None else death.explain()


# --- What users' code did --------------------------------------------------------------------------------------------


class TaskCancelledError(ShoalError):
    """The task was cancelled (`shoal.cancel`), or its caller's cancellation reached it."""

    def __init__(self, task_id: Any = None, error_message: str | None = None) -> None:
        if error_message is None:
            who = "The task" if task_id is None else f"Task {task_id}"
            error_message = f"{who} was cancelled, so it has no result."
        super().__init__(error_message)
        self.task_id = task_id
        self.error_message = error_message


class UserCodeException(ShoalError):
    """User code that the runtime called back (not a task) raised."""


class UnserializableException(ShoalError):
    """Stands for an error of another process that could not be brought over; its text was."""

    def __init__(self, original_stack_trace: str) -> None:
        super().__init__(f"An error of another process that cannot be pickled:\n{original_stack_trace}")
        self.original_stack_trace = original_stack_trace


class CrossLanguageError(ShoalError):
    """A task in another language failed."""

    def __init__(self, ray_exception: object) -> None:
        super().__init__(f"An error raised in another language: {ray_exception}")


class SerializationError(ShoalError, TypeError):
    """A value cannot be pickled. The message names it and the path inside it to what refuses.

    Args:
        message: the explanation.
        path: steps from the named value to the culprit, e.g. ('model', 'model.lock').
    """

    def __init__(self, message: str, *, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class DefinitionTooLargeError(ShoalError, ValueError):
    """A function or class drags along too much data to be sent to every worker.

    Args:
        message: what it is, how large, and what to do.
        captures: the variables that make it large, with their size in bytes.
    """

    def __init__(self, message: str, *, captures: Iterable[tuple[str, int]] = ()) -> None:
        super().__init__(message)
        self.captures = tuple(captures)


# --- Deaths ----------------------------------------------------------------------------------------------------------


class WorkerCrashedError(ShoalError):
    """The worker died while it ran the task, and no retries were left.

    Args:
        message: what happened; a general text by default.
        death: why the process ended.
    """

    def __init__(
        self, message: str = "The worker died while it ran the task.", *, death: DeathCause | None = None
    ) -> None:
        super().__init__(_sentences(message, _explanation(death)))
        self.death = death


class TaskForceCancelledError(TaskCancelledError, WorkerCrashedError):
    """The task was cancelled with `force=True`, so its worker was killed.

    Args:
        task_id: id of the task.
        error_message: what happened; a general text by default.
        death: how the worker ended.
    """

    def __init__(
        self, task_id: Any = None, error_message: str | None = None, *, death: DeathCause | None = None
    ) -> None:
        TaskCancelledError.__init__(self, task_id, error_message)
        self.death = death


class ActorError(ShoalError):
    """An actor could not do the call: dead (`ActorDiedError`) or not reachable now (`ActorUnavailableError`)."""

    def __init__(
        self,
        actor_id: str | None = None,
        error_msg: str = "The actor failed before it finished this call.",
        actor_init_failed: bool = False,
        preempted: bool = False,
    ) -> None:
        super().__init__(error_msg)
        self.actor_id = actor_id
        self.error_msg = error_msg
        self.actor_init_failed = actor_init_failed
        self.preempted = preempted


class ActorDiedError(ActorError):
    """The actor is dead for good.

    Args:
        cause: what its constructor raised, if that is why.
        error_msg: what happened; made from the other arguments by default.
        actor_id: id of the actor, hex.
        actor_name: class or name of the actor, for the message.
        death: why its process ended.
        preempted: whether its node was taken away.
    """

    def __init__(
        self,
        cause: BaseException | None = None,
        error_msg: str = "",
        *,
        actor_id: str | None = None,
        actor_name: str = "",
        death: DeathCause | None = None,
        preempted: bool = False,
    ) -> None:
        if not error_msg:
            error_msg = f"Actor {actor_name or actor_id} died." if actor_name or actor_id else "The actor died."
        if cause is not None:
            error_msg = f"{error_msg} Its constructor raised:\n{cause}"
        super().__init__(actor_id, _sentences(error_msg, _explanation(death)), cause is not None, preempted)
        self.cause = cause
        self.actor_name = actor_name
        self.death = death


class ActorUnavailableError(ActorError):
    """The actor cannot be reached now (it restarts, or the network fails). The call may or may not have run."""

    def __init__(self, error_message: str = "", actor_id: bytes | str | None = None) -> None:
        actor_hex = actor_id.hex() if isinstance(actor_id, bytes) else actor_id
        who = f"Actor {actor_hex}" if actor_hex else "The actor"
        why = error_message or "it is restarting"
        super().__init__(actor_hex, f"{who} is unavailable: {why}. The call may or may not have run; try again.")


class OutOfMemoryError(ShoalError):
    """The task or actor was ended for want of memory, and no retries were left."""

    def __init__(self, message: str = "The task ran out of memory.", *, death: DeathCause | None = None) -> None:
        super().__init__(_sentences(message, _explanation(death)))
        self.message = message
        self.death = death


class NodeDiedError(ShoalError):
    """The machine that ran the task is gone."""

    def __init__(self, message: str = "The node that ran the task died.") -> None:
        super().__init__(message)
        self.message = message


class LocalDaemonDiedError(ShoalError):
    """The daemon of this machine died; the session is over on it."""

    def __init__(
        self,
        message: str = "The daemon of this machine died, so the session is over.",
        *,
        death: DeathCause | None = None,
    ) -> None:
        super().__init__(_sentences(message, _explanation(death)))
        self.death = death


# --- Objects ---------------------------------------------------------------------------------------------------------


class ObjectLostError(ShoalError):
    """The object's value is gone, and could not be made again.

    Args:
        object_ref_hex: id of the object.
        owner_address: where its owner is, or was.
        call_site: where the reference was made, if that is recorded.
        reason: why it is gone; each subclass has its own by default.
    """

    default_reason = "all copies of it are lost, and it cannot be made again"

    def __init__(
        self, object_ref_hex: str = "", owner_address: Any = None, call_site: str = "", *, reason: str = ""
    ) -> None:
        who = f"Object {object_ref_hex}" if object_ref_hex else "The object"
        made = f" The reference was made at {call_site}." if call_site else ""
        super().__init__(f"{who} is lost: {reason or self.default_reason}.{made}")
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site
        self.reason = reason or self.default_reason


class ObjectFetchTimedOutError(ObjectLostError):
    """The object exists, but could not be brought to this machine in time."""

    default_reason = "its value did not arrive from the machine that holds it"


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was freed though it was still in use: a fault of the runtime."""

    default_reason = "it was freed while a reference to it was alive; this is a fault of shoal, please report it"


class ObjectFreedError(ObjectLostError):
    """The object was freed by its owner."""

    default_reason = "it was freed by hand with `free`; do not free objects that are needed later"


class OwnerDiedError(ObjectLostError):
    """The process that made the reference died."""

    default_reason = (
        "the process that made its reference died, and took what is known of it along; "
        "keep that process alive, or make the reference in one that lives longer (the driver, or a named actor)"
    )


class ObjectReconstructionFailedError(ObjectLostError):
    """The object is lost, and running its task again is not possible."""

    default_reason = (
        "its task cannot be run again: values of `put` and results of actors without max_task_retries have no lineage"
    )

    def __init__(
        self,
        object_ref_hex: str = "",
        reason: Any = None,
        reason_message: str | None = None,
        owner_address: Any = None,
        call_site: str = "",
    ) -> None:
        text = reason_message or (str(reason) if reason else "")
        super().__init__(object_ref_hex, owner_address, call_site, reason=text)


class ObjectReconstructionFailedMaxAttemptsExceededError(ObjectReconstructionFailedError):
    """The object is lost, and its task has no retries left."""

    default_reason = "its task was run again as often as max_retries allows; raise max_retries"


class ObjectReconstructionFailedLineageEvictedError(ObjectReconstructionFailedError):
    """The object is lost, and how to make it has been forgotten."""

    default_reason = "how to make it was forgotten to save memory; raise RAY_max_lineage_bytes"


class GetTimeoutError(ShoalError, TimeoutError):
    """The value was not ready within `timeout` seconds."""


class PlasmaObjectNotAvailable(ShoalError):
    """The object is not in the store within the time given."""


class ObjectStoreFullError(ShoalError):
    """The object store is full and nothing in it can be spilled."""


class OutOfDiskError(ShoalError):
    """The disk is full, so objects cannot be spilled."""


class ObjectRefStreamEndOfStreamError(ShoalError):
    """A streaming generator has no more items."""


class OufOfBandObjectRefSerializationException(ShoalError):
    """A reference was pickled outside of task arguments and results where that is forbidden."""


# --- Requests that cannot be met -------------------------------------------------------------------------------------


class InvalidOptionError(ShoalError, ValueError):
    """An argument has a value that it cannot have.

    Args:
        argument: name of the argument.
        value: what was given.
        fix: what is allowed, in words.
    """

    def __init__(self, argument: str, value: object, fix: str) -> None:
        super().__init__(f"{argument}={_short_repr(value)} is not valid: {fix}")
        self.argument = argument
        self.value = _short_repr(value)
        self.fix = fix


class InvalidOptionTypeError(ShoalError, TypeError):
    """An argument has a type that it cannot have. Arguments as for `InvalidOptionError`."""

    def __init__(self, argument: str, value: object, fix: str) -> None:
        super().__init__(f"{argument}={_short_repr(value)} has the wrong type ({type(value).__name__}): {fix}")
        self.argument = argument
        self.value = _short_repr(value)
        self.fix = fix


class InfeasibleResourcesError(ShoalError, ValueError):
    """A request that the session can never meet, however long it waits.

    Args:
        message: who asked, and what to do.
        requested: what was asked for: resource name -> amount.
        existing: what there is in all: resource name -> amount.
    """

    def __init__(
        self, message: str, *, requested: Mapping[str, float] | None = None, existing: Mapping[str, float] | None = None
    ) -> None:
        asked = f"Requested: {dict(requested)}." if requested else ""
        there = f"The session has: {dict(existing)}." if existing is not None else ""
        super().__init__(_sentences(message, asked, there))
        self.requested = dict(requested or {})
        self.existing = dict(existing or {})


class DeadlockError(ShoalError, RuntimeError):
    """A wait that can never end: what it waits for needs what the waiting ones hold.

    Args:
        message: who waits, for what, and what to do.
        holders: who holds what is waited for, one line each.
    """

    def __init__(self, message: str, *, holders: Iterable[str] = ()) -> None:
        self.holders = tuple(holders)
        super().__init__(message + "".join(f"\n  held by {holder}" for holder in self.holders))


class UnsupportedError(ShoalError, NotImplementedError):
    """Something that Ray has and shoal does not.

    Args:
        what: what was asked for.
        alternative: what to do instead.
    """

    def __init__(self, what: str, alternative: str = "") -> None:
        super().__init__(_sentences(f"{what} is not supported.", alternative))
        self.what = what
        self.alternative = alternative


class NotSupportedByEngineError(UnsupportedError):
    """A call beyond what the session's engine can do.

    Args:
        what: what was asked for.
        alternative: what to do instead.
        engine: name of the engine ('inline').
    """

    def __init__(self, what: str, alternative: str = "", engine: str = "") -> None:
        super().__init__(f"{what} on the {engine} engine" if engine else what, alternative)
        self.what = what
        self.engine = engine


class TaskUnschedulableError(ShoalError):
    """The task can never be placed: it is bound to a node that is dead, or that cannot hold it."""

    def __init__(self, error_message: str = "") -> None:
        super().__init__(f"The task cannot be scheduled{': ' if error_message else '.'}{error_message}")
        self.error_message = error_message


class ActorUnschedulableError(ShoalError):
    """The actor can never be placed: it is bound to a node that is dead, or that cannot hold it."""

    def __init__(self, error_message: str = "") -> None:
        super().__init__(f"The actor cannot be scheduled{': ' if error_message else '.'}{error_message}")
        self.error_message = error_message


class TaskPlacementGroupRemoved(ShoalError):
    """The placement group of the task was removed."""

    def __init__(self, message: str = "The placement group of the task was removed, so the task cannot run.") -> None:
        super().__init__(message)


class ActorPlacementGroupRemoved(ShoalError):
    """The placement group of the actor was removed."""

    def __init__(self, message: str = "The placement group of the actor was removed, so the actor is gone.") -> None:
        super().__init__(message)


class PendingCallsLimitExceeded(ShoalError):
    """The actor has `max_pending_calls` calls waiting already."""


class RuntimeEnvSetupError(ShoalError):
    """The runtime environment could not be made."""

    def __init__(self, error_message: str | None = None) -> None:
        super().__init__(
            f"The runtime environment could not be set up: {error_message}"
            if error_message
            else "The runtime environment could not be set up."
        )
        self.error_message = error_message


class ActorAlreadyExistsError(ValueError, ShoalError):
    """The name is taken by another actor of the namespace."""


class ActorHandleNotFoundError(ValueError, ShoalError):
    """The handle belongs to an actor that this session does not know (of an earlier session, perhaps)."""


class AsyncioActorExit(ShoalError):
    """Ends an async actor from inside a method (`exit_actor`)."""


# --- Sessions and processes ------------------------------------------------------------------------------------------


class NotInitializedError(ShoalError, RuntimeError):
    """There is no session, and the call does not start one."""

    def __init__(self, message: str = "No shoal session is running in this process. Call shoal.init() first.") -> None:
        super().__init__(message)


class SessionStartError(ShoalError, ConnectionError, RuntimeError):
    """`init` could not start or reach a session."""


class SessionEndedError(ShoalError, RuntimeError):
    """A reference or handle belongs to a session that has ended."""

    def __init__(
        self, message: str = "The shoal session that this belongs to has ended. Call shoal.init() and make it again."
    ) -> None:
        super().__init__(message)


class ForkedProcessError(ShoalError, RuntimeError):
    """shoal was used in a process forked (by os.fork or multiprocessing) from one that has a session."""

    def __init__(
        self,
        message: str = (
            "This process was forked from one that has a shoal session, which cannot be shared. "
            "Start it with multiprocessing's 'spawn' method, or use shoal tasks instead of processes."
        ),
    ) -> None:
        super().__init__(message)


class AuthenticationError(ShoalError):
    """The peer does not know the session's secret."""

    def __init__(self, message: str = "Authentication failed: the session's token is missing or wrong.") -> None:
        super().__init__(message)
        self.message = message


class RpcError(ShoalError):
    """A call between processes of the session failed.

    Args:
        message: what happened.
        rpc_code: status of the transport, where it has one.
    """

    def __init__(self, message: str, rpc_code: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.rpc_code = rpc_code


class ShoalSystemError(ShoalError):
    """The runtime itself failed.

    Args:
        client_exc: what went wrong.
        traceback_str: the traceback of it, if it was in another process.
    """

    def __init__(self, client_exc: object = "", traceback_str: str | None = None) -> None:
        where = f"\n{traceback_str}" if traceback_str else ""
        super().__init__(f"Internal failure of shoal: {client_exc}{where}")
        self.client_exc = client_exc if isinstance(client_exc, (str, BaseException)) else str(client_exc)
        self.traceback_str = traceback_str


class StreamingGeneratorReplayInconsistentError(ShoalSystemError):
    """A generator task was run again after a loss and made another number of items than the first time."""


class ShoalChannelError(ShoalSystemError):
    """A channel of a compiled graph failed or was closed."""


class ShoalChannelTimeoutError(ShoalChannelError, TimeoutError):
    """A channel of a compiled graph was not ready in time."""


class ShoalCgraphCapacityExceeded(ShoalSystemError):
    """A compiled graph has as many executions in flight as it may have; get some results first."""


class ShoalDirectTransportError(ShoalSystemError):
    """A direct transfer of tensors between actors failed."""


def _short_repr(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


RayError = ShoalError
RayTaskError = TaskError
RayActorError = ActorError
RaySystemError = ShoalSystemError
LocalRayletDiedError = LocalDaemonDiedError
RayChannelError = ShoalChannelError
RayChannelTimeoutError = ShoalChannelTimeoutError
RayCgraphCapacityExceeded = ShoalCgraphCapacityExceeded
RayDirectTransportError = ShoalDirectTransportError
