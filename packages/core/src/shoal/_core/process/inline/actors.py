"""The actors of an inline session: made, called, killed, restarted. `logic/actors.py` decides about their lives; this carries it out.

But for what `api/engine.py` names, methods belong inside of `with turns:`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from shoal._core.logic.actors import (
    DEAD,
    ActorDirectory,
    ActorRecord,
    Drain,
    Effect,
    EndWorker,
    Place,
    Publish,
    StopPlacing,
)
from shoal._core.process.inline import calls as states
from shoal._core.process.inline.actor import DEFAULT_GROUP, Actor, HeldActor, keeps_order, limits_of
from shoal._core.process.inline.actor_life import ActorLife, end_of_exit
from shoal._core.process.inline.arguments import PackedArguments, pack
from shoal._core.process.inline.async_life import AsyncLife
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.mailbox import Mailbox, OrderedMailbox, UnorderedMailbox
from shoal._core.process.inline.objects import Waiter
from shoal._core.process.inline.runner import ActorExit, ProcessExit, cancelled
from shoal._core.process.inline.running_call import current_call
from shoal._core.process.inline.sequential_life import SequentialLife
from shoal._core.process.inline.threaded_life import ThreadedLife
from shoal._core.schema.definitions import ActorTemplate, MethodTemplate
from shoal._core.schema.ids import HANDLE_INDEX, new_id, object_id_of
from shoal._core.schema.messages import ActorSpec
from shoal._core.schema.resources import PlacementGroupStrategy, SchedulingClass
from shoal._core.system.task_errors import load_error
from shoal.exceptions import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorHandleNotFoundError,
    DeathCause,
    InvalidOptionError,
    PendingCallsLimitExceeded,
    SessionEndedError,
    ShoalError,
)

if TYPE_CHECKING:
    from shoal._core.process.inline.admission import Admission, Grant
    from shoal._core.process.inline.call_book import CallBook
    from shoal._core.process.inline.groups import Groups
    from shoal._core.process.inline.runner import Runner
    from shoal._core.process.inline.session import InlineSession
    from shoal._core.process.inline.streams import InlineStream
    from shoal._core.process.object_ref import ObjectRef


class Actors:
    """The actors."""

    def __init__(
        self,
        session: InlineSession,
        admission: Admission,
        groups: Groups,
        runner: Runner,
        book: CallBook,
        job_id: bytes,
        namespace: str,
    ) -> None:
        self.session = session
        self.runner = runner
        self.book = book
        self.turns = session.turns
        self.directory = ActorDirectory()
        self._admission = admission
        self._groups = groups
        self._job_id = job_id
        self._namespace = namespace
        self._actors: dict[bytes, Actor] = {}
        self._by_handle: dict[bytes, Actor] = {}
        self._lives: dict[bytes, Actor] = {}
        """Worker id of a life -> its actor."""

    # --- making -----------------------------------------------------------------------------------------------------------------

    def create(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldActor:
        """Makes an actor. Raises ActorAlreadyExistsError, SerializationError. Not inside of `with turns:`."""
        self.session.check_not_ended()
        self.session.seat()
        options = template.options
        namespace = options.namespace or self._namespace
        packed, kept = pack(args, kwargs)
        with self.turns:
            if options.name:
                existing = self.directory.named(namespace, options.name)
                if existing is not None:
                    if options.get_if_exists:
                        return self._hold(self._actors[existing.spec.actor_id], weak=True)
                    raise ActorAlreadyExistsError(
                        f"an actor named {options.name!r} exists already in namespace {namespace!r}; use get_if_exists=True "
                        "to get it, or another name"
                    )
            actor = self._register(template, packed, namespace)
            held = self._hold(actor, weak=False)
            self._await_arguments(actor)
        del kept
        return held

    def _register(self, template: ActorTemplate, packed: PackedArguments, namespace: str) -> Actor:
        options = template.options
        task_id = self.session.task_ids.next()
        handle_object_id = object_id_of(task_id, HANDLE_INDEX)
        caller = current_call.get()
        creator = caller.actor.life if caller is not None and caller.actor is not None else None
        spec = ActorSpec(
            actor_id=new_id(),
            creation_task_id=task_id,
            owner_id=creator.worker_id if creator is not None else task_id[:16],
            owner_address="inline",
            job_id=self._job_id,
            class_id=template.definition.id,
            class_data=b"",
            class_name=template.definition.name,
            args=b"",
            deps=[],
            slots=[],
            scheduling_class=SchedulingClass.of(options.resources, "", options.strategy),
            placement_resources=dict(options.placement_resources),
            environment=b"",
            name=options.name,
            namespace=namespace,
            detached=options.detached,
            max_restarts=options.max_restarts,
            max_concurrency=options.max_concurrency or 1,
            concurrency_groups=options.concurrency_groups,
            is_async=template.is_async,
            out_of_order=not keeps_order(template),
            handle_data=b"",
            max_task_retries=options.max_task_retries,
        )
        self.directory.create(spec, time.time())
        mailbox: Mailbox = (
            OrderedMailbox(self.turns.random) if keeps_order(template) else UnorderedMailbox(limits_of(template))
        )
        actor = Actor(self.directory.actors[spec.actor_id], template, packed, handle_object_id, mailbox)
        self._actors[actor.id] = actor
        self._by_handle[handle_object_id] = actor
        self.session.objects.hold(packed.held)
        self.session.objects.create(handle_object_id)
        return actor

    def _hold(self, actor: Actor, *, weak: bool) -> HeldActor:
        if not weak:
            self.session.objects.create(actor.handle_object_id, holds=1)
        return HeldActor(actor, self.session, weak=weak)

    def _await_arguments(self, actor: Actor) -> None:
        objects = self.session.objects
        pending = objects.pending_among(dict.fromkeys(actor.arguments.dependencies))
        if pending:
            waiter = Waiter(len(pending), lambda: self._place(actor))
            for object_id in pending:
                objects.entries[object_id].waiters.append(waiter)
        else:
            self._place(actor)

    def _place(self, actor: Actor) -> None:
        """Finds the resources for the actor's next life."""
        if actor.record.state == DEAD:
            return
        error = self.session.objects.error_among(actor.arguments.dependencies)
        if error:
            # What is loaded may hold references, which are counted: outside.
            self.turns.call_soon(lambda: self._arguments_failed(actor, error))
            return
        options = actor.template.options
        if isinstance(options.strategy, PlacementGroupStrategy):
            obstacle: Exception | None = self._groups.error_of(options.strategy.group_id)
        else:
            obstacle = self._admission.obstacle(options)
        if obstacle is not None:
            died = ActorDiedError(error_msg=f"The actor can never be placed: {obstacle}", actor_id=actor.id.hex())
            self._carry_out(self.directory.start_failed(actor.id, died, time.time()))
            return
        self._admission.apply(actor, options, lambda grant: self._admitted(actor, grant))

    def _arguments_failed(self, actor: Actor, error: bytes) -> None:
        cause = load_error(error)
        with self.turns:
            self._start_failed(actor, cause)

    def _admitted(self, actor: Actor, grant: Grant) -> None:
        kind: type[ActorLife] = SequentialLife
        if actor.template.is_async:
            kind = AsyncLife
        elif actor.limits != {DEFAULT_GROUP: 1}:
            kind = ThreadedLife
        actor.life = kind(self, actor, grant)
        self._lives[actor.life.worker_id] = actor
        self.directory.placed(actor.id, actor.life.worker_id, os.getpid())
        actor.life.begin()

    # --- what lives report --------------------------------------------------------------------------------------------------------

    def constructed(self, actor: Actor, repr_name: str) -> None:
        """The constructor has returned."""
        assert actor.life is not None
        self._carry_out(self.directory.started(actor.id, actor.life.worker_id, "inline", repr_name))

    def construction_failed(self, actor: Actor, error: BaseException) -> None:
        """The constructor has raised."""
        life = actor.life
        self._start_failed(actor, error)
        if life is not None:
            self._end_life(life.worker_id, "its constructor raised")

    def _start_failed(self, actor: Actor, error: BaseException) -> None:
        died = ActorDiedError(error, actor_id=actor.id.hex(), actor_name=actor.template.definition.name)
        self._carry_out(self.directory.start_failed(actor.id, died, time.time()))

    def exited(self, actor: Actor, exit_request: ActorExit | ProcessExit) -> None:
        """Code of the actor wants it to end."""
        reason, cause = end_of_exit(exit_request)
        if reason:
            self.directory.exiting(actor.id, reason)
        if actor.life is not None:
            self._end_life(actor.life.worker_id, reason, cause)

    def drained(self, actor: Actor) -> None:
        """All calls are done, and no handle is left."""
        self.exited(actor, ActorExit("no handle to it is left"))

    # --- carrying out ---------------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                self._published(effect.record)
            elif isinstance(effect, Place):
                self._place(self._actors[effect.record.spec.actor_id])
            elif isinstance(effect, EndWorker):
                self._end_life(effect.worker_id, effect.reason)
            elif isinstance(effect, Drain):
                life = self._actors[effect.actor_id].life
                if life is not None:
                    life.drain()
            elif isinstance(effect, StopPlacing):
                self._admission.withdraw(self._actors[effect.actor_id])

    def _published(self, record: ActorRecord) -> None:
        actor = self._actors[record.spec.actor_id]
        if record.state == DEAD:
            assert record.error is not None
            for call in list(actor.open_calls):
                self.book.fail(call, record.error)
            held, actor.arguments = actor.arguments.held, PackedArguments()
            self.session.objects.release(held)

    def _end_life(self, worker_id: bytes, reason: str, cause: DeathCause | None = None) -> None:
        actor = self._lives.pop(worker_id, None)
        if actor is None or actor.life is None:
            return
        life, actor.life = actor.life, None
        begun = [call for call in actor.open_calls if call.state == states.RUNNING]
        life.end()
        self._admission.give_back(life.grant)
        now = time.time()
        will_restart = actor.record.state != DEAD and not actor.record.exit_reason and actor.record.restarts_left != 0
        if will_restart:
            self._interrupted(begun, reason)
        effects = self.directory.worker_died(worker_id, cause or DeathCause(reason, pid=os.getpid()), now)
        if will_restart:
            assert actor.record.error is not None
            for call in begun:
                if not call.is_over and call.state == states.RUNNING:
                    self.book.fail(call, actor.record.error)
        self._carry_out(effects)
        self._carry_out(self.directory.client_gone(worker_id, now))

    def _interrupted(self, begun: list[Call], reason: str) -> None:
        """Calls that ran in a life that is over are tried again, if they may be."""
        for call in begun:
            if call.canceled:
                self.book.fail(call, cancelled(call))
            elif call.retries_left != 0 and call.stream is None:
                self.book.try_again(call)

    # --- calling ------------------------------------------------------------------------------------------------------------------

    def call(
        self, held: HeldActor, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | InlineStream:
        """Calls a method. Raises PendingCallsLimitExceeded, SessionEndedError. Not inside of `with turns:`."""
        if not held.belongs_to(self.session):
            raise SessionEndedError(
                f"the handle to actor {held.template.definition.name} belongs to a shoal session that has ended"
            )
        self.session.check_not_ended()
        self.session.seat()
        packed, kept = pack(args, kwargs)
        if not held.weak:
            packed.held.append(held.handle_object_id)
        actor = self._actors[held.actor_id]
        with self.turns:
            limit = actor.template.options.max_pending_calls
            if 0 <= limit <= len(actor.open_calls):
                raise PendingCallsLimitExceeded(
                    f"{actor.describe()} has {limit} pending calls, its max_pending_calls; wait for some of them before calling again"
                )
            call = Call(self.session.task_ids.next(), template, packed, current_call.get(), actor)
            results = self.book.begin(call)
            actor.open_calls[call] = None
            if actor.record.state == DEAD:
                assert actor.record.error is not None
                self.book.fail(call, actor.record.error)
            elif call.group not in actor.limits:
                known = [group for group in actor.limits if group]
                self.book.fail(
                    call, InvalidOptionError("concurrency_group", call.group, f"{actor.describe()} has {known}")
                )
            else:
                actor.mailbox.add(call)
                self.book.await_arguments(call)
        del kept
        return results

    def arguments_ready(self, call: Call) -> None:
        call.state = states.QUEUED_AT_ACTOR
        self._wake(call.actor)

    def queue_again(self, call: Call) -> None:
        """A call is to be tried again."""
        assert call.actor is not None
        call.state = states.QUEUED_AT_ACTOR
        call.grant = None
        call.async_task = None
        call.actor.mailbox.add_first(call)
        self._wake(call.actor)

    def call_over(self, call: Call) -> None:
        actor = call.actor
        assert actor is not None
        actor.open_calls.pop(call, None)
        actor.mailbox.remove(call)
        self._wake(actor)

    def _wake(self, actor: Actor | None) -> None:
        if actor is not None and actor.life is not None:
            actor.life.look_for_calls()

    def cancel(self, call: Call) -> None:
        """A call is cancelled: dropped where it waits; what becomes of one that runs depends on the actor's kind."""
        actor = call.actor
        assert actor is not None
        if call.state == states.RUNNING and actor.life is not None:
            actor.life.cancel(call)
        else:
            self.book.fail(call, cancelled(call))

    # --- ending -------------------------------------------------------------------------------------------------------------------

    def kill(self, actor_id: bytes, *, no_restart: bool) -> None:
        self._carry_out(self.directory.kill(actor_id, no_restart, time.time()))

    def unheld(self, handle_object_id: bytes) -> None:
        """No counted handle is left anywhere."""
        actor = self._by_handle.pop(handle_object_id, None)
        if actor is not None:
            self._carry_out(self.directory.released(actor.id, time.time()))

    def remove_group(self, group_id: bytes, error: ShoalError) -> None:
        """A placement group is about to go: so do the actors in it."""
        for actor in list(self._actors.values()):
            strategy = actor.template.options.strategy
            if isinstance(strategy, PlacementGroupStrategy) and strategy.group_id == group_id:
                died = ActorDiedError(
                    error_msg=f"{actor.describe()} ended with its placement group: {error}", actor_id=actor.id.hex()
                )
                self._admission.withdraw(actor)
                life = actor.life
                self._carry_out(self.directory.start_failed(actor.id, died, time.time()))
                if life is not None:
                    self._end_life(life.worker_id, "its placement group was removed")

    def end_all(self) -> None:
        """The session is over."""
        for actor in self._actors.values():
            if actor.life is not None:
                actor.life.end()

    # --- finding ------------------------------------------------------------------------------------------------------------------

    def named(self, name: str, namespace: str | None) -> HeldActor:
        """Returns a weak hold. Raises ActorHandleNotFoundError (a ValueError)."""
        with self.turns:
            record = self.directory.named(namespace or self._namespace, name)
            if record is not None:
                return self._hold(self._actors[record.spec.actor_id], weak=True)
            others = [f"{other!r} in {space!r}" for space, other in self.directory.names()]
        known = f" Named actors: {', '.join(others[:10])}." if others else " There are no named actors."
        raise ActorHandleNotFoundError(
            f"there is no actor named {name!r} in namespace {namespace or self._namespace!r} (it was not created yet, has ended, "
            f"or lives in another namespace).{known}"
        )

    def parts(self, held: HeldActor) -> tuple[Any, ...]:
        return held.actor_id, held.weak

    def rebuild(self, parts: tuple[Any, ...]) -> HeldActor:
        """Raises ActorHandleNotFoundError for an actor of another session."""
        actor_id, weak = parts
        with self.turns:
            actor = self._actors.get(actor_id)
            if actor is None:
                raise ActorHandleNotFoundError(
                    f"this session has no actor {actor_id.hex()}; the handle may be of another session"
                )
            return self._hold(actor, weak=weak)

    def unplaced(self) -> list[Actor]:
        """Actors that wait for their arguments or resources."""
        return [actor for actor in self._actors.values() if actor.record.state != DEAD and actor.life is None]
