"""Actors as the scheduler knows them: where they are, their calls that are not answered, their names and deaths. Part of `head`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distributed.protocol import pickle

from shoal import exceptions as of_shoal
from shoal.integrations.dask.errors import cancelled, failed
from shoal.integrations.dask.objects import Objects, soon
from shoal.integrations.dask.sending import send_now

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler


@dataclass
class Call:
    """A call of an actor that is not answered.

    Args:
        client: whose it is.
        message: what the worker is told.
        keys: of its results.
        retries: how many deaths of the actor it survives; -1 for all.
        sent: whether the worker has it.
    """

    client: str
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


class ActorTable:
    """Args:
    scheduler: Dask's.
    objects: its objects.
    """

    def __init__(self, scheduler: Scheduler, objects: Objects) -> None:
        self._scheduler: Any = scheduler
        self._objects = objects
        self._actors: dict[str, Actor] = {}
        self._lives: dict[str, str] = {}
        self._handles: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}

    def _tell(self, worker: str, what: str, actor: str, **facts: Any) -> None:
        self._scheduler.worker_send(worker, {"op": "shoal-actor", "what": what, "actor": actor, "facts": facts})
        send_now(self._scheduler.stream_comms.get(worker))

    # --- made and found ---------------------------------------------------------------------------------------------------------

    def new(
        self, client: str, actor: str, life: str, handle: str, facts: dict[str, Any]
    ) -> tuple[str, str, bytes] | None:
        """A client makes an actor. Returns what `find` says of the one that has its name already, if any: then it is not made."""
        name = (facts["namespace"], facts["name"])
        if name[1]:
            found = self.find(client, *name)
            if found is not None:
                return found
            self._names[name] = actor
        self._actors[actor] = Actor(life, handle, facts)
        self._handles[handle] = actor
        self._lives[life] = actor
        self._objects.promise(handle, client)
        if facts["detached"]:
            self._objects.want(handle)
        return None

    def life_submitted(self, client: str, life: str) -> None:
        """The scheduler has the task that an actor lives in: it is wanted as long as the actor lives."""
        if life in self._lives:
            self._objects.want(life)

    def find(self, client: str, namespace: str, name: str) -> tuple[str, str, bytes] | None:
        """Returns actor, handle and data of the actor of a name."""
        actor = self._names.get((namespace, name))
        if actor is None:
            return None
        record = self._actors[actor]
        return actor, record.handle, record.facts["data"]

    def names(self, client: str) -> list[tuple[str, str]]:
        """Returns the namespaces and names of all actors that have one."""
        return list(self._names)

    def starts(self, client: str, actor: str, worker: str) -> int | None:
        """Its life has begun in `worker`. Returns how often it died before; None if it must not live."""
        record = self._actors.get(actor)
        if record is None or record.death is not None or worker not in self._scheduler.workers:
            return None
        record.worker = worker
        return record.deaths

    def is_ready(self, worker: str, actor: str) -> None:
        """Its constructor has ended."""
        record = self._actors.get(actor)
        if record is None or record.death is not None:
            self._tell(worker, "end", actor)
            return
        record.ready = True
        for call in record.calls.values():
            self._send(record, call)
        self._end_if_unused(actor, record)

    # --- calls ------------------------------------------------------------------------------------------------------------------

    def call(self, client: str, actor: str, keys: list[str], message: dict[str, Any], retries: int | None) -> None:
        """A client calls a method."""
        for key in keys:
            self._objects.promise(key, client)
        record = self._actors.get(actor)
        if record is None or record.death is not None:
            death = record.death if record is not None and record.death is not None else _unknown(actor)
            self._fail(keys, death)
            return
        call = Call(client, message, keys, record.facts["max_task_retries"] if retries is None else retries)
        record.calls[message["task"]] = call
        if record.ready:
            self._send(record, call)

    def _send(self, record: Actor, call: Call) -> None:
        if not call.sent:
            call.sent = True
            self._tell(record.worker, "deliver", **call.message)

    def _fail(self, keys: list[str], error: bytes) -> None:
        for key in keys:
            self._objects.fail(key, error)

    def done(
        self,
        worker: str,
        actor: str,
        task: str,
        keys: list[str],
        sizes: list[int],
        values: list[bytes] | None = None,
        error: bytes | None = None,
    ) -> None:
        """A call has been answered: its results are in the memory of `worker`. Small ones come along, for the caller."""
        record = self._actors.get(actor)
        call = record.calls.pop(task, None) if record is not None else None
        if error is not None:
            self._fail(keys, error)
        elif call is not None and values is not None:
            self._scheduler.client_send(call.client, {"op": "shoal-values", "keys": keys, "values": values})
        for key, size in zip(keys, sizes, strict=False):
            self._objects.fulfil(key, worker, size)
        if call is not None:
            send_now(self._scheduler.client_comms.get(call.client))
        if record is not None:
            self._end_if_unused(actor, record)

    def call_of(self, key: str) -> tuple[Actor, str, Call] | None:
        """Returns the call of a result, or of a task's own key, with its actor, as long as it is not answered."""
        for record in self._actors.values():
            for task, call in record.calls.items():
                if key == task or key in call.keys:
                    return record, task, call
        return None

    def cancel(self, key: str) -> bool:
        """Cancels a call. Returns whether there is one."""
        found = self.call_of(key)
        if found is None:
            return False
        record, task, call = found
        if call.sent:
            self._tell(record.worker, "cancel", call.message["actor"], key=task)
        else:
            del record.calls[task]
            self._fail(call.keys, carried(cancelled(key)))
        return True

    # --- the end ----------------------------------------------------------------------------------------------------------------

    def kill(self, client: str, actor: str, no_restart: bool) -> None:
        """Ends an actor at once; it may live again if that is allowed."""
        record = self._actors.get(actor)
        if record is None or record.death is not None:
            return
        worker = record.worker
        error = _died(actor, record, "was killed with shoal.kill().")
        if no_restart:
            self._dead(actor, record, carried(error))
        else:
            self._lost(actor, record, error)
        if worker:
            self._tell(worker, "end", actor, again=record.death is None)

    def ended(self, worker: str, actor: str, death: bytes) -> None:
        """Its life has ended by itself: an error in the constructor, or exit_actor."""
        record = self._actors.get(actor)
        if record is not None and record.death is None and record.worker == worker:
            self._dead(actor, record, death)

    def task_failed(self, key: str) -> None:
        """If it is a life: Dask could not run it: an argument of the constructor failed, or its workers died too often."""
        if key in self._lives:
            soon(self._life_failed, key)

    def _life_failed(self, life: str) -> None:
        actor = self._lives.get(life)
        task = self._scheduler.tasks.get(life)
        if actor is not None and task is not None and task.exception_blame is not None:
            self._dead(actor, self._actors[actor], task.exception_blame.exception)

    def worker_lost(self, worker: str) -> None:
        """A worker is gone, and with it the actors that were there."""
        for actor, record in list(self._actors.items()):
            if record.worker == worker and record.death is None:
                how = f"died with its worker {worker}, whose log says why."
                self._lost(actor, record, _died(actor, record, how))

    def job_ended(self, job: str) -> None:
        """A driver has ended its session: its actors end, but those that are detached."""
        for actor, record in list(self._actors.items()):
            if record.facts["job"] == job and not record.facts["detached"]:
                self.kill("", actor, no_restart=True)

    def key_forgotten(self, key: str) -> None:
        """If it is a handle's: there is no handle any more."""
        actor = self._handles.pop(key, None)
        if actor is not None:
            soon(self._forgotten, actor)

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
        worker = record.worker
        self._dead(actor, record, carried(_died(actor, record, "has ended: there was no handle to it any more.")))
        if worker:
            self._tell(worker, "end", actor)

    def _lost(self, actor: str, record: Actor, error: of_shoal.ShoalError) -> None:
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
                self._fail(call.keys, unavailable)
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
            self._fail(call.keys, error)
        for child, other in list(self._actors.items()):
            if other.facts["parent"] == actor and not other.facts["detached"]:
                self.kill("", child, no_restart=True)
        if self._lives.pop(record.life, None) is not None:
            self._objects.let_go([record.life])
            if record.facts["detached"]:
                self._objects.let_go([record.handle])
        if record.forgotten:
            self._actors.pop(actor, None)


def carried(error: of_shoal.ShoalError) -> bytes:
    """Returns an error as Dask sends those of tasks."""
    data: bytes = pickle.dumps(failed(error))
    return data


def _died(actor: str, record: Actor, how: str) -> of_shoal.ActorDiedError:
    return of_shoal.ActorDiedError(None, f"Actor {record.facts['class_name']} {how}", actor_id=actor)


def _unknown(actor: str) -> bytes:
    return carried(of_shoal.ActorDiedError(None, "The actor is dead, or its session has ended.", actor_id=actor))
