"""The wire protocol: every message that processes send each other, and how a frame is made of one.

Messages travel as msgpack arrays whose first item is the tag. Fields may be added at the end with a default (an older peer ignores
them); none may be removed or change its meaning. User data (`data`, `args`) is opaque here: pickled by the sender, unpickled by
the receiver, never by anybody between.

Who speaks to whom: a *client* is any process that owns objects (the driver, every worker). Clients speak to their node's daemon (which is
also the head when the session has one machine), and to each other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shoal._core.schema.resources import SchedulingClass

PROTOCOL_VERSION = 1

# Kinds of ObjectValue.
INLINE = 0
"""`data` is the serialized value."""
STORED = 1
"""The value is in the store of the nodes `nodes`; `size` bytes."""
ERROR = 2
"""`data` is a serialized error (see `system/task_errors.py`); get raises it."""
LOST = 3
"""The owner knows nothing of it: freed, or never existed."""


class Message(msgspec.Struct, array_like=True, gc=False):
    """Base of all messages; each has its own tag."""


class ObjectValue(msgspec.Struct, array_like=True, gc=False):
    """What one object is: its value, or where that lies, or its error."""

    object_id: bytes
    kind: int
    data: bytes = b""
    size: int = 0
    nodes: list[bytes] = []
    contained: list[tuple[bytes, str]] = []
    """References inside the value: object id and owner address."""


# --- hello ---------------------------------------------------------------------------------------------------------------------


class Hello(Message, tag=1):
    """client -> daemon, and client -> client: who I am."""

    worker_id: bytes
    role: str
    """'driver', 'worker', or 'tool' (a command that only looks)."""
    pid: int
    address: str
    """Where this client listens."""
    job_id: bytes
    namespace: str = ""
    version: int = PROTOCOL_VERSION


class Welcome(Message, tag=2):
    """daemon -> client: you belong."""

    node_id: bytes
    node_ip: str
    session_dir: str
    session_name: str
    joinable: bool
    total_resources: dict[str, int]
    labels: dict[str, str]


# --- leases: client <-> node -------------------------------------------------------------------------------------------------------


class RequestLease(Message, tag=10):
    """client -> node: lend me up to `count` workers for this class of tasks; one grant each."""

    request_id: int
    scheduling_class: SchedulingClass
    count: int
    name: str
    """For people: whose tasks these are."""
    environment: bytes = b""
    """JSON of the runtime environment, empty for none."""


class LeaseGranted(Message, tag=11):
    """node -> client"""

    request_id: int
    lease_id: int
    worker_id: bytes
    address: str
    gpu_ids: list[int]
    remaining: int
    """Grants of this request still to come."""


class LeaseRefused(Message, tag=12):
    """node -> client: this request can never be granted. `error` is a serialized exception."""

    request_id: int
    error: bytes


class CancelLeaseRequest(Message, tag=13):
    """client -> node: no more grants needed for this request."""

    request_id: int


class ReturnLease(Message, tag=14):
    """client -> node"""

    lease_id: int
    reusable: bool
    """False: the worker must not be used again (max_calls, or suspect)."""


class ReclaimLease(Message, tag=15):
    """node -> client: others wait; return this lease when the tasks begun on it have ended."""

    lease_id: int


class WorkerDied(Message, tag=16):
    """node -> all clients: they may have had a lease of it, or lent it references. Also the answer to WhyDied, where that was known
    already. `cause` is a pickled DeathCause."""

    worker_id: bytes
    cause: bytes


class WorkerBlocked(Message, tag=17):
    """worker -> node: my task waits in get or wait; my CPU may serve others."""


class WorkerUnblocked(Message, tag=18):
    """worker -> node"""


class KillWorker(Message, tag=19):
    """client -> node: kill the worker, with all that it started."""

    worker_id: bytes
    reason: str


class PreloadModules(Message, tag=124):
    """client -> node: workers that start from now on find these modules imported."""

    modules: list[str]


class WhyDied(Message, tag=20):
    """client -> node: tell me (WorkerDied) what became of this worker, now or when it is known."""

    worker_id: bytes


class AskToLeave(Message, tag=23):
    """node -> worker: you have been idle; end, unless somebody needs objects of yours (StillNeeded)."""


class StillNeeded(Message, tag=24):
    """worker -> node: I stay."""


class NotNeeded(Message, tag=25):
    """worker -> node: nobody needs objects of mine any more; ask me to leave if you like (AskToLeave)."""


class Notice(Message, tag=22):
    """daemon -> driver, and worker -> daemon for all drivers: what the user should see now (waits, memory, environments)."""

    text: str


# --- the object store: client <-> node ----------------------------------------------------------------------------------------------


class Allocate(Message, tag=30):
    """client -> node: a block to write an object into."""

    request_id: int
    object_id: bytes
    size: int


class Allocated(Message, tag=31):
    """node -> client: write here; or, where `arena` is -1, the object is there already and nothing is to be written."""

    request_id: int
    arena: int
    offset: int
    size: int
    warm: int = 0
    """So many bytes at the beginning lie on pages that were used before."""


class StoreFull(Message, tag=32):
    """node -> client: no room, and no way to make any. `text` says who holds what."""

    request_id: int
    text: str
    no_disk: bool = False
    """Because nothing can be spilled: the disk is full, or fails."""


class Seal(Message, tag=33):
    """client -> node: the object is written and will not change."""

    object_id: bytes


class Abort(Message, tag=41):
    """client -> node: the block will not be written after all."""

    object_id: bytes


class Pin(Message, tag=34):
    """client -> node: keep the object in memory and say where it is. One pin counted a message."""

    request_id: int
    object_id: bytes
    nodes: list[bytes]
    """Where the object can be fetched from, should this node not have it."""
    ahead: bool = False
    """The object is not needed yet: answered at once, with Missing where it is not at hand."""


class Located(Message, tag=35):
    request_id: int
    arena: int
    offset: int
    size: int


class Missing(Message, tag=36):
    request_id: int
    text: str


class Unpin(Message, tag=37):
    object_ids: list[bytes]


class RoomNeeded(Message, tag=42):
    """node -> client: let go of what is pinned ahead and not used yet."""


class FreeObjects(Message, tag=38):
    """owner -> node: nobody can ask for these again."""

    object_ids: list[bytes]


class ArenaAdded(Message, tag=39):
    """node -> client: a shared memory arena; its descriptor comes with this message."""

    arena: int
    size: int


class ArenaRemoved(Message, tag=40):
    arena: int


# --- actors: client <-> head -> node -> worker -----------------------------------------------------------------------------------------


class ActorSpec(msgspec.Struct, array_like=True, gc=False):
    """All that is needed to make an actor, and to make it again."""

    actor_id: bytes
    creation_task_id: bytes
    owner_id: bytes
    owner_address: str
    job_id: bytes
    class_id: bytes
    class_data: bytes
    class_name: str
    args: bytes
    deps: list[ObjectValue]
    slots: list[int | str]
    scheduling_class: SchedulingClass
    placement_resources: dict[str, int]
    environment: bytes
    name: str
    namespace: str
    detached: bool
    max_restarts: int
    max_concurrency: int
    concurrency_groups: dict[str, int]
    is_async: bool
    out_of_order: bool
    handle_data: bytes
    """Pickled description for those who look the actor up by name."""
    max_task_retries: int = 0


class CreateActor(Message, tag=50):
    """client -> head. Answered by ActorRegistered only where a name is given."""

    request_id: int
    spec: ActorSpec
    get_if_exists: bool


class ActorRegistered(Message, tag=51):
    """head -> client: `handle_data` of the actor that has the name (another one's when `existed`)."""

    request_id: int
    existed: bool
    handle_data: bytes


class StartActor(Message, tag=52):
    """node -> worker: become this actor."""

    spec: ActorSpec
    incarnation: int
    gpu_ids: list[int]


class ActorStarted(Message, tag=53):
    """worker -> node -> head: the constructor returned, or raised (`error` is a serialized error)."""

    actor_id: bytes
    error: bytes
    repr_name: str = ""


class WatchActor(Message, tag=54):
    """client -> head: tell me (ActorChanged) where this actor is, now and whenever that changes."""

    actor_id: bytes


class ActorChanged(Message, tag=55):
    """head -> clients. States as in Ray: DEPENDENCIES_UNREADY, PENDING_CREATION, ALIVE, RESTARTING, DEAD."""

    actor_id: bytes
    state: str
    address: str
    incarnation: int
    error: bytes
    """Serialized exception for calls, where state is DEAD or RESTARTING."""


class KillActor(Message, tag=56):
    """client -> head"""

    actor_id: bytes
    no_restart: bool


class ReleaseActor(Message, tag=57):
    """owner -> head: no counted handle is left; let queued calls end, then end the actor."""

    actor_id: bytes


class ActorExiting(Message, tag=58):
    """worker -> node -> head: I end on purpose (exit_actor, __ray_terminate__, last handle gone)."""

    actor_id: bytes
    reason: str


class DrainActor(Message, tag=59):
    """node -> worker: end after the calls that have arrived."""

    actor_id: bytes


# --- questions: client <-> daemon ----------------------------------------------------------------------------------------------------


class Query(Message, tag=70):
    """client -> daemon (and daemon -> client for state): a question off the hot path. `what` and its arguments: see process/queries.py."""

    request_id: int
    what: str
    arguments: list[Any]


class Answer(Message, tag=71):
    """The reply to a Query: a plain value, or a serialized exception."""

    request_id: int
    value: Any
    error: bytes = b""


class MetricRecorded(Message, tag=72):
    """client -> head"""

    kind: str
    name: str
    description: str
    tags: dict[str, str]
    value: float
    boundaries: list[float]


# --- tasks and actor calls: client <-> client -------------------------------------------------------------------------


class TaskCall(msgspec.Struct, array_like=True, gc=False):
    """One call of a function or a method."""

    task_id: bytes
    function_id: bytes
    """Hash of the function's definition; for actor calls the method's name in UTF-8."""
    args: bytes
    """Serialized (args, kwargs); empty for a call without arguments."""
    num_returns: int = 1
    deps: list[ObjectValue] = []
    """Values of the references among the top-level arguments."""
    slots: list[int | str] = []
    """Where they go: position, or keyword."""
    attempt: int = 0
    name: str = ""
    group: str = ""
    backpressure: int = -1
    sequence: int = 0
    alone: bool = False
    """The result must not wait for others: a crash must be blamed exactly."""
    parent_task_id: bytes = b""


class Definition(msgspec.Struct, array_like=True, gc=False):
    """A pickled function."""

    function_id: bytes
    name: str
    data: bytes


class PushTasks(Message, tag=80):
    """owner -> worker: run these in order. Definitions come with the first call that needs them."""

    calls: list[TaskCall]
    definitions: list[Definition] = []
    gpu_ids: list[int] | None = None
    """With the first push of a lease: the GPUs and CPUs that go with it."""
    cpus: float = 1.0
    resources: dict[str, int] = {}
    placement_group: bytes = b""
    capture_children: bool = False
    environment: bytes = b""


class PushActorCalls(Message, tag=81):
    """caller -> actor"""

    actor_id: bytes
    calls: list[TaskCall]
    incarnation: int = 0


class TaskResult(msgspec.Struct, array_like=True, gc=False):
    """How one call ended. The common case (one small result) is `kind` and `data`; `values` has the rest."""

    task_id: bytes
    kind: int
    data: bytes
    size: int = 0
    contained: list[tuple[bytes, str]] = []
    values: list[ObjectValue] = []
    """All results, where there is not exactly one."""
    kept: list[tuple[bytes, str]] = []
    """References from the arguments (and their owners' addresses) that the worker still holds."""
    started: float = 0.0
    ended: float = 0.0
    retryable: bool = False
    """An error of the user's code, as against a cancellation or an exit."""
    error_type: str = ""


class TasksDone(Message, tag=82):
    """worker -> owner"""

    results: list[TaskResult]


class GaveBack(Message, tag=83):
    """worker -> owner: not begun, and not going to be: the running task is blocked or takes long."""

    task_ids: list[bytes]


class CancelTask(Message, tag=84):
    """owner -> worker"""

    task_id: bytes
    recursive: bool
    force: bool = False


class StreamItem(Message, tag=85):
    """worker -> owner: one item of a streaming task; its object id is that of result `index`."""

    task_id: bytes
    index: int
    value: ObjectValue


class StreamConsumed(Message, tag=86):
    """owner -> worker: so many items have been taken in all (-1: the consumer is gone)."""

    task_id: bytes
    count: int


class FetchObjects(Message, tag=87):
    """borrower -> owner: tell me (ObjectsReady) each value when it is there."""

    object_ids: list[bytes]
    asked_by: bytes = b""
    """The task that waits for them."""


class ObjectsReady(Message, tag=88):
    """owner -> borrower"""

    values: list[ObjectValue]


class BorrowersChanged(Message, tag=89):
    """anybody -> owner: `count` more (or fewer) transfers of the reference to that borrower are known."""

    changes: list[tuple[bytes, bytes, int]]
    """(object id, borrower's worker id, count)"""
    ack: int = 0
    """Not 0: answer BorrowersKnown(ack), once it is counted."""


class BorrowersKnown(Message, tag=90):
    ack: int


class TasksRefused(Message, tag=91):
    """worker -> owner: these calls cannot run here (the actor is another, or ends). They have not begun."""

    task_ids: list[bytes]
    reason: str


class OutputLines(Message, tag=100):
    """node -> driver: what workers printed. (name, pid, is_stderr, line)"""

    lines: list[tuple[str, int, bool, str]]


# --- head <-> node ----------------------------------------------------------------------------------------------------


class PlaceActor(Message, tag=110):
    """head -> node: lend this actor a worker for life, and start it there."""

    spec: ActorSpec
    incarnation: int


class StopPlacingActor(Message, tag=111):
    """head -> node: it is not wanted any more."""

    actor_id: bytes


class ActorPlaced(Message, tag=112):
    """node -> head"""

    actor_id: bytes
    worker_id: bytes
    pid: int


class ActorUnplaceable(Message, tag=113):
    """node -> head: it can never be placed. `error` is a serialized exception."""

    actor_id: bytes
    error: bytes


class ClientEnded(Message, tag=114):
    """node -> head: a process is gone, and why (a pickled DeathCause)."""

    worker_id: bytes
    role: str
    cause: bytes


class ReserveBundles(Message, tag=115):
    """head -> node: set these resources aside, all or none (index -> amounts)."""

    group_id: bytes
    bundles: dict[int, dict[str, int]]


class BundlesPrepared(Message, tag=116):
    """node -> head"""

    node_id: bytes
    group_id: bytes
    ok: bool


class BundlesCommitted(Message, tag=122):
    """node -> head"""

    node_id: bytes
    group_id: bytes


class NodeChanged(Message, tag=123):
    """node -> head: what the node has, and what of it is free."""

    node_id: bytes
    total: dict[str, int]
    available: dict[str, int]
    labels: dict[str, str]


class CommitBundles(Message, tag=117):
    """head -> node: what is reserved may be used."""

    group_id: bytes
    indices: list[int]


class ReturnBundles(Message, tag=118):
    """head -> node: the resources are free again; what runs on them ends."""

    group_id: bytes
    indices: list[int]


class GroupRemoved(Message, tag=119):
    """head -> node: the group is gone for good."""

    group_id: bytes


class WantRoom(Message, tag=120):
    """head -> node: say RoomForGroup when these bundles fit; no bundles: not wanted any more."""

    group_id: bytes
    name: str
    bundles: list[dict[str, int]]


class RoomForGroup(Message, tag=121):
    """node -> head"""

    group_id: bytes


AnyMessage = (
    Hello
    | Welcome
    | RequestLease
    | LeaseGranted
    | LeaseRefused
    | CancelLeaseRequest
    | ReturnLease
    | ReclaimLease
    | WorkerDied
    | WorkerBlocked
    | WorkerUnblocked
    | KillWorker
    | PreloadModules
    | WhyDied
    | Notice
    | Allocate
    | Allocated
    | StoreFull
    | Seal
    | Abort
    | Pin
    | Located
    | Missing
    | Unpin
    | RoomNeeded
    | FreeObjects
    | ArenaAdded
    | ArenaRemoved
    | CreateActor
    | ActorRegistered
    | StartActor
    | ActorStarted
    | WatchActor
    | ActorChanged
    | KillActor
    | ReleaseActor
    | ActorExiting
    | DrainActor
    | Query
    | Answer
    | MetricRecorded
    | PushTasks
    | PushActorCalls
    | TasksDone
    | GaveBack
    | CancelTask
    | StreamItem
    | StreamConsumed
    | FetchObjects
    | ObjectsReady
    | BorrowersChanged
    | BorrowersKnown
    | TasksRefused
    | OutputLines
    | PlaceActor
    | StopPlacingActor
    | ActorPlaced
    | ActorUnplaceable
    | ClientEnded
    | ReserveBundles
    | BundlesPrepared
    | BundlesCommitted
    | NodeChanged
    | CommitBundles
    | ReturnBundles
    | GroupRemoved
    | WantRoom
    | RoomForGroup
    | AskToLeave
    | StillNeeded
    | NotNeeded
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)


def encode_message(message: Message) -> bytearray:
    """Returns the frame of one message: 4 bytes of length, then msgpack."""
    frame = bytearray(256)
    _encoder.encode_into(message, frame, 4)
    frame[:4] = (len(frame) - 4).to_bytes(4, "little")
    return frame


def decode_message(data: memoryview) -> Any:
    """Returns the message in one frame (without its length). Raises msgspec.ValidationError for what is none."""
    return _decoder.decode(data)
