"""One actor: what it is over all its lives, and the holds on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal._core.logic.actors import ActorRecord
from shoal._core.process.inline.arguments import PackedArguments
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.mailbox import Mailbox
from shoal._core.schema.definitions import ActorTemplate

if TYPE_CHECKING:
    from shoal._core.process.inline.actor_life import ActorLife
    from shoal._core.process.inline.session import InlineSession

DEFAULT_GROUP = ""
ASYNC_CONCURRENCY = 1000


class HeldActor:
    """A hold on an actor (see `api/engine.ActorRef`)."""

    __slots__ = ("_session", "actor_id", "handle_object_id", "template", "weak")

    def __init__(self, actor: Actor, session: InlineSession, *, weak: bool) -> None:
        self.actor_id = actor.id
        self.template = actor.template
        self.handle_object_id = b"" if weak else actor.handle_object_id
        self.weak = weak
        self._session = session

    def __del__(self) -> None:
        if self.handle_object_id:
            self._session.drop_ref(self.handle_object_id)

    def binary(self) -> bytes:
        """The id under which holds are counted (what `note_ref` collects)."""
        return self.handle_object_id

    def belongs_to(self, session: InlineSession) -> bool:
        return self._session is session


class Actor:
    """One actor over all its lives."""

    __slots__ = (
        "arguments",
        "handle_object_id",
        "id",
        "life",
        "limits",
        "mailbox",
        "open_calls",
        "record",
        "template",
    )

    def __init__(
        self,
        record: ActorRecord,
        template: ActorTemplate,
        arguments: PackedArguments,
        handle_object_id: bytes,
        mailbox: Mailbox,
    ) -> None:
        self.id = record.spec.actor_id
        self.record = record
        self.template = template
        self.arguments = arguments
        self.handle_object_id = handle_object_id
        self.mailbox = mailbox
        self.limits = limits_of(template)
        self.life: ActorLife | None = None
        self.open_calls: dict[Call, None] = {}

    def describe(self) -> str:
        """For people: 'actor Counter (1a2b3c4d)'."""
        name = f" {self.record.spec.name!r}" if self.record.spec.name else ""
        return f"actor {self.template.definition.name}{name} ({self.id.hex()[:8]})"


def limits_of(template: ActorTemplate) -> dict[str, int]:
    """How many calls of each concurrency group run side by side."""
    default = template.options.max_concurrency or (ASYNC_CONCURRENCY if template.is_async else 1)
    return {DEFAULT_GROUP: default, **template.options.concurrency_groups}


def keeps_order(template: ActorTemplate) -> bool:
    """Whether the calls of one caller run in order: not for async and threaded actors, unless asked otherwise."""
    chosen = template.options.allow_out_of_order_execution
    if chosen is not None:
        return not chosen
    return not template.is_async and limits_of(template) == {DEFAULT_GROUP: 1}
