"""Random programs: what the driver, tasks and actors of a simulated session do.

Whoever waits only ever waits for what is older than itself, or its own child: a program that cannot end is no test. So a task waits for
references that it was given as such and for its children's results, and hands on only those; what it finds inside values it keeps or
returns, at most. Leaves wait for nothing. The driver, for which nobody waits, does as it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from random import Random

from shoal._core.schema.ids import HANDLE_SUFFIX
from shoal._core.schema.resources import UNIT, ResourceSet, SchedulingClass
from shoal.testing.simulation.actors import ActorKind
from shoal.testing.simulation.client import Client
from shoal.testing.simulation.objects import Ref
from shoal.testing.simulation.programs import Crash, Get, Got, Pause, Program, Raised
from shoal.testing.simulation.tasks import TaskKind

LEAF = 0
MAX_KEPT = 4


class Scope:
    """The references that a running program has."""

    __slots__ = ("client", "found", "mine", "task_id")

    def __init__(self, client: Client, task_id: bytes, mine: list[Ref], found: list[Ref]) -> None:
        self.client = client
        self.task_id = task_id
        self.mine = mine
        """It may wait for these, and hand them on."""
        self.found = found
        """These came inside values."""

    def all(self) -> list[Ref]:
        return [*self.mine, *self.found]

    def remove(self, ref: Ref) -> None:
        """The program keeps the reference elsewhere."""
        (self.mine if ref in self.mine else self.found).remove(ref)

    def drop(self, ref: Ref) -> None:
        self.remove(ref)
        ref.drop()

    def drop_all(self, but: Collection[Ref] = ()) -> None:
        for ref in self.all():
            if ref not in but:
                ref.drop()
        self.mine, self.found = [], []


class Workload:
    """The programs of one session, of a size and a rate of faults that are drawn once."""

    def __init__(self, random: Random, steps: int, faults: bool, cpus: int) -> None:
        self._random = random
        self._steps = steps
        self._crashes = 0.02 if faults and random.random() < 0.5 else 0.0
        self._raises = random.choice((0.0, 0.05))
        self._cancels = random.random() < 0.5
        self._kills_actors = random.random() < 0.5
        self._long = random.choice((0.0, 0.1, 0.3))
        cpu = SchedulingClass(ResourceSet.of_units({"CPU": UNIT}))
        half = SchedulingClass(ResourceSet.of_units({"CPU": UNIT // 2}))
        two = SchedulingClass(ResourceSet.of_units({"CPU": 2 * UNIT}))
        special = SchedulingClass(ResourceSet.of_units({"CPU": UNIT, "special": UNIT}))
        nothing = SchedulingClass(ResourceSet())
        retries = random.choice((0, 1, 3))
        self._kinds = [
            TaskKind("one", cpu, 3),
            TaskKind("one", cpu, 3),
            TaskKind("once", cpu, 0),
            TaskKind("two results", half, retries, num_returns=2),
            TaskKind("retrying", half, 3, retry_exceptions=True),
            TaskKind("big", two, retries),
        ]
        self._leaf_kinds = [
            *self._kinds,
            TaskKind("special", special, 1),
            TaskKind("fresh worker", cpu, 1, max_calls=2),
            TaskKind("free", nothing, 0),
        ]
        self._actor_kinds = [ActorKind(nothing, random.choice((0, 0, 1, -1)), 0), ActorKind(nothing, 1, 1)]
        self._costly_actor = ActorKind(cpu, random.choice((0, 1)), random.choice((0, -1)))
        self._has_costly_actor = cpus < 3
        """Beside it there must be room for the biggest tasks."""
        self.actors_keep = random.random() < 0.5
        """Whether actors keep references: they may then keep themselves alive, in a circle."""

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _pick(self, refs: list[Ref], most: int) -> list[Ref]:
        count = min(len(refs), self._random.randint(0, most))
        return self._random.sample(refs, count)

    def _pause(self) -> Pause:
        random = self._random
        if random.random() < self._long:
            return Pause(random.random() * 0.05)
        return Pause(random.random() * 0.0005)

    def _submit(self, scope: Scope, depth: int) -> None:
        random = self._random
        plain = [ref for ref in scope.mine if not ref.actor_id]
        kind = random.choice(self._leaf_kinds if depth == LEAF else self._kinds)
        dependencies = self._pick(plain, 2)
        inside = self._pick(scope.mine, 2)
        client = scope.client
        refs = client.tasks.submit(kind, depth, dependencies, inside, scope.task_id)
        for ref in refs:
            client.around.witness.parents[ref.object_id[:24]] = scope.task_id
        scope.mine.extend(refs)

    def _call(self, scope: Scope) -> None:
        handles = [ref for ref in scope.mine if ref.actor_id]
        if not handles:
            return
        handle = self._random.choice(handles)
        plain = [ref for ref in scope.mine if not ref.actor_id]
        client = scope.client
        kind = TaskKind("call", SchedulingClass(ResourceSet()), self._random.choice((0, 0, 2)))
        refs = client.actors.call(handle, kind, 0, self._pick(plain, 1), self._pick(scope.mine, 2), scope.task_id)
        client.around.witness.parents[refs[0].object_id[:24]] = scope.task_id
        scope.mine.extend(refs)

    def _create(self, scope: Scope) -> None:
        random = self._random
        kind = random.choice(self._actor_kinds)
        if not self._has_costly_actor and random.random() < 0.3:
            self._has_costly_actor = True
            kind = self._costly_actor
        plain = [ref for ref in scope.mine if not ref.actor_id]
        client = scope.client
        actor_id = random.randbytes(16)
        client.around.witness.actor_owners[actor_id] = client.worker_id
        scope.mine.append(client.actors.create(actor_id, kind, self._pick(plain, 1), self._pick(scope.mine, 1)))

    def _get(self, scope: Scope, refs: list[Ref], may_wait_for_found: bool) -> Generator[Get, Got, None]:
        plain = [ref for ref in refs if ref.object_id[24:] != HANDLE_SUFFIX]
        if plain:
            got = yield Get(plain)
            for _, _, arrived in got:
                (scope.mine if may_wait_for_found else scope.found).extend(arrived)

    def _misbehave(self) -> None:
        if self._crashes and self._random.random() < self._crashes:
            raise Crash
        if self._raises and self._random.random() < self._raises:
            raise Raised

    # --- programs -----------------------------------------------------------------------------------------------------

    def driver(self, scope: Scope) -> Program:
        """The user's program."""
        random = self._random
        for _ in range(self._steps):
            yield self._pause()
            action = random.random()
            if action < 0.4:
                self._submit(scope, random.choice((0, 0, 1, 2)))
            elif action < 0.5:
                scope.mine.append(scope.client.put(self._pick(scope.mine, 2), random.random() < 0.3))
            elif action < 0.58:
                self._create(scope)
            elif action < 0.74:
                self._call(scope)
            elif action < 0.84:
                yield from self._get(scope, self._pick(scope.mine, 3), True)
            elif action < 0.93:
                for ref in self._pick(scope.mine, 3):
                    scope.drop(ref)
            elif action < 0.97:
                plain = [ref for ref in scope.mine if not ref.actor_id]
                if self._cancels and plain:
                    force = self._crashes > 0 and random.random() < 0.2
                    scope.client.cancel(random.choice(plain), force, random.random() < 0.5)
            elif self._kills_actors:
                handles = [ref for ref in scope.mine if ref.actor_id]
                if handles:
                    scope.client.actors.kill(random.choice(handles).actor_id, random.random() < 0.5)
        for ref in self._pick(scope.mine, 20):
            if ref.held:
                yield from self._get(scope, [ref], True)
        return []

    def task(self, scope: Scope, depth: int) -> Program:
        """An ordinary task."""
        random = self._random
        yield self._pause()
        self._misbehave()
        if depth > LEAF:
            for _ in range(random.randint(1, 4)):
                action = random.random()
                if action < 0.4:
                    self._submit(scope, depth - 1)
                elif action < 0.5:
                    scope.mine.append(scope.client.put(self._pick(scope.mine, 2), random.random() < 0.3))
                elif action < 0.6:
                    self._call(scope)
                elif action < 0.85:
                    yield from self._get(scope, self._pick(scope.mine, 2), False)
                else:
                    for ref in self._pick(scope.all(), 2):
                        scope.drop(ref)
                if random.random() < 0.3:
                    yield self._pause()
                self._misbehave()
        elif random.random() < 0.3:
            scope.mine.append(scope.client.put(self._pick(scope.all(), 2), random.random() < 0.3))
        return self._pick(scope.all(), 2)

    def constructor(self, scope: Scope, state: list[Ref]) -> Program:
        """An actor comes to be."""
        yield self._pause()
        self._misbehave()
        if self.actors_keep:
            for ref in self._pick(scope.all(), 2):
                scope.remove(ref)
                state.append(ref)
        return []

    def method(self, scope: Scope, state: list[Ref]) -> Program:
        """A call of an actor."""
        random = self._random
        if random.random() < 0.7:
            yield self._pause()
        self._misbehave()
        for ref in self._pick(scope.all(), 2):
            if self.actors_keep and len(state) < MAX_KEPT:
                scope.remove(ref)
                state.append(ref)
        if random.random() < 0.2:
            mine = [*scope.mine]
            scope.found.extend(mine)
            scope.mine = []
            self._submit(scope, LEAF)
            if random.random() < 0.7:
                yield from self._get(scope, list(scope.mine), False)
        if state and random.random() < 0.3:
            gone = random.choice(state)
            state.remove(gone)
            gone.drop()
        return self._pick([*scope.all(), *state], 2)
