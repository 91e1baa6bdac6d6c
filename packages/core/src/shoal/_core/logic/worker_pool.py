"""The worker processes of one node, as its scheduler sees them.

    (a start is asked for) -> IDLE -> LEASED -> IDLE -> ... -> LEAVING -> gone

A worker is started when a lease waits for one, and is idle again when its lease ends. Some idle workers are kept warm; the
least recently used leave first. One that is asked to leave may answer that its objects are needed: it is idle again, and not
asked until it has been used. A RETIRED worker runs no more tasks, and leaves when nobody needs its objects. A DOOMED one is
being killed while it is leased.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from shoal.exceptions import ShoalSystemError

if TYPE_CHECKING:
    from shoal._core.logic.lease_queue import Lease

IDLE = 0
LEASED = 1
LEAVING = 2
RETIRED = 3
DOOMED = 4
STATE_NAMES = ("idle", "leased", "leaving", "retired", "doomed")

LEND = "lend"
RETURN = "return"
RETIRE = "retire"
DISMISS = "dismiss"
KEEP = "keep"
KILL = "kill"

TRANSITIONS = {
    (IDLE, LEND): LEASED,
    (LEASED, RETURN): IDLE,
    (LEASED, RETIRE): RETIRED,
    (LEASED, KILL): DOOMED,
    (DOOMED, KILL): DOOMED,
    (DOOMED, RETURN): RETIRED,
    (DOOMED, RETIRE): RETIRED,
    (IDLE, DISMISS): LEAVING,
    (LEAVING, KEEP): IDLE,
}
"""From any state, a worker may be gone."""


class Worker:
    """One worker process."""

    __slots__ = ("environment_key", "id", "idle_since", "kept", "lease", "state")

    def __init__(self, id: bytes, environment_key: str) -> None:
        self.id = id
        self.environment_key = environment_key
        self.state = IDLE
        self.lease: Lease | None = None
        self.kept = False
        """It was asked to leave and is still needed."""
        self.idle_since = 0.0

    def move(self, event: str) -> None:
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            raise ShoalSystemError(f"worker {self.id.hex()} is {STATE_NAMES[self.state]}; it cannot {event}")
        self.state = state


class WorkerPool:
    """All workers of one node.

    Args:
        warm: how many idle workers may stay, in all environments together.
        most_starting: how many may be starting at a time.
    """

    def __init__(self, warm: int, most_starting: int) -> None:
        self._warm = warm
        self._most_starting = most_starting
        self.workers: dict[bytes, Worker] = {}
        self._idle: dict[str, OrderedDict[bytes, Worker]] = {}
        """Environment -> its idle workers, the last used last."""
        self._dismissible: OrderedDict[bytes, Worker] = OrderedDict()
        """Idle workers of all environments that may be asked to leave, the last used last."""
        self.starting: dict[int, str] = {}
        """Token -> environment."""
        self._last_token = 0

    # --- starting -----------------------------------------------------------------------------------------------------

    def start(self, environment_key: str, waiting: int) -> list[int]:
        """Returns a token for each worker to start now, where `waiting` leases wait for one of this environment."""
        on_the_way = sum(key == environment_key for key in self.starting.values())
        count = min(waiting - on_the_way, self._most_starting - len(self.starting))
        tokens = list(range(self._last_token + 1, self._last_token + 1 + max(0, count)))
        for token in tokens:
            self.starting[token] = environment_key
            self._last_token = token
        return tokens

    def start_ended(self, token: int) -> str | None:
        """A start succeeded or failed. Returns the environment; None for a token that is not known."""
        return self.starting.pop(token, None)

    def arrived(self, worker_id: bytes, environment_key: str, now: float) -> Worker:
        """A new worker is there, idle."""
        if worker_id in self.workers:
            raise ShoalSystemError(f"worker {worker_id.hex()} is there already; it cannot arrive again")
        worker = self.workers[worker_id] = Worker(worker_id, environment_key)
        self._enter_idle(worker, now)
        return worker

    # --- lending ------------------------------------------------------------------------------------------------------

    def take(self, environment_key: str) -> Worker | None:
        """Returns the idle worker that was used last (its caches are warm), now leased; None where none is idle."""
        idle = self._idle.get(environment_key)
        if not idle:
            return None
        worker = idle.popitem()[1]
        self._dismissible.pop(worker.id, None)
        worker.move(LEND)
        worker.kept = False
        return worker

    def give_back(self, worker: Worker, reusable: bool, now: float) -> bool:
        """The worker's lease ended. Returns whether the worker must leave."""
        worker.lease = None
        worker.move(RETURN if reusable else RETIRE)
        if worker.state == IDLE:
            self._enter_idle(worker, now)
            return False
        return worker.state == RETIRED

    def kept(self, worker: Worker, now: float) -> None:
        """The worker was asked to leave, and is still needed."""
        worker.move(KEEP)
        worker.kept = True
        self._enter_idle(worker, now)

    def gone(self, worker_id: bytes) -> Worker | None:
        """The worker's process ended. Returns what was known of it."""
        worker = self.workers.pop(worker_id, None)
        if worker is not None:
            if worker.state == IDLE:
                self._leave_idle(worker)
            elif not self._idle.get(worker.environment_key):
                self._idle.pop(worker.environment_key, None)
        return worker

    # --- dismissing ---------------------------------------------------------------------------------------------------

    def make_room(self) -> list[Worker]:
        """Returns workers to dismiss, so that those that are starting do not add to what is kept warm."""
        return self._dismiss_first(len(self._dismissible) + len(self.starting) - self._warm)

    def surplus(self, now: float, linger: float) -> list[Worker]:
        """Returns workers to dismiss: beyond what is kept warm, and idle for `linger` seconds."""
        beyond = len(self._dismissible) - self._warm
        idle_long = 0
        for worker in self._dismissible.values():
            if idle_long >= beyond or now < worker.idle_since + linger:
                break
            idle_long += 1
        return self._dismiss_first(idle_long)

    def surplus_from(self, linger: float) -> float | None:
        """Returns when `surplus` will next return something, if nothing happens until then; None for never."""
        if len(self._dismissible) <= self._warm:
            return None
        return next(iter(self._dismissible.values())).idle_since + linger

    def _dismiss_first(self, count: int) -> list[Worker]:
        dismissed = []
        for worker in list(self._dismissible.values())[: max(0, count)]:
            self._leave_idle(worker)
            worker.move(DISMISS)
            dismissed.append(worker)
        return dismissed

    # --- the idle -----------------------------------------------------------------------------------------------------

    def _enter_idle(self, worker: Worker, now: float) -> None:
        worker.idle_since = now
        idle = self._idle.get(worker.environment_key)
        if idle is None:
            idle = self._idle[worker.environment_key] = OrderedDict()
        idle[worker.id] = worker
        if not worker.kept:
            self._dismissible[worker.id] = worker

    def _leave_idle(self, worker: Worker) -> None:
        idle = self._idle[worker.environment_key]
        del idle[worker.id]
        if not idle:
            del self._idle[worker.environment_key]
        self._dismissible.pop(worker.id, None)

    # --- looking inside -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        idle = {worker_id: worker for workers in self._idle.values() for worker_id, worker in workers.items()}
        assert idle == {worker_id: worker for worker_id, worker in self.workers.items() if worker.state == IDLE}
        for worker in self.workers.values():
            leased = worker.state in (LEASED, DOOMED)
            assert leased == (worker.lease is not None), f"worker {worker.id.hex()} is {STATE_NAMES[worker.state]}"
        for worker_id, worker in self._dismissible.items():
            assert worker_id in idle and not worker.kept
        assert len(self.starting) <= max(1, self._most_starting)
