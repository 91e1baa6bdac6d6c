"""One simulated session: made from a seed, run to its end, checked all along."""

from __future__ import annotations

from random import Random

from shoal._core.logic.actors import DEAD
from shoal._core.schema.ids import owner_of
from shoal._core.schema.messages import LOST
from shoal._core.schema.resources import UNIT
from shoal.testing.simulation.agenda import Agenda
from shoal.testing.simulation.client import DAEMON, Client, Surroundings
from shoal.testing.simulation.daemon import Daemon
from shoal.testing.simulation.network import Network
from shoal.testing.simulation.objects import Ref
from shoal.testing.simulation.programs import Crash, Fiber, Raised
from shoal.testing.simulation.store import Store
from shoal.testing.simulation.trace import Trace
from shoal.testing.simulation.witness import Violation, Witness
from shoal.testing.simulation.worker import Worker
from shoal.testing.simulation.workload import Scope, Workload

MOST_STEPS = 100_000
MOST_SECONDS = 600.0
START_SECONDS = 0.01
REAP_SECONDS = 0.02


class Outcome:
    """How one session went. `problem` is empty where all was well; `story` says what led to it."""

    __slots__ = ("digest", "gets", "leaks", "problem", "seed", "steps", "story", "tasks")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.problem = ""
        self.story = ""
        self.steps = 0
        self.tasks = 0
        self.gets = 0
        self.digest = ""
        self.leaks = False
        """Something stayed because a killed worker took a count with it."""


