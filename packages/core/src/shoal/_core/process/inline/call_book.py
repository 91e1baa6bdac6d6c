"""All calls of an inline session, from `.remote()` to the result: arguments awaited, resources awaited, run, tried again, cancelled."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from shoal._core.process.inline import calls as states
from shoal._core.process.inline.admission import Admission, Grant
from shoal._core.process.inline.arguments import PackedArguments, pack
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.groups import Groups
from shoal._core.process.inline.objects import ERROR, VALUE, Waiter
from shoal._core.process.inline.runner import Outcome, Runner, cancelled
from shoal._core.process.inline.running_call import current_call
from shoal._core.process.inline.seat import Abandoned, Seat
from shoal._core.process.inline.session import InlineSession
from shoal._core.process.inline.streams import InlineStream
from shoal._core.process.object_ref import ObjectRef
from shoal._core.schema.definitions import TaskTemplate
from shoal._core.schema.ids import task_of
from shoal._core.schema.options import STREAMING, TaskOptions
from shoal._core.schema.resources import PlacementGroupStrategy
from shoal._core.system.task_errors import dump_error
from shoal.exceptions import TaskForceCancelledError

if TYPE_CHECKING:
    from shoal._core.process.inline.actors import Actors

KEPT_RECORDS = 10_000


class CallBook:
    """The calls. Its methods belong inside of `with turns:`, but for `submit` and `cancel`."""

    def __init__(self, session: InlineSession, admission: Admission, groups: Groups, runner: Runner) -> None:
        self._session = session
        self._turns = session.turns
        self._objects = session.objects
        self._admission = admission
        self._groups = groups
        self._runner = runner
        self.actors: Actors | None = None
        self.open: dict[bytes, Call] = {}
        """Calls that have not ended, by task id."""
        self.over: deque[Call] = deque(maxlen=KEPT_RECORDS)

    # --- beginning --------------------------------------------------------------------------------------------------------------

    def submit(
        self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | InlineStream:
        """Begins a task. Raises SerializationError, SessionEndedError."""
        self._session.check_not_ended()
        self._session.seat()
        packed, kept = pack(args, kwargs)
        call = Call(self._session.task_ids.next(), template, packed, current_call.get())
        with self._turns:
            results = self.begin(call)
            obstacle = self._obstacle(template)
            if obstacle is not None:
                self.fail(call, obstacle)
            else:
                self.await_arguments(call)
        del kept
        return results

    def begin(self, call: Call) -> list[ObjectRef[Any]] | InlineStream:
        """Takes a new call in; returns what its caller gets."""
        call.submitted = time.time()
        self.open[call.task_id] = call
        self._objects.hold(call.arguments.held)
        if call.parent is not None:
            call.parent.children[call] = None
        if call.options.num_returns == STREAMING:
            call.stream = InlineStream(
                self._session, call.task_id, call.describe(), call.options.generator_backpressure
            )
            return call.stream
        for object_id in call.return_ids:
            self._objects.create(object_id, holds=1)
        return [ObjectRef(object_id, self._session) for object_id in call.return_ids]

    def await_arguments(self, call: Call) -> None:
        pending = self._objects.pending_among(dict.fromkeys(call.arguments.dependencies))
        call.waiting = len(pending)
        if not pending:
            self._arguments_ready(call)
            return
        for object_id in pending:
            self._objects.entries[object_id].waiters.append(Waiter(1, lambda: self._argument_ready(call)))

    def _argument_ready(self, call: Call) -> None:
        call.waiting -= 1
        if call.waiting == 0 and not call.is_over:
            self._arguments_ready(call)

    def _arguments_ready(self, call: Call) -> None:
        error = self._objects.error_among(call.arguments.dependencies)
        if error:
            self.fail_with(call, error, "ArgumentError", "one of its arguments is an error")
        elif call.actor is not None:
            assert self.actors is not None
            self.actors.arguments_ready(call)
        else:
            self._stand_in_line(call)

    # --- tasks ------------------------------------------------------------------------------------------------------------------

    def _obstacle(self, template: TaskTemplate) -> Exception | None:
        strategy = template.options.strategy
        if isinstance(strategy, PlacementGroupStrategy):
            return self._groups.error_of(strategy.group_id)
        return self._admission.obstacle(template.options)

    def _stand_in_line(self, call: Call) -> None:
        assert isinstance(call.template, TaskTemplate)
        error = self._obstacle(call.template)  # its placement group may be gone by now
        if error is not None:
            self.fail(call, error)
            return
        call.state = states.WAITING_FOR_RESOURCES
        self._admission.apply(call, call.template.options, lambda grant: self._admitted(call, grant))

    def _admitted(self, call: Call, grant: Grant) -> None:
        """A task has its resources: it runs in its turn."""
        call.grant = grant
        call.state = states.ADMITTED
        seat = Seat(call.name, lambda: self._run_task(call))
        call.seat = seat
        self._turns.add(seat)

    def _run_task(self, call: Call) -> None:
        """What the task's thread runs."""
        seat = call.seat
        assert seat is not None
        self._session.sit(seat)
        current_call.set(call)
        self.started(call)
        try:
            assert isinstance(call.template, TaskTemplate)
            definition = call.template.definition
            outcome = self._runner.run(call, lambda: self._runner.definition(definition))
            with self._turns:
                if not seat.is_abandoned:
                    self.settle(call, outcome)
            del outcome
        except Abandoned:
            pass  # whoever abandoned the task has settled it
        except KeyboardInterrupt:
            with self._turns:
                self.fail(call, cancelled(call))  # the cancellation came when the user's code had ended
        finally:
            self._turns.ended(seat)

    def started(self, call: Call) -> None:
        call.state = states.RUNNING
        call.started = time.time()

    # --- ending -----------------------------------------------------------------------------------------------------------------

    def settle(self, call: Call, outcome: Outcome) -> None:
        """An attempt is over: the call has its results, fails, or is tried again."""
        if call.is_over:
            return
        if call.canceled:
            self.fail(call, cancelled(call))
        elif not outcome.error:
            for object_id, (data, refs) in zip(call.return_ids, outcome.values, strict=True):
                self._objects.complete(object_id, VALUE, data, [ref.binary() for ref in refs])
            if call.stream is not None:
                call.stream.end(b"")
            self._close(call, states.FINISHED)
        elif outcome.may_retry and call.retries_left != 0:
            self.try_again(call)
        else:
            self.fail_with(call, outcome.error, outcome.error_type, outcome.error_message)

    def try_again(self, call: Call) -> None:
        """Another attempt, with fresh arguments."""
        if call.retries_left > 0:
            call.retries_left -= 1
        call.attempt += 1
        call.context = None
        if call.actor is None:
            self._give_back(call)
            self._stand_in_line(call)
        else:
            assert self.actors is not None
            self.actors.queue_again(call)

    def fail(self, call: Call, error: BaseException) -> None:
        self.fail_with(call, dump_error(error), type(error).__name__, str(error))

    def fail_with(self, call: Call, data: bytes, error_type: str, message: str) -> None:
        """The call is over: its results are an error."""
        if call.is_over:
            return
        call.error_type = error_type
        call.error_message = message
        for object_id in call.return_ids:
            self._objects.complete(object_id, ERROR, data)
        if call.stream is not None:
            call.stream.end(data)
        self._close(call, states.FAILED)

    def _close(self, call: Call, state: str) -> None:
        call.state = state
        call.ended = time.time()
        del self.open[call.task_id]
        self.over.append(call)
        self._give_back(call)
        self._objects.release(call.arguments.held)
        call.arguments = _NO_ARGUMENTS
        if call.parent is not None:
            call.parent.children.pop(call, None)
            call.parent = None
        call.stream = None
        if call.actor is not None:
            assert self.actors is not None
            self.actors.call_over(call)

    def _give_back(self, call: Call) -> None:
        grant, call.grant = call.grant, None
        if grant is not None and call.actor is None:
            self._admission.give_back(grant)

    # --- ending early -------------------------------------------------------------------------------------------------------------

    def cancel(self, ref: ObjectRef[Any] | InlineStream, *, force: bool, recursive: bool) -> None:
        """Cancels the call that makes an object. Raises ValueError for `force` on a call of an actor."""
        task_id = ref.task_id if isinstance(ref, InlineStream) else task_of(self._session.id_of(ref))
        with self._turns:
            call = self.open.get(task_id)
            if call is None:
                return
            if force and call.actor is not None:
                raise ValueError("force=True is not for calls of actors; shoal.kill(actor) ends the actor")
            self.cancel_call(call, force=force, recursive=recursive)

    def cancel_call(self, call: Call, *, force: bool = False, recursive: bool = True) -> None:
        if call.is_over:
            return
        call.canceled = True
        call.retries_left = 0
        call.context = None
        if recursive:
            for child in list(call.children):
                self.cancel_call(child, force=force and child.actor is None)
        if call.actor is not None:
            assert self.actors is not None
            self.actors.cancel(call)
        elif call.state == states.RUNNING:
            assert call.seat is not None
            if force:
                self.abandon(call, TaskForceCancelledError(call.task_id.hex()))
            else:
                self._turns.interrupt(call.seat, KeyboardInterrupt())
        else:
            self._withdraw(call)
            self.fail(call, cancelled(call))

    def abandon(self, call: Call, error: BaseException) -> None:
        """Ends a task wherever it is; its results are `error`."""
        if call.state == states.RUNNING and call.seat is not None:
            self._turns.abandon(call.seat)
        else:
            self._withdraw(call)
        self.fail(call, error)

    def _withdraw(self, call: Call) -> None:
        self._admission.withdraw(call)
        if call.state == states.ADMITTED and call.seat is not None:
            self._turns.withdraw(call.seat)

    def tasks_in_group(self, group_id: bytes) -> list[Call]:
        """Tasks that run in a placement group, or want to; those that want to come first."""
        tasks = [
            call
            for call in self.open.values()
            if isinstance(call.options, TaskOptions)
            and isinstance(call.options.strategy, PlacementGroupStrategy)
            and call.options.strategy.group_id == group_id
        ]
        return sorted(tasks, key=lambda call: call.grant is not None)

    # --- saying -------------------------------------------------------------------------------------------------------------------

    def describe_object(self, object_id: bytes) -> str:
        """Says for people what somebody waits for who waits for this object."""
        call = self.open.get(task_of(object_id))
        return call.describe() if call is not None else f"object {object_id.hex()}"

    def missing(self, arguments: PackedArguments) -> str:
        """Says which arguments are not there yet; '' for none."""
        pending = self._objects.pending_among(dict.fromkeys(arguments.dependencies))
        names = [self.describe_object(object_id) for object_id in pending[:3]]
        return ", ".join(names) + (", ..." if len(pending) > 3 else "")


_NO_ARGUMENTS = PackedArguments()
