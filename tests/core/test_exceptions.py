"""The catalogue of errors: names, bases, messages, and that nothing is lost in pickling."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shoal import exceptions
from shoal.exceptions import (
    ActorDiedError,
    ActorError,
    ActorUnavailableError,
    DeadlockError,
    DeathCause,
    DefinitionTooLargeError,
    InfeasibleResourcesError,
    InvalidOptionError,
    InvalidOptionTypeError,
    NotSupportedByEngineError,
    ObjectLostError,
    ObjectReconstructionFailedError,
    OutOfMemoryError,
    RuntimeEnvSetupError,
    SerializationError,
    ShoalError,
    ShoalSystemError,
    TaskCancelledError,
    TaskError,
    TaskForceCancelledError,
    UnserializableException,
    UnsupportedError,
    WorkerCrashedError,
)

RAY_NAMES = [
    "RayError",
    "RayTaskError",
    "RayActorError",
    "ActorDiedError",
    "ActorUnavailableError",
    "GetTimeoutError",
    "TaskCancelledError",
    "WorkerCrashedError",
    "ObjectLostError",
    "OwnerDiedError",
    "ObjectReconstructionFailedError",
    "ObjectFetchTimedOutError",
    "ObjectFreedError",
    "ReferenceCountingAssertionError",
    "ObjectReconstructionFailedMaxAttemptsExceededError",
    "ObjectReconstructionFailedLineageEvictedError",
    "OutOfMemoryError",
    "NodeDiedError",
    "LocalRayletDiedError",
    "RaySystemError",
    "ObjectStoreFullError",
    "OutOfDiskError",
    "RuntimeEnvSetupError",
    "TaskUnschedulableError",
    "ActorUnschedulableError",
    "TaskPlacementGroupRemoved",
    "ActorPlacementGroupRemoved",
    "PendingCallsLimitExceeded",
    "AsyncioActorExit",
    "ActorAlreadyExistsError",
    "ActorHandleNotFoundError",
    "UserCodeException",
    "UnserializableException",
    "CrossLanguageError",
    "PlasmaObjectNotAvailable",
    "AuthenticationError",
    "RpcError",
    "ObjectRefStreamEndOfStreamError",
    "StreamingGeneratorReplayInconsistentError",
    "OufOfBandObjectRefSerializationException",
    "RayDirectTransportError",
    "RayChannelError",
    "RayChannelTimeoutError",
    "RayCgraphCapacityExceeded",
]

ALIASES = {
    "RayError": "ShoalError",
    "RayTaskError": "TaskError",
    "RayActorError": "ActorError",
    "RaySystemError": "ShoalSystemError",
    "LocalRayletDiedError": "LocalDaemonDiedError",
    "RayChannelError": "ShoalChannelError",
    "RayChannelTimeoutError": "ShoalChannelTimeoutError",
    "RayCgraphCapacityExceeded": "ShoalCgraphCapacityExceeded",
    "RayDirectTransportError": "ShoalDirectTransportError",
}

BASES: dict[str, tuple[str | type[BaseException], ...]] = {
    "GetTimeoutError": (TimeoutError,),
    "OwnerDiedError": ("ObjectLostError",),
    "ObjectReconstructionFailedError": ("ObjectLostError",),
    "ObjectReconstructionFailedMaxAttemptsExceededError": ("ObjectReconstructionFailedError",),
    "ObjectReconstructionFailedLineageEvictedError": ("ObjectReconstructionFailedError",),
    "ObjectFetchTimedOutError": ("ObjectLostError",),
    "ObjectFreedError": ("ObjectLostError",),
    "ReferenceCountingAssertionError": ("ObjectLostError", AssertionError),
    "ActorDiedError": ("ActorError",),
    "ActorUnavailableError": ("ActorError",),
    "ActorAlreadyExistsError": (ValueError,),
    "ActorHandleNotFoundError": (ValueError,),
    "ShoalChannelError": ("ShoalSystemError",),
    "ShoalChannelTimeoutError": ("ShoalChannelError", TimeoutError),
    "ShoalCgraphCapacityExceeded": ("ShoalSystemError",),
    "ShoalDirectTransportError": ("ShoalSystemError",),
    "StreamingGeneratorReplayInconsistentError": ("ShoalSystemError",),
    "SessionEndedError": (RuntimeError,),
    "NotInitializedError": (RuntimeError,),
    "SessionStartError": (RuntimeError, ConnectionError),
    "ForkedProcessError": (RuntimeError,),
    "DeadlockError": (RuntimeError,),
    "InfeasibleResourcesError": (ValueError,),
    "InvalidOptionError": (ValueError,),
    "InvalidOptionTypeError": (TypeError,),
    "SerializationError": (TypeError,),
    "DefinitionTooLargeError": (ValueError,),
    "UnsupportedError": (NotImplementedError,),
    "NotSupportedByEngineError": ("UnsupportedError", NotImplementedError),
    "TaskForceCancelledError": ("TaskCancelledError", "WorkerCrashedError"),
}

DEATH = DeathCause(
    "the process ended",
    pid=4711,
    node="node-1",
    signal="SIGKILL",
    peak_memory=3 * 2**30,
    oom="certain",
    stderr_tail=["first line", "last line"],
)

INSTANCES: list[ShoalError] = [
    TaskError(
        "train", "Traceback ...\nValueError: bad", ValueError("bad"), "title", 7, "10.0.0.1", "<A>", "abc", attempt=2
    ),
    TaskCancelledError(),
    TaskCancelledError("id"),
    TaskCancelledError("id", "it was cancelled by hand"),
    TaskForceCancelledError("id", "killed", death=DEATH),
    UnserializableException("text"),
    SerializationError("cannot", path=("a", "a.b")),
    DefinitionTooLargeError("too large", captures=[("data", 5)]),
    WorkerCrashedError(),
    WorkerCrashedError("the worker of task f died", death=DEATH),
    ActorError(),
    ActorError("id", "text", True, True),
    ActorDiedError(),
    ActorDiedError(ValueError("in the constructor"), actor_id="id", actor_name="Counter"),
    ActorDiedError(actor_name="Counter", death=DEATH, preempted=True),
    ActorUnavailableError("the network fails", b"\x01\x02"),
    ActorUnavailableError(),
    OutOfMemoryError("too much", death=DEATH),
    exceptions.NodeDiedError("node 3 is gone"),
    exceptions.LocalDaemonDiedError(death=DEATH),
    ObjectLostError("ab12", b"address", "train.py:3", reason="it is gone"),
    exceptions.OwnerDiedError("ab12"),
    ObjectReconstructionFailedError("ab12", "REASON", None, None, "train.py:3"),
    ObjectReconstructionFailedError("ab12", None, "in words"),
    exceptions.GetTimeoutError("not ready after 3 s"),
    InvalidOptionError("num_cpus", -1, "give 0 or more"),
    InvalidOptionTypeError("num_cpus", "many", "give a number"),
    InfeasibleResourcesError("task f asks for too much.", requested={"GPU": 1.0}, existing={"CPU": 2.0}),
    DeadlockError("a waits for b", holders=["task c", "actor d"]),
    UnsupportedError("java_jars", "Use Python."),
    NotSupportedByEngineError("placement groups", "Use the native engine.", "inline"),
    exceptions.TaskUnschedulableError("the node is dead"),
    exceptions.ActorUnschedulableError(),
    exceptions.TaskPlacementGroupRemoved(),
    RuntimeEnvSetupError("pip failed"),
    exceptions.AuthenticationError(),
    exceptions.RpcError("refused", 14),
    ShoalSystemError(ValueError("inner"), "Traceback ..."),
    ShoalSystemError(),
]


def error_classes() -> dict[str, type[ShoalError]]:
    return {
        name: value
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, ShoalError)
    }


def same(one: Any, other: Any) -> bool:
    """Equality that also compares exceptions by value."""
    if isinstance(one, BaseException):
        return type(one) is type(other) and same(one.args, other.args) and same(vars(one), vars(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple) and type(one) is tuple:
        return len(one) == len(other) and all(map(same, one, other))
    if type(one).__eq__ is object.__eq__:
        return (type(one) is type(other) and str(one) == str(other)) or same(one.__reduce__(), other.__reduce__())
    return bool(one == other)


@pytest.mark.parametrize("name", RAY_NAMES)
def test_has_the_name_that_ray_uses(name: str) -> None:
    assert issubclass(error_classes()[name], ShoalError)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_alias_is_the_same_class(alias: str, name: str) -> None:
    assert getattr(exceptions, alias) is getattr(exceptions, name)
    assert getattr(exceptions, name).__name__ == name


@pytest.mark.parametrize(("name", "bases"), BASES.items())
def test_bases(name: str, bases: tuple[Any, ...]) -> None:
    for base in bases:
        assert issubclass(getattr(exceptions, name), getattr(exceptions, base) if isinstance(base, str) else base)


@pytest.mark.parametrize("error", INSTANCES, ids=lambda error: type(error).__name__)
def test_pickling_keeps_everything(error: ShoalError) -> None:
    error.add_note("a note")
    for copied in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(copied) is type(error)
        assert str(copied) == str(error)
        assert copied.__notes__ == error.__notes__
        if not isinstance(error, TaskError):
            assert same(copied, error)


@pytest.mark.parametrize("name", sorted(error_classes()))
def test_every_class_can_be_pickled_by_its_message(name: str) -> None:
    error_class = error_classes()[name]
    if issubclass(error_class, TaskError):
        pytest.skip("has no message of its own")
    error = error_class.__new__(error_class)
    error.args = ("the message",)
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is error_class
    assert copied.args == ("the message",)


@pytest.mark.parametrize("name", sorted(error_classes()))
def test_is_found_where_it_says_it_is(name: str) -> None:
    error_class = error_classes()[name]
    assert error_class.__module__ == "shoal.exceptions"
    assert getattr(exceptions, error_class.__qualname__) is error_class
    assert error_class.__doc__


def test_users_subclass_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(UsersError(code=3)))
    assert type(error) is UsersError
    assert (error.code, str(error)) == (3, "code 3")


class UsersError(ShoalError):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def test_task_error_pickles_its_cause() -> None:
    error = TaskError("f", "text", ValueError("bad"), pid=3)
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is TaskError
    assert isinstance(copied.cause, ValueError)
    assert copied.cause.args == ("bad",)
    assert (copied.function_name, copied.traceback_str, copied.pid) == ("f", "text", 3)


def test_task_error_without_trace_shows_its_traceback() -> None:
    assert str(TaskError("f", "Traceback\nValueError: bad\n", None, pid=3)) == (
        "shoal::f() (pid=3)\nTraceback\nValueError: bad"
    )


def test_value_that_cannot_be_pickled_does_not_spoil_the_error() -> None:
    error = InvalidOptionError("fn", lambda: None, "give a number")
    assert pickle.loads(pickle.dumps(error)).value == error.value


def test_long_value_is_shortened() -> None:
    assert len(str(InvalidOptionError("x", "y" * 10_000, "less"))) < 300


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InvalidOptionError("num_cpus", -1, "give 0 or more"), ["num_cpus", "-1", "give 0 or more"]),
        (InvalidOptionTypeError("num_cpus", "many", "give a number"), ["num_cpus", "'many'", "str", "give a number"]),
        (UnsupportedError("java_jars", "Use Python."), ["java_jars", "Use Python."]),
        (NotSupportedByEngineError("fork", "Use native.", "inline"), ["fork", "inline", "Use native."]),
        (InfeasibleResourcesError("f.", requested={"GPU": 1}, existing={"CPU": 2}), ["'GPU': 1", "'CPU': 2"]),
        (InfeasibleResourcesError("f.", requested={"GPU": 1}, existing={}), ["The session has: {}"]),
        (DeadlockError("a waits.", holders=["task c"]), ["a waits.", "held by task c"]),
        (ActorDiedError(ValueError("boom"), actor_name="Counter"), ["Counter", "constructor", "boom"]),
        (ActorDiedError(actor_name="Counter", death=DEATH), ["Counter", "OOM killer", "last line"]),
        (WorkerCrashedError(death=DeathCause(exit_code=3)), ["exited with code 3"]),
        (ObjectLostError("ab12", call_site="a.py:1"), ["ab12", "a.py:1"]),
        (exceptions.OwnerDiedError("ab12"), ["ab12", "keep that process alive"]),
        (ActorUnavailableError("no network", "ff"), ["ff", "no network", "try again"]),
        (exceptions.NotInitializedError(), ["shoal.init()"]),
        (exceptions.SessionEndedError(), ["shoal.init()"]),
        (exceptions.ForkedProcessError(), ["spawn"]),
        (exceptions.TaskUnschedulableError(), ["cannot be scheduled."]),
        (TaskCancelledError("ab"), ["ab", "cancelled"]),
    ],
)
def test_message_answers(error: ShoalError, words: list[str]) -> None:
    for word in words:
        assert word in str(error)


def test_actor_died_error_tells_how() -> None:
    assert ActorDiedError(ValueError()).actor_init_failed
    assert not ActorDiedError().actor_init_failed
    assert ActorDiedError(preempted=True).preempted
    assert ActorUnavailableError("x", b"\xab").actor_id == "ab"


class TestDeathCause:
    @pytest.mark.parametrize(
        ("cause", "words"),
        [
            (DeathCause(), "The process ended."),
            (DeathCause("shoal.kill was called", pid=3), "Process 3 ended: shoal.kill was called."),
            (DeathCause(pid=3, exit_code=0), "Process 3 exited with code 0."),
            (DeathCause(pid=3, node="n1", signal="SIGKILL"), "Process 3 on node n1 was ended by signal SIGKILL."),
            (DeathCause(oom="certain", peak_memory=2**20), "was killed by the kernel OOM killer (peak memory 1 MiB)"),
            (
                DeathCause(oom="probable", peak_memory=3 * 2**30),
                "probably by the kernel OOM killer (peak memory 3.0 GiB)",
            ),
            (DeathCause(oom="limit"), "was stopped because it used too much memory"),
        ],
    )
    def test_summary(self, cause: DeathCause, words: str) -> None:
        assert words in cause.summary()

    def test_explanation_has_advice_and_output(self) -> None:
        text = DEATH.explain()
        assert text.startswith(DEATH.summary())
        assert "`memory=`" in text
        assert text.endswith("    first line\n    last line")
        assert "PYTHONFAULTHANDLER" in DeathCause(signal="SIGSEGV").explain()
        assert DeathCause(exit_code=1).explain() == DeathCause(exit_code=1).summary()

    def test_is_frozen_and_equal_by_value(self) -> None:
        with pytest.raises(AttributeError):
            DEATH.pid = 3
        with pytest.raises(AttributeError):
            del DEATH.pid
        copied = pickle.loads(pickle.dumps(DEATH))
        assert copied == DEATH
        assert copied is not DEATH
        assert hash(copied) == hash(DEATH)
        assert copied != DeathCause()
        assert DeathCause() != "ended"

    def test_repr_tells_what_is_known(self) -> None:
        assert repr(DeathCause(pid=3, exit_code=0)) == "DeathCause(pid=3)" or "exit_code=0" in repr(
            DeathCause(pid=3, exit_code=0)
        )


def test_import_is_light() -> None:
    code = (
        "import sys; before = set(sys.modules); import shoal._core.errors, shoal.exceptions; "
        "print(*sorted({'typing', 'dataclasses', 'traceback', 'ast', 'numpy', 'cloudpickle', 'asyncio', 'logging', "
        "'inspect', 'msgspec', 'pickle'} & (set(sys.modules) - before)))"
    )
    # Without site, whose .pth files may import anything; so the path to shoal is given by hand.
    source = str(Path(exceptions.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert done.stdout.split() == []
