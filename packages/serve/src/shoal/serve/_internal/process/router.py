"""Sends requests to the replicas of one deployment: one in each process that has a handle of it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import shoal
from shoal.serve._internal.logic.metric_text import Sample
from shoal.serve._internal.logic.replica_choice import ReplicaChoice
from shoal.serve._internal.process.actor_errors import is_death
from shoal.serve._internal.process.controller_link import ControllerLink
from shoal.serve._internal.process.custom_routing import CustomRouting
from shoal.serve._internal.process.kept_line import KeptLines
from shoal.serve._internal.process.loop_mailbox import running_loop
from shoal.serve._internal.process.replica_line import Fetch, LineLost, ReplicaLine, request_frame
from shoal.serve._internal.schema.deployments import DeploymentId, DeploymentTargets, ReplicaInfo
from shoal.serve._internal.schema.requests import Busy, Lost, RequestMeta, Streaming
from shoal.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
    RequestCancelledError,
)


class Call:
    """One request on its way. `done` is called once, on any thread, with its value or error.

    Args:
        meta: about it.
        args: of the method.
        kwargs: of the method.
        method: of the replica's actor: 'call', 'http' or 'grpc'.
        done: takes (value, error).
        may_repeat: another replica may do it, once, where the one that has it dies or is not reached any more: doing it twice does no harm.
    """

    __slots__ = ("args", "cancelled", "done", "kwargs", "line", "may_repeat", "meta", "method", "replica")

    def __init__(
        self,
        meta: RequestMeta,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        method: str,
        done: Callable[[Any, BaseException | None], None],
        may_repeat: bool = False,
    ) -> None:
        self.meta = meta
        self.args = args
        self.kwargs = kwargs
        self.method = method
        self.done = done
        self.may_repeat = may_repeat
        self.cancelled = False
        self.replica: ReplicaInfo | None = None
        """Who has it; None while it waits."""
        self.line: ReplicaLine | None = None
        """How it went there; None for by a call of the actor."""


class AnyRouter(Protocol):
    """Where calls go: to replicas in other processes, or in this one."""

    def submit(self, call: Call) -> None: ...

    def refusal(self) -> BackPressureError | None: ...

    def cancel(self, call: Call) -> None: ...

    def wait_for_items(self, call: Call) -> Streaming: ...

    async def next_items(self, call: Call) -> Streaming: ...

    def push(self, call: Call, messages: list[Any]) -> asyncio.Future[None]: ...


class Router:
    """Sends requests to one deployment.

    Args:
        deployment: which.
        link: tells which replicas there are.
        loop: that lives as long as this process; None where there is none.
    """

    def __init__(
        self, deployment: DeploymentId, link: ControllerLink, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.deployment = deployment
        self._loop = loop
        self._lock = threading.Lock()
        self._choice = ReplicaChoice(lambda n: int(random.random() * n))
        self._waiting: deque[Call] = deque()
        self._max_queued = -1
        self._gone = ""
        self._known = False
        self._report_s = 0.0
        self._busy = 0
        self._custom: CustomRouting | None = None
        """Asks the user's router, where the deployment has one."""
        self._taken = 0
        """Calls that it was given."""
        self._link = link
        self._lines: KeptLines | None = None
        """Where this process has a loop that lives as long as it does."""
        if loop is not None:
            self._lines = KeptLines(loop, shoal.get_runtime_context().get_node_id())
        link.listen(deployment.key, self._targets_changed, self._controller_lost)

    def _targets_changed(self, targets: DeploymentTargets | None) -> None:
        if targets is None:
            targets = DeploymentTargets((), gone="there never was one of this name")
        shed: list[Call] = []
        with self._lock:
            first_heard_of, self._known = not self._known, True
            self._max_queued = targets.max_queued
            self._report_s = targets.report_s
            self._gone = targets.gone
            self._set_custom(targets.router)
            self._choice.replicas_changed(targets.replicas)
            if self._lines is not None:
                self._lines.replicas_changed(targets.replicas)
            lost = list(self._waiting) if targets.gone else []
            if lost:
                self._waiting.clear()
                self._busy -= len(lost)
            if first_heard_of and targets.max_queued >= 0:
                # While nothing was known of the limit, all were let in.
                room = targets.max_queued + sum(one.max_ongoing for one in targets.replicas)
                while len(self._waiting) > room:
                    shed.append(self._waiting.pop())
                self._busy -= len(shed)
        if self._report_s and self._busy:
            self._link.load_reports.busy(self, self._report_s)
        for call in shed:
            call.done(None, BackPressureError(len(self._waiting), targets.max_queued))
        for call in lost:
            call.done(None, self._not_there(targets.gone))
        self._send_waiting()

    def _controller_lost(self, error: BaseException) -> None:
        """No replica will come any more; those that are there go on."""
        with self._lock:
            self._gone = self._gone or f"serving was ended ({error})"
            why, lost = self._gone, list(self._waiting)
            self._waiting.clear()
            self._busy -= len(lost)
        for call in lost:
            call.done(None, self._not_there(why))

    @property
    def load(self) -> int:
        """Requests that are worked on, and that wait."""
        return self._busy

    def samples(self, process: str) -> list[Sample]:
        """Returns what it counts.

        Args:
            process: which tells it apart from others of the same deployment.
        """
        tags = {"application": self.deployment.app, "deployment": self.deployment.name, "handle": process}
        waiting = len(self._waiting)
        return [
            Sample("serve_deployment_queued_queries", "gauge", "Requests that wait for a replica.", tags, waiting),
            Sample(
                "serve_num_ongoing_requests_at_replicas",
                "gauge",
                "Requests that replicas have.",
                tags,
                max(self._busy - waiting, 0),
            ),
            Sample("serve_num_router_requests", "counter", "Requests that were sent on.", tags, self._taken),
        ]

    def submit(self, call: Call) -> None:
        """Sends a request, now or when a replica has room. Never blocks."""
        error: BaseException | None = None
        with self._lock:
            # It may have been deployed anew a moment ago: the controller has the last word.
            look_again = bool(self._gone) and not self._waiting
            in_turn = bool(self._waiting) or self._custom is not None
            replica = call.replica = None if in_turn else self._choice.take(call.meta.home)
            if replica is None:
                if self._known and not self._gone and 0 <= self._max_queued <= self._queued():
                    error = BackPressureError(len(self._waiting), self._max_queued)
                else:
                    self._waiting.append(call)
            self._busy += error is None
            self._taken += 1
        if self._report_s:
            self._link.load_reports.busy(self, self._report_s)
        if look_again:
            self._link.look_again(self.deployment.key)
        if error is not None:
            call.done(None, error)
        elif replica is not None:
            self._send(call, replica)
        elif self._custom is not None:
            self._custom.wake()

    def _queued(self) -> int:
        """Requests for which there is no room. Those that are about to be sent, or that the user's router is about to be asked for, do not
        count."""
        room = self._choice.room
        return 0 if room and self._custom is not None else max(0, len(self._waiting) - room)

    def refusal(self) -> BackPressureError | None:
        """Returns why a request would be turned away now, where that is certain; None else. Cheaper than to try."""
        limit, waiting = self._max_queued, len(self._waiting)
        if not 0 < limit <= waiting or self._custom is not None or self._gone or self._queued() < limit:
            return None
        return BackPressureError(waiting, limit)

    def cancel(self, call: Call) -> None:
        """Ends a request, wherever it is. Its `done` is still called."""
        with self._lock:
            call.cancelled = True
            waits = call.replica is None and call in self._waiting
            if waits:
                self._waiting.remove(call)
                self._busy -= 1
            replica = call.replica
        if waits:
            call.done(None, RequestCancelledError(call.meta.request_id))
        if replica is not None:
            self._cancel_at(replica, call)

    def _cancel_at(self, replica: ReplicaInfo, call: Call) -> None:
        line = call.line
        if line is None:
            replica.actor.cancel.remote(call.meta.call_id)
        elif running_loop() is not self._loop and self._loop is not None:
            # Behind the call, which may be on its way.
            self._loop.call_soon_threadsafe(self._cancel_at, replica, call)
        elif line.is_lost:
            replica.actor.cancel.remote(call.meta.call_id)
        else:
            line.cancel(call.meta.call_id)

    def wait_for_items(self, call: Call) -> Streaming:
        """Returns what a stream, whose first part has come, has next. Blocks."""
        assert call.replica is not None
        try:
            part: Streaming = call.replica.actor.next_items.remote(call.meta.call_id).future().result()
        except shoal.exceptions.ActorError as error:
            if not is_death(error):
                raise
            raise self._died(call.replica, error) from error
        return part

    def _died(self, replica: ReplicaInfo, error: BaseException) -> ReplicaUnavailableError:
        """A replica that was asked is dead, and gets no more requests. Returns what is raised."""
        with self._lock:
            self._choice.gone(replica.replica_id)
        return _lost(replica, error)

    async def next_items(self, call: Call) -> Streaming:
        """Does the same on an event loop."""
        assert call.replica is not None
        try:
            return await self._next_items(call, call.replica)
        except shoal.exceptions.ActorError as error:
            if not is_death(error):
                raise
            raise self._died(call.replica, error) from error

    async def _next_items(self, call: Call, replica: ReplicaInfo) -> Streaming:
        call_id = call.meta.call_id
        part: Streaming | Lost
        is_there = False
        if call.line is not None:
            try:
                asked: Streaming = await call.line.ask_next(call_id)
                return asked
            except Fetch:
                is_there = True
            except LineLost as lost:
                # Where the replica is gone, its actor tells why.
                await replica.actor.recover.remote(call_id)
                raise _lost(replica, lost) from lost
        part = await replica.actor.fetch.remote(call_id, is_there)
        if isinstance(part, Lost):
            raise _lost(replica, LineLost())
        return part

    def push(self, call: Call, messages: list[Any]) -> asyncio.Future[None]:
        """Gives ASGI messages to a request of HTTP, after those before; ends when there is room for more."""
        assert call.replica is not None
        if call.line is not None:
            return call.line.push(call.meta.call_id, messages)
        pushed: asyncio.Future[None] = call.replica.actor.push.remote(call.meta.call_id, messages).as_future()
        return pushed

    def _send(self, call: Call, replica: ReplicaInfo) -> None:
        if not self._was_sent(call, replica):
            self._send_waiting()

    def _was_sent(self, call: Call, replica: ReplicaInfo) -> bool:
        """Sends a call. Returns False for one that cannot be sent, which is told so, and has left its place to the next one."""
        if self._lines is not None and running_loop() is self._loop:
            line = self._lines.of(replica.replica_id)
            frame = request_frame(call.method, call.meta, call.args, call.kwargs) if line is not None else None
            if line is not None and frame is not None:
                call.line = line
                line.send(*frame, lambda value, error: self._answered_by_line(call, replica, value, error))
                self._check_cancelled(call, replica)
                return True
        call.line = None
        try:
            ref = getattr(replica.actor, call.method).remote(call.meta, call.args, call.kwargs)
        except Exception as error:
            self._answered(call, replica, None, error, sends_next=False)
            return False
        # A loop that lives as long as the process hears of answers itself; other loops may end while there are some to come. While calls
        # wait, a busy loop would keep the replica waiting for the next one.
        by_loop = not self._waiting and running_loop() is self._loop is not None
        self._await(call, replica, ref.as_future() if by_loop else ref.future())
        self._check_cancelled(call, replica)
        return True

    def _check_cancelled(self, call: Call, replica: ReplicaInfo) -> None:
        """A call that another thread has cancelled while it was sent: what was said of that may have been there before it."""
        if call.cancelled:
            self._cancel_at(replica, call)

    def _await(self, call: Call, replica: ReplicaInfo, future: Future[Any] | asyncio.Future[Any]) -> None:
        def told(done: Future[Any] | asyncio.Future[Any]) -> None:
            error = done.exception()
            self._answered(call, replica, done.result() if error is None else None, error)

        future.add_done_callback(told)

    def _answered_by_line(self, call: Call, replica: ReplicaInfo, value: Any, error: BaseException | None) -> None:
        if isinstance(error, Fetch):
            self._await(call, replica, replica.actor.fetch.remote(call.meta.call_id, True).as_future())
        elif isinstance(error, LineLost) and error.was_sent:
            # The actor tells what comes of it, or why that cannot be told: where the replica is gone, too.
            self._await(call, replica, replica.actor.recover.remote(call.meta.call_id).as_future())
        else:
            self._answered(call, replica, value, error)

    def _answered(
        self, call: Call, replica: ReplicaInfo, value: Any, error: BaseException | None, sends_next: bool = True
    ) -> None:
        if isinstance(value, Lost):
            value, error = None, LineLost()
        died = error is not None and is_death(error)
        lost = isinstance(error, LineLost)
        refused = isinstance(value, Busy)
        ending = refused and value.ending
        ask = False
        with self._lock:
            self._choice.ended(replica.replica_id)
            if died or ending:
                self._choice.gone(replica.replica_id)
            elif refused:
                ask = self._choice.full(replica.replica_id)
            is_unsent = isinstance(error, LineLost) and not error.was_sent
            again = (refused or is_unsent or ((died or lost) and call.may_repeat)) and not call.cancelled
            if refused and call.cancelled:
                value, error = None, RequestCancelledError(call.meta.request_id)
            if again and self._gone:
                # It would wait for ever: those that waited have been told.
                again = False
                value, error = None, error or self._not_there(self._gone)
            if again:
                call.may_repeat = call.may_repeat and (refused or is_unsent)
                call.replica = None
                self._waiting.appendleft(call)
            else:
                self._busy -= 1
        if ask:
            room: Future[Any] = replica.actor.room.remote().future()
            room.add_done_callback(lambda done: self._has_room(replica.replica_id))
        if self._custom is not None:
            self._custom.completed(replica.replica_id, call.meta.call_id)
        # The next one first: who has this answer may ask again at once, and finds its place free.
        if self._waiting and sends_next:
            self._send_waiting()
        if not again:
            call.done(value, _lost(replica, error) if error is not None and (died or lost) else error)

    def _not_there(self, why: str) -> DeploymentUnavailableError:
        return DeploymentUnavailableError(f"{self.deployment} is not there: {why}")

    def _has_room(self, replica_id: str) -> None:
        with self._lock:
            self._choice.has_room(replica_id)
        self._send_waiting()

    def _set_custom(self, pickled: bytes) -> None:
        if pickled == (self._custom.pickled if self._custom is not None else b""):
            return
        if self._custom is not None:
            self._custom.end()
        self._custom = CustomRouting(self, pickled) if pickled else None

    def first_waiting(self) -> Call | None:
        """Returns the call that has waited longest; None where none waits."""
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def ongoing(self) -> dict[str, tuple[ReplicaInfo, int]]:
        """Returns the replicas, with how many requests of this router each has."""
        with self._lock:
            return {name: (slot.info, slot.ongoing) for name, slot in self._choice.slots.items()}

    def send_first(self, call: Call, replica_ids: Sequence[str]) -> str | None:
        """Sends the call that has waited longest to the first of these that has room. Returns which; None where none has, or another
        call waits longest by now."""
        with self._lock:
            if not self._waiting or self._waiting[0] is not call:
                return None
            replica = self._choice.take_from(replica_ids)
            if replica is None:
                return None
            self._waiting.popleft()
            call.replica = replica
        self._send(call, replica)
        return replica.replica_id

    def fail_first(self, call: Call, error: BaseException) -> None:
        """Ends the call that has waited longest with an error."""
        with self._lock:
            if not self._waiting or self._waiting[0] is not call:
                return
            self._waiting.popleft()
            self._busy -= 1
        call.done(None, error)

    def _send_waiting(self) -> None:
        if self._custom is not None:
            self._custom.wake()
            return
        if self._lines is not None and running_loop() is not self._loop:
            # Lines belong to the loop.
            if self._waiting and self._loop is not None:
                self._loop.call_soon_threadsafe(self._send_waiting)
            return
        while True:
            with self._lock:
                if not self._waiting:
                    return
                replica = self._choice.take(self._waiting[0].meta.home)
                if replica is None:
                    return
                call = self._waiting.popleft()
                call.replica = replica
            self._was_sent(call, replica)


def _lost(replica: ReplicaInfo, cause: BaseException) -> ReplicaUnavailableError:
    what = "was not reached any more" if isinstance(cause, LineLost) else "died"
    error = ReplicaUnavailableError(f"replica {replica.replica_id} {what} while it had the request: {cause}")
    error.__cause__ = cause
    return error
