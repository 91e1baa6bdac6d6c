"""What shoal needs of Dask's scheduler beyond what that does: a plugin of it, which each session installs.

It runs in the scheduler's event loop, so nothing here needs a lock, and nothing may block. It has

- promises: keys whose values come from elsewhere than from a task of Dask's (calls of actors). To the scheduler a promise is a task that
  asks for a resource that no worker has; whoever makes the value puts it into its worker's memory, and `_fulfil` says so;
- what refers to what: an object that has references inside keeps their objects (`contains`);
- actors: where they are, their calls that are not answered, their names and deaths;
- key-values.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol import pickle

from shoal import exceptions as of_shoal
from shoal.integrations.dask.errors import FREED, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from distributed.scheduler import Scheduler, TaskState

logger = logging.getLogger("shoal.dask")
NAME = "shoal"
CLIENT = "shoal-head"
"""As whom the head wants keys."""
RETRIES = "shoal_retries"
"""Annotation of a task: how many deaths of workers it survives."""
_NOWHERE = {"shoal-promise": 1.0}
_FOREVER = 10**9
_STIMULUS = "shoal"


@dataclass
class Call:
    """A call of an actor that is not answered.

    Args:
        message: what the worker is told.
        keys: of its results.
        retries: how many deaths of the actor it survives; -1 for all.
        sent: whether the worker has it.
    """

    message: dict[str, Any]
    keys: list[str]
    retries: int
    sent: bool = False


@dataclass
class Actor:
    """What is known of one actor.

    Args:
        life: key of the task that it lives in.
        handle: the promise that is wanted by whoever has a handle.
        facts: class_name, name, namespace, data (for handles), detached, max_restarts, max_task_retries, job, and
            parent: the actor that made it, '' for none.
    """

    life: str
    handle: str
    facts: dict[str, Any]
    worker: str = ""
    """Where it is, or is being made."""
    ready: bool = False
    """Its constructor has ended."""
    deaths: int = 0
    death: bytes | None = None
    """Why its calls fail, once it is dead for good: what carries the error, pickled."""
    forgotten: bool = False
    """There is no handle any more: it ends when its calls are answered."""
    calls: dict[str, Call] = field(default_factory=dict)


class Head(SchedulerPlugin):
    """See the module's own words."""

    idempotent = True
    name = NAME

    async def start(self, scheduler: Scheduler) -> None:
        """Makes the scheduler answer to sessions."""
        self._scheduler: Any = scheduler
        self._actors: dict[str, Actor] = {}
        self._lives: dict[str, str] = {}
        self._handles: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._inside: dict[str, list[str]] = {}
        self._wanted: Counter[str] = Counter()
        self._values: dict[tuple[str, bytes], bytes] = {}
        self._jobs: dict[str, str] = {}
        self._questions: dict[str, Callable[..., Any]] = {
            "actor_starts": self._actor_starts,
            "actor_of": self._actor_of,
            "cancel": self._cancel,
            "contains": self._contains,
            "desire": self._desire,
            "free": self._free,
            "hello": self._hello,
            "is_actor_call": self._is_actor_call,
            "kv": self._kv,
            "names": self._list_names,
            "new_named_actor": self._new_named_actor,
            "no_retries": self._no_retries,
            "where_runs": self._where_runs,
            "where_is": self._where_is,
            "workers": self._workers,
        }
        scheduler.handlers["shoal"] = self._answer
        told: dict[str, Callable[..., Any]] = {
            "shoal-new-actor": self._new_actor,
            "shoal-life": self._life_submitted,
            "shoal-ask": self._answer_in_order,
            "shoal-ready": self._actor_ready,
            "shoal-ended": self._actor_ended,
            "shoal-call": self._call,
            "shoal-kill": self._kill,
            "shoal-done": self._done,
            "shoal-item": self._item,
            "shoal-taken": self._taken,
            "shoal-desire": self._desire,
            "shoal-job-ended": self._job_ended,
        }
        scheduler.stream_handlers.update({op: _guarded(handler) for op, handler in told.items()})

    def _answer(self, question: str, **facts: Any) -> Any:
        return self._questions[question](**facts)

    def _answer_in_order(self, number: int, question: str, facts: dict[str, Any], client: str) -> None:
        reply: dict[str, Any] = {"op": "shoal-answer", "number": number, "answer": None}
        try:
            reply["answer"] = self._questions[question](**facts)
        except Exception as error:
            reply["error"] = f"Dask's scheduler could not answer {question!r}: {error!r}"
            raise
        finally:
            self._scheduler.client_send(client, reply)

    # --- promises and objects ---------------------------------------------------------------------------------------------------

    def _promise(self, key: str, client: str) -> None:
        scheduler = self._scheduler
        task = scheduler.new_task(key, None, "no-worker")
        task.resource_restrictions = _NOWHERE
        scheduler.unrunnable[task] = monotonic()
        scheduler.client_desires_keys(keys=[key], client=client)

    def _open_promise(self, key: str) -> TaskState | None:
        task: Any = self._scheduler.tasks.get(key)
        return (
            task if task is not None and task.state == "no-worker" and task.resource_restrictions is _NOWHERE else None
        )

    def _fulfil(self, key: str, worker: str, size: int) -> None:
        """The value of a promise is in the memory of `worker`."""
        scheduler = self._scheduler
        task: Any = self._open_promise(key)
        state = scheduler.workers.get(worker)
        if task is None or state is None:
            scheduler.worker_send(worker, {"op": "free-keys", "keys": [key], "stimulus_id": _STIMULUS})
            return
        scheduler.unrunnable.pop(task, None)
        task.set_nbytes(size)
        recommendations: dict[str, Any] = {}
        messages: dict[str, Any] = {}
        scheduler._add_to_memory(task, state, recommendations, messages, type=b"", typename="bytes")
        scheduler.send_all(messages, {})
        scheduler.transitions(recommendations, stimulus_id=_STIMULUS)

    def _fail(self, key: str, error: bytes) -> None:
        """A promise, or a task that has not ended, fails."""
        scheduler = self._scheduler
        task: Any = scheduler.tasks.get(key)
        if task is None or task.state in ("memory", "erred", "forgotten"):
            return
        if task.state in ("processing", "queued", "no-worker"):
            facts: dict[str, Any] = {"cause": key, "exception": error}
            if task.state == "processing":
                facts["worker"] = task.processing_on.address
                scheduler.worker_send(facts["worker"], {"op": "free-keys", "keys": [key], "stimulus_id": _STIMULUS})
        else:
            task.exception = error
            task.exception_blame = task
            facts = {}
        scheduler.transitions(scheduler.transition(key, "erred", stimulus_id=_STIMULUS, **facts), stimulus_id=_STIMULUS)

    def _done(
        self, task: str, keys: list[str], sizes: list[int], actor: str, worker: str, error: bytes | None = None
    ) -> None:
        """A call has been answered by an actor."""
        for position, key in enumerate(keys):
            if error is not None:
                self._fail(key, error)
            else:
                self._fulfil(key, worker, sizes[position])
        record = self._actors.get(actor)
        if record is not None:
            record.calls.pop(task, None)
            self._end_if_unused(actor, record)

    def _item(self, stream: str, index: int, key: str, size: int, client: str, worker: str) -> None:
        """An item of a stream is in the memory of `worker`, for `client`."""
        scheduler = self._scheduler
        if client not in scheduler.clients or worker not in scheduler.workers:
            scheduler.worker_send(worker, {"op": "free-keys", "keys": [key], "stimulus_id": _STIMULUS})
            return
        scheduler.update_data(who_has={key: [worker]}, nbytes={key: size}, client=client)
        scheduler.client_send(
            client, {"op": "shoal-item", "stream": stream, "index": index, "key": key, "worker": worker}
        )

    def _taken(self, stream: str, at: str, count: int, client: str = "") -> None:
        """The consumer of a stream has taken `count` items: its producer, at the worker `at`, may go on."""
        if at in self._scheduler.workers:
            self._scheduler.worker_send(at, {"op": "shoal-taken", "stream": stream, "count": count})

    def _desire(self, keys: list[str], client: str) -> None:
        """A client has got references."""
        scheduler = self._scheduler
        known = [key for key in keys if key in scheduler.tasks]
        scheduler.client_desires_keys(keys=known, client=client)
        lost = [key for key in keys if key not in scheduler.tasks]
        if lost:
            scheduler.client_send(
                client, {"op": "cancelled-keys", "keys": lost, "reason": "it was let go of everywhere"}
            )

    def _contains(self, outer: list[str], inner: list[str]) -> None:
        """Objects keep those that they refer to."""
        scheduler = self._scheduler
        for key in outer:
            before = self._inside.get(key, ())
            new = [one for one in inner if one not in before]
            self._inside.setdefault(key, []).extend(new)
            self._wanted.update(new)
        scheduler.client_desires_keys(keys=[key for key in inner if key in scheduler.tasks], client=CLIENT)

    def _let_go(self, keys: Iterable[str]) -> None:
        unwanted = []
        for key in keys:
            self._wanted[key] -= 1
            if self._wanted[key] <= 0:
                del self._wanted[key]
                unwanted.append(key)
        if unwanted and CLIENT in self._scheduler.clients:
            self._scheduler.client_releases_keys(keys=unwanted, client=CLIENT)

    def _want(self, key: str) -> None:
        self._wanted[key] += 1
        self._scheduler.client_desires_keys(keys=[key], client=CLIENT)

    def _free(self, keys: list[str]) -> None:
        """Objects are no longer kept, whoever wants them."""
        scheduler = self._scheduler
        for key in keys:
            task = scheduler.tasks.get(key)
            if task is None or task.state != "memory":
                continue
            scheduler.report({"op": "cancelled-keys", "keys": [key], "reason": FREED}, ts=task)
            for client in list(task.who_wants or ()):
                scheduler.client_releases_keys(keys=[key], client=client.client_key)

    def _no_retries(self, key: str) -> None:
        """A task has failed with an error that it must not be run again for."""
        task = self._scheduler.tasks.get(key)
        if task is not None:
            task.retries = 0

    def _where_runs(self, key: str) -> str:
        """Returns the worker that has a task to run; '' for none."""
        task = self._scheduler.tasks.get(key)
        return task.processing_on.address if task is not None and task.processing_on else ""

    def _where_is(self, keys: list[str]) -> list[tuple[list[str], int]]:
        tasks = [self._scheduler.tasks.get(key) for key in keys]
        return [
            ([one.address for one in task.who_has or ()], max(task.nbytes, 0)) if task else ([], 0) for task in tasks
        ]

    def _cancel(self, keys: list[str], error: bytes) -> None:
        """What makes some keys is cancelled, as far as it has not begun."""
        answers = [self._cancel_call(key) for key in keys]
        if any(answers):
            return
        for key in keys:
            self._fail(key, error)

    def _is_actor_call(self, key: str) -> bool:
        return any(key in call.keys for record in self._actors.values() for call in record.calls.values())

    def transition(self, key: Any, start: Any, finish: Any, *args: Any, stimulus_id: str, **kwargs: Any) -> None:
        """Looks at each step of each task."""
        if finish == "processing":
            task = self._scheduler.tasks.get(key)
            if task is not None and task.annotations and RETRIES in task.annotations:
                retries = task.annotations.pop(RETRIES)
                task.suspicious = -_FOREVER if retries < 0 else self._scheduler.allowed_failures - retries
        elif finish == "erred":
            if key in self._lives:
                asyncio.get_running_loop().call_soon(self._life_failed, key)
        elif finish == "forgotten":
            # This is within a transition: what follows of it comes after.
            inside = self._inside.pop(key, None)
            if inside:
                asyncio.get_running_loop().call_soon(self._let_go, inside)
            actor = self._handles.pop(key, None)
            if actor is not None:
                asyncio.get_running_loop().call_soon(self._forgotten, actor)

    # --- actors -----------------------------------------------------------------------------------------------------------------

    def _new_actor(self, actor: str, life: str, handle: str, facts: dict[str, Any], client: str) -> None:
        if actor not in self._actors:  # one that has a name is known already
            self._actors[actor] = Actor(life, handle, facts)
            self._promise(handle, client)
            self._handles[handle] = actor
        self._lives[life] = actor
        if facts["detached"]:
            self._want(handle)

    def _life_submitted(self, life: str, client: str) -> None:
        """The scheduler has the task that an actor lives in: it is wanted as long as the actor lives."""
        if life in self._lives:
            self._want(life)

    def _new_named_actor(
        self, actor: str, life: str, handle: str, facts: dict[str, Any], client: str
    ) -> tuple[str, str, bytes] | None:
        """Takes a name for an actor. Returns what `_actor_of` says of the one that has it already, if any."""
        name = (facts["namespace"], facts["name"])
        found = self._actor_of(*name)
        if found is None:
            self._names[name] = actor
            self._actors[actor] = Actor(life, handle, facts)
            self._promise(handle, client)
            self._handles[handle] = actor
        return found

    def _actor_of(self, namespace: str, name: str) -> tuple[str, str, bytes] | None:
        """Returns actor, handle and data of the actor of a name."""
        actor = self._names.get((namespace, name))
        if actor is None:
            return None
        record = self._actors[actor]
        return actor, record.handle, record.facts["data"]

    def _list_names(self) -> list[tuple[str, str]]:
        return list(self._names)

    def _actor_starts(self, actor: str, worker: str) -> int | None:
        """Its life has begun in `worker`. Returns how often it died before; None if it must not live."""
        record = self._actors.get(actor)
        if record is None or record.death is not None or worker not in self._scheduler.workers:
            return None
        record.worker = worker
        return record.deaths

    def _actor_ready(self, actor: str, worker: str) -> None:
        record = self._actors.get(actor)
        if record is None or record.death is not None:
            self._scheduler.worker_send(worker, {"op": "shoal-end", "actor": actor, "now": True})
            return
        record.ready = True
        for call in list(record.calls.values()):
            self._send(record, call)
        self._end_if_unused(actor, record)

    def _call(self, actor: str, keys: list[str], message: dict[str, Any], retries: int | None, client: str) -> None:
        for key in keys:
            self._promise(key, client)
        record = self._actors.get(actor)
        if record is None or record.death is not None:
            death = record.death if record is not None and record.death is not None else _unknown(actor)
            for key in keys:
                self._fail(key, death)
            return
        call = Call(message, keys, record.facts["max_task_retries"] if retries is None else retries)
        record.calls[message["task"]] = call
        if record.ready:
            self._send(record, call)

    def _send(self, record: Actor, call: Call) -> None:
        if not call.sent:
            call.sent = True
            self._scheduler.worker_send(record.worker, {"op": "shoal-call", **call.message})

    def _cancel_call(self, key: str) -> bool:
        for record in self._actors.values():
            task, call = next(
                ((task, call) for task, call in record.calls.items() if key in (task, *call.keys)), ("", None)
            )
            if call is None:
                continue
            if call.sent:
                message = {"op": "shoal-cancel", "actor": call.message["actor"], "key": task}
                self._scheduler.worker_send(record.worker, message)
            else:
                del record.calls[task]
                for one in call.keys:
                    self._fail(one, carried(of_shoal.TaskCancelledError(key[-56:-8])))
            return True
        return False

    def _kill(self, actor: str, no_restart: bool, client: str = "") -> None:
        record = self._actors.get(actor)
        if record is None or record.death is not None:
            return
        worker = record.worker
        error = of_shoal.ActorDiedError(
            None, f"Actor {record.facts['class_name']} was killed with shoal.kill().", actor_id=actor
        )
        if no_restart:
            self._dead(actor, record, carried(error))
        else:
            self._died(actor, record, error)
        if worker:
            lives = record.death is None
            self._scheduler.worker_send(worker, {"op": "shoal-end", "actor": actor, "now": True, "again": lives})

    def _actor_ended(self, actor: str, death: bytes, worker: str) -> None:
        """Its life has ended by itself: an error in the constructor, exit_actor, or no handles."""
        record = self._actors.get(actor)
        if record is not None and record.death is None and record.worker == worker:
            self._dead(actor, record, death)

    def _life_failed(self, life: str) -> None:
        """Dask could not run it: an argument of the constructor failed, or its workers died too often."""
        actor = self._lives.get(life)
        task = self._scheduler.tasks.get(life)
        if actor is not None and task is not None and task.exception_blame is not None:
            self._dead(actor, self._actors[actor], task.exception_blame.exception)

    def _died(self, actor: str, record: Actor, error: of_shoal.ShoalError) -> None:
        """It is gone with its process, or as if: it may live again."""
        record.ready = False
        record.worker = ""
        limit = record.facts["max_restarts"]
        if limit >= 0 and record.deaths >= limit:
            self._dead(actor, record, carried(error))
            return
        record.deaths += 1
        task = self._scheduler.tasks.get(record.life)
        if task is not None:
            task.suspicious = 0
        unavailable = carried(of_shoal.ActorUnavailableError(f"it died and is made again ({error})", actor))
        for first, call in list(record.calls.items()):
            if not call.sent:
                continue
            if call.retries == 0:
                del record.calls[first]
                for key in call.keys:
                    self._fail(key, unavailable)
            else:
                call.retries -= call.retries > 0
                call.sent = False

    def _dead(self, actor: str, record: Actor, error: bytes) -> None:
        record.death = error
        record.ready = False
        name = (record.facts["namespace"], record.facts["name"])
        if self._names.get(name) == actor:
            del self._names[name]
        calls, record.calls = record.calls, {}
        for call in calls.values():
            for key in call.keys:
                self._fail(key, error)
        for child, other in list(self._actors.items()):
            if other.facts["parent"] == actor and not other.facts["detached"]:
                self._kill(child, no_restart=True)
        if record.life in self._lives:
            del self._lives[record.life]
            if record.life in self._wanted:
                self._let_go([record.life])
            if record.facts["detached"]:
                self._let_go([record.handle])
        if record.forgotten:
            self._actors.pop(actor, None)

    def _forgotten(self, actor: str) -> None:
        record = self._actors.get(actor)
        if record is None:
            return
        record.forgotten = True
        if record.death is not None:
            del self._actors[actor]
        else:
            self._end_if_unused(actor, record)

    def _end_if_unused(self, actor: str, record: Actor) -> None:
        if not record.forgotten or record.calls or record.death is not None:
            return
        error = of_shoal.ActorDiedError(
            None, f"Actor {record.facts['class_name']} has ended: there was no handle to it any more.", actor_id=actor
        )
        worker = record.worker
        self._dead(actor, record, carried(error))
        if worker:
            self._scheduler.worker_send(worker, {"op": "shoal-end", "actor": actor, "now": False})

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **kwargs: Any) -> None:
        """A worker is gone, and with it the actors that were there."""
        for actor, record in list(self._actors.items()):
            if record.worker == worker and record.death is None:
                error = of_shoal.ActorDiedError(
                    None,
                    f"Actor {record.facts['class_name']} died with its worker {worker}, whose log says why.",
                    actor_id=actor,
                )
                self._died(actor, record, error)

    # --- drivers ----------------------------------------------------------------------------------------------------------------

    def _hello(self, job: str, client: str) -> None:
        """A driver has begun a session."""
        self._jobs[client] = job

    def _job_ended(self, job: str, client: str) -> None:
        """A driver has ended its session: its actors end, but those that are detached."""
        if self._jobs.get(client) == job:
            del self._jobs[client]
        for actor, record in list(self._actors.items()):
            if record.facts["job"] == job and not record.facts["detached"]:
                self._kill(actor, no_restart=True)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """A client is gone, perhaps without a word."""
        job = self._jobs.get(client)
        if job is not None:
            self._job_ended(job, client)

    # --- the cluster ------------------------------------------------------------------------------------------------------------

    def _kv(self, what: str, namespace: str, key: bytes, value: bytes = b"", overwrite: bool = True) -> Any:
        """Does one thing with the key-values."""
        values, place = self._values, (namespace, bytes(key))
        if what == "get":
            return values.get(place)
        if what == "keys":
            return [one for space, one in values if space == namespace and one.startswith(place[1])]
        existed = place in values
        if what == "delete":
            values.pop(place, None)
        elif overwrite or not existed:
            values[place] = bytes(value)
        return existed

    def _workers(self) -> list[dict[str, Any]]:
        """Returns what is known of each worker."""
        rows = []
        for address, worker in self._scheduler.workers.items():
            threads_used = min(worker.nthreads, len(worker.processing) - len(worker.long_running))
            rows.append(
                {
                    "address": address,
                    "name": str(worker.name),
                    "host": worker.host,
                    "threads": worker.nthreads,
                    "threads_used": max(0, threads_used),
                    "memory": worker.memory_limit or 0,
                    "resources": dict(worker.resources),
                    "used": dict(worker.used_resources),
                }
            )
        return rows


def _guarded(handler: Callable[..., Any]) -> Callable[..., None]:
    """Returns a handler that does not raise: Dask would end the connection from which the message came."""

    def handle(**facts: Any) -> None:
        try:
            handler(**facts)
        except Exception:
            logger.exception("shoal's part of the scheduler failed; what was asked of it is not done")

    return handle


def carried(error: of_shoal.ShoalError) -> bytes:
    """Returns an error as Dask sends those of tasks."""
    data: bytes = pickle.dumps(failed(error))
    return data


def _unknown(actor: str) -> bytes:
    return carried(of_shoal.ActorDiedError(None, "The actor is dead, or its session has ended.", actor_id=actor))
