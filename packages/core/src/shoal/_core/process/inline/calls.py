"""One call of a function or a method: what it is, where it stands, what it takes and gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal._core.schema.definitions import MethodTemplate, TaskTemplate
from shoal._core.schema.ids import object_id_of
from shoal._core.schema.options import DYNAMIC, STREAMING

if TYPE_CHECKING:
    import asyncio

    from shoal._core.process.inline.actor import Actor
    from shoal._core.process.inline.admission import Grant
    from shoal._core.process.inline.arguments import PackedArguments
    from shoal._core.process.inline.seat import Seat
    from shoal._core.process.inline.streams import InlineStream
    from shoal._core.schema.session import ExecutionContext

WAITING_FOR_ARGUMENTS = "PENDING_ARGS_AVAIL"
WAITING_FOR_RESOURCES = "PENDING_NODE_ASSIGNMENT"
QUEUED_AT_ACTOR = "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"
ADMITTED = "SUBMITTED_TO_WORKER"
RUNNING = "RUNNING"
FINISHED = "FINISHED"
FAILED = "FAILED"


class Call:
    """A task, or a call of an actor."""

    __slots__ = (
        "actor",
        "arguments",
        "async_task",
        "attempt",
        "caller",
        "canceled",
        "children",
        "context",
        "ended",
        "error_message",
        "error_type",
        "function_name",
        "grant",
        "group",
        "name",
        "options",
        "parent",
        "retries_left",
        "return_ids",
        "seat",
        "started",
        "state",
        "stream",
        "submitted",
        "task_id",
        "template",
        "waiting",
    )

    def __init__(
        self,
        task_id: bytes,
        template: TaskTemplate | MethodTemplate,
        arguments: PackedArguments,
        parent: Call | None,
        actor: Actor | None = None,
    ) -> None:
        self.task_id = task_id
        self.template = template
        self.options = template.options
        self.arguments = arguments
        self.parent = parent
        self.actor = actor
        if isinstance(template, TaskTemplate):
            self.function_name = template.definition.name
            self.name = template.name
            self.retries_left = template.options.max_retries
        else:
            assert actor is not None
            self.function_name = f"{actor.template.definition.name}.{template.name}"
            self.name = template.options.name or self.function_name
            own_retries = template.options.max_task_retries
            self.retries_left = actor.template.options.max_task_retries if own_retries is None else own_retries
        self.group = "" if isinstance(template, TaskTemplate) else template.options.concurrency_group
        self.caller = b"" if parent is None else parent.task_id if parent.actor is None else parent.actor.id
        """Who keeps order among its calls: an actor, a task, or (empty) the driver."""
        count = self.options.num_returns
        if count == DYNAMIC:
            count = 1
        self.return_ids = [object_id_of(task_id, index) for index in range(count)] if count != STREAMING else []
        self.stream: InlineStream | None = None
        self.state = WAITING_FOR_ARGUMENTS
        self.waiting = 0
        """Arguments that are not there yet."""
        self.attempt = 0
        self.canceled = False
        self.seat: Seat | None = None
        """The thread that runs it; of an async actor's call the actor's."""
        self.async_task: asyncio.Task[Any] | None = None
        self.grant: Grant | None = None
        """The resources that it has."""
        self.children: dict[Call, None] = {}
        """Calls that it made and that have not ended."""
        self.context: ExecutionContext | None = None
        self.submitted = 0.0
        self.started = 0.0
        self.ended = 0.0
        self.error_type = ""
        self.error_message = ""

    def __repr__(self) -> str:
        return f"<Call {self.describe()}: {self.state}>"

    @property
    def is_over(self) -> bool:
        return self.state in (FINISHED, FAILED)

    def describe(self) -> str:
        """For people: 'task f (1a2b3c4d)'."""
        kind = "task" if self.actor is None else "call"
        return f"{kind} {self.name} ({self.task_id[16:].hex().lstrip('0')})"