class World:
    """All processes of one session.

    Args:
        seed: all chance comes from it.
        steps: about how much the driver's program does.
    """

    def __init__(self, seed: int, steps: int = 16) -> None:
        random = self._random = Random(seed)
        self.agenda = Agenda()
        self.trace = Trace(self.agenda)
        self.witness = Witness()
        self.witness.knows = self._owner_knows
        self.network = Network(self.agenda, random, self.trace)
        self.store = Store()
        self.faults = seed % 2 == 1
        """Whether workers are killed; where they are not, nothing at all may be left over."""
        cpus = random.randint(2, 4)
        resources = {"CPU": cpus * UNIT, "special": UNIT}
        node_id = b"node".ljust(16, b"0")
        self._around = Surroundings(self.agenda, self.network, random, self.store, self.witness, node_id)
        self.daemon = Daemon(
            self.agenda,
            self.store,
            node_id,
            resources,
            self._start_worker,
            self._kill_worker_soon,
            self.witness.life_begun,
        )
        self.network.listen(DAEMON, self.daemon)
        self._workload = Workload(random, random.randint(steps // 2, steps * 2), self.faults, cpus)
        self.clients: dict[bytes, Client] = {}
        self._started = 0
        self.driver = Client(self._around, b"driver".ljust(16, b"0"), "driver")
        self.driver_ended = False
        self._joined(self.driver)
        self._driver_fiber: Fiber | None = None
        self.leaks = False

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Runs the session to its end. Raises Violation, and AssertionError of a logic's own check."""
        self.driver.join()
        scope = Scope(self.driver, b"", [], [])

        def ended(outcome: list[Ref] | Raised | Crash) -> None:
            scope.drop_all()
            self.driver_ended = True

        self._driver_fiber = Fiber(
            self._workload.driver(scope),
            self.driver.objects,
            self.agenda,
            lambda: True,
            self.driver.blocked,
            self.driver.unblocked,
            ended,
            lambda: self._random.random() * 1e-4,
        )
        self.agenda.after(0.0, self._driver_fiber.start)
        if self.faults:
            for _ in range(self._random.randint(1, 4)):
                self.agenda.after(self._random.random() ** 2 * 0.2, self._kill_any)
        self._run_out()
        if self._workload.actors_keep and self.driver_ended:
            self._break_circles()
        self._check_end()

    def _run_out(self) -> None:
        while self.agenda.step():
            self._check()
            if self.agenda.steps > MOST_STEPS or self.agenda.now > MOST_SECONDS:
                raise Violation(f"no end after {self.agenda.steps} steps, {self.agenda.now:.1f} s; " + self._standing())

    def _break_circles(self) -> None:
        """Actors may keep each other, or themselves, alive: kills those that are left."""
        for actor_id, record in list(self.daemon.actors.actors.items()):
            if record.state != DEAD:
                self.driver.actors.kill(actor_id, True)
        self._run_out()

    # --- processes ----------------------------------------------------------------------------------------------------

    def _joined(self, client: Client) -> None:
        self.clients[client.worker_id] = client
        client.objects.on_owned_freed = self._owned_freed

    def _start_worker(self) -> bytes:
        self._started += 1
        worker_id = f"worker{self._started:010d}".encode()
        worker = Worker(self._around, worker_id, self._workload, self._end_worker)
        self._joined(worker)

        def join() -> None:
            if worker.alive:
                worker.join()

        self.agenda.after(self._random.random() * START_SECONDS, join)
        return worker_id

    def _end_worker(self, worker: Client, on_purpose: bool) -> None:
        if not worker.alive:
            return
        worker.alive = False
        self.trace.note(f"{worker.name} {'ends' if on_purpose else 'dies'}")
        self.witness.dead.add(worker.worker_id)
        if on_purpose:
            self.witness.blameless.add(worker.worker_id)
        self.network.cut(worker)
        worker_id = worker.worker_id
        self.agenda.after(self._random.random() * REAP_SECONDS, lambda: self.daemon.worker_ended(worker_id))

    def _kill_worker_soon(self, worker_id: bytes) -> None:
        worker = self.clients[worker_id]
        self.witness.doomed.add(worker_id)
        self.agenda.after(self.network.delay(), lambda: self._end_worker(worker, False))

    def _kill_any(self) -> None:
        living = [client for client in self.clients.values() if client.alive and client is not self.driver]
        connected = [client for client in living if self.daemon.workers[client.worker_id].address]
        if connected:
            self._end_worker(self._random.choice(connected), False)

    # --- invariants ---------------------------------------------------------------------------------------------------

    def _owner_knows(self, object_id: bytes) -> bool:
        owner = self.clients[owner_of(object_id)]
        entry = owner.objects.table.entries.get(object_id)
        return entry is not None and entry.kind != LOST

    def _owned_freed(self, object_id: bytes) -> None:
        """An owner frees an object: nobody may hold a reference to it."""
        for client in self.clients.values():
            if client.alive:
                entry = client.objects.table.entries.get(object_id)
                held = entry is not None and (entry.local > 0 or entry.uses > 0)
                doomed = client.worker_id in self.witness.doomed
                if held and not doomed and not self.witness.lost_on_the_way(object_id):
                    raise Violation(f"{object_id.hex()} is freed, yet {client.name} holds it", object_id)

    def _check(self) -> None:
        self.daemon.check()
        for client in self.clients.values():
            if client.alive:
                client.check()

    def _check_end(self) -> None:
        """Nothing is going to happen any more: nobody may wait, and nothing be left."""
        if not self.driver_ended:
            assert self._driver_fiber is not None
            raise Violation("the driver waits for ever; " + self._standing(), *self._driver_fiber.waits_for)
        lost = self.witness.lost_tasks()
        if lost:
            raise Violation(f"{len(lost)} tasks never end; " + self._standing(), *lost[:3])
        left = self._left_over()
        self.leaks = bool(left) and self._count_was_lost()
        if left and not self.leaks:
            raise Violation(f"left over at the end: {'; '.join(left)}", *self._ids_left())

    def _count_was_lost(self) -> bool:
        """Whether something is kept for ever by a reference whose count went with a worker: it was killed between telling the owner
        of a reference in a result and sending that result. The object stays until its owner ends, and so does what it keeps."""
        return any(
            entry.borrowers is not None and entry.local <= 0 and self.witness.lost_on_the_way(object_id)
            for client in self.clients.values()
            if client.alive
            for object_id, entry in client.objects.table.entries.items()
        )

    def _left_over(self) -> list[str]:
        found = [f"daemon: {text}" for text in self.daemon.left_over()]
        for client in self.clients.values():
            if client.alive:
                found += [f"{client.name}: {text}" for text in client.left_over()]
        return found

    def _ids_left(self) -> list[bytes]:
        ids = [
            object_id for client in self.clients.values() if client.alive for object_id in client.objects.table.entries
        ]
        return [*ids, *self.store.blocks][:2]

    def _standing(self) -> str:
        return "\n".join(self._left_over())

    def story(self, ids: tuple[bytes, ...]) -> str:
        """Says what led to a violation, for people."""
        parts = []
        for object_id in ids:
            for client in self.clients.values():
                if object_id in client.objects.table.entries:
                    state = "" if client.alive else " (dead)"
                    parts.append(f"{client.name}{state}: {client.objects.table.story(object_id)}")
        if ids:
            parts += ["concerning these:", self.trace.story(ids)]
        return "\n".join([*parts, "at last:", self.trace.story(last=15)])


def simulate(seed: int, steps: int = 16) -> Outcome:
    """Runs one session and says how it went."""
    outcome = Outcome(seed)
    world = World(seed, steps)
    try:
        world.run()
    except AssertionError as error:
        ids = error.ids if isinstance(error, Violation) else ()
        outcome.problem = str(error) or repr(error)
        outcome.story = world.story(ids)
    outcome.leaks = world.leaks
    outcome.steps = world.agenda.steps
    outcome.tasks = world.witness.tasks
    outcome.gets = world.witness.gets
    outcome.digest = world.trace.digest()
    return outcome
