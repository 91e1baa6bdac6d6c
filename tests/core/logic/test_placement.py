"""Placement groups: all or nothing, whoever dies meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shoal._core.logic.ledger import Ledger
from shoal._core.logic.placement import CREATED, PENDING, PREPARED, REMOVED, RESCHEDULING, PlacementGroups
from shoal._core.logic.placement_effects import (
    Commit,
    Effect,
    GroupInfeasible,
    GroupReady,
    GroupRemoved,
    GroupSpec,
    Prepare,
    Return,
    UnwantRoom,
    WantRoom,
)
from shoal._core.logic.scheduling import NodeView
from shoal._core.schema.resources import UNIT, ResourceSet
from shoal.exceptions import InvalidOptionError, ShoalSystemError

ONE = ResourceSet.parse({"CPU": 1})
TWO = ResourceSet.parse({"CPU": 2})
G, H = b"g" * 16, b"h" * 16


def view(name: bytes, free: float, total: float = 4) -> NodeView:
    return NodeView(name, {"CPU": int(total * UNIT)}, {"CPU": int(free * UNIT)})


A, B = view(b"a", 4), view(b"b", 4)


def spec(group_id: bytes = G, *bundles: ResourceSet, **more: Any) -> GroupSpec:
    return GroupSpec(group_id=group_id, bundles=bundles or (ONE, TWO), **more)


@pytest.fixture
def table() -> PlacementGroups:
    return PlacementGroups()


def state(table: PlacementGroups, group_id: bytes = G) -> str:
    table.check()
    return table.groups[group_id].state


def make(table: PlacementGroups, what: GroupSpec, *nodes: NodeView) -> None:
    """Creates a group on nodes that agree."""
    for effect in table.create(what, nodes, 0.0):
        if isinstance(effect, Prepare):
            table.prepared(what.group_id, effect.node_id, 0.0)
    for node_id in list(table.groups[what.group_id].unanswered):
        table.committed(what.group_id, node_id, 1.0)
    assert state(table, what.group_id) == CREATED


# --- the plain life ---------------------------------------------------------------------------------------------------


def test_two_phases_on_one_node(table: PlacementGroups) -> None:
    assert table.create(spec(), [A], 0.0) == [Prepare(b"a", G, {0: ONE, 1: TWO})]
    assert state(table) == PENDING
    assert not table.is_waiting
    assert table.prepared(G, b"a", 1.0) == [Commit(b"a", G, (0, 1))]
    assert state(table) == PREPARED
    assert table.committed(G, b"a", 2.0) == [GroupReady(G)]
    assert state(table) == CREATED
    assert table.committed(G, b"a", 3.0) == []
    assert table.prepared(G, b"a", 3.0) == []


def test_two_phases_on_two_nodes(table: PlacementGroups) -> None:
    prepares = table.create(spec(strategy="STRICT_SPREAD"), [A, B], 0.0)
    assert {effect.node_id for effect in prepares if isinstance(effect, Prepare)} == {b"a", b"b"}
    assert table.prepared(G, b"a", 1.0) == []
    assert len(table.prepared(G, b"b", 1.0)) == 2
    assert table.committed(G, b"b", 1.0) == []
    assert table.committed(G, b"a", 1.0) == [GroupReady(G)]


def test_one_refusal_returns_all(table: PlacementGroups) -> None:
    table.create(spec(strategy="STRICT_SPREAD"), [A, B], 0.0)
    table.prepared(G, b"a", 1.0)
    full = view(b"b", 0)
    told = table.prepare_failed(G, b"b", [A, full], 1.0)
    assert told[0] == Return(b"a", G, (1,)) or told[0] == Return(b"a", G, (0,))
    assert {type(effect) for effect in told[1:]} == {WantRoom}
    assert state(table) == PENDING
    assert table.is_waiting
    again = table.resources_changed([A, B], 2.0)
    assert {effect.node_id for effect in again if isinstance(effect, Prepare)} == {b"a", b"b"}


def test_late_answers_to_what_was_given_up_do_not_count(table: PlacementGroups) -> None:
    table.create(spec(strategy="STRICT_SPREAD"), [A, B], 0.0)
    table.prepare_failed(G, b"b", [A, B], 1.0)
    table.resources_changed([A, B], 2.0)
    assert table.prepared(G, b"b", 3.0) == []
    assert table.prepared(G, b"a", 3.0) == [], "that was the answer to the first attempt"
    assert state(table) == PENDING
    assert len(table.prepared(G, b"a", 3.0)) == 2
    assert state(table) == PREPARED


def test_a_node_that_refuses_is_not_asked_again_before_there_is_news(table: PlacementGroups) -> None:
    table.create(spec(), [A], 0.0)
    assert table.prepare_failed(G, b"a", [A], 1.0) == [WantRoom(b"a", G, G.hex(), (ONE, TWO))]
    assert table.resources_changed([A], 2.0) == [Prepare(b"a", G, {0: ONE, 1: TWO})]


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_waits_for_room(table: PlacementGroups) -> None:
    full = view(b"a", 1)
    assert table.create(spec(name="x"), [full], 0.0) == [WantRoom(b"a", G, "x", (ONE, TWO))]
    assert table.resources_changed([full], 1.0) == [], "told once"
    assert table.demand() == [("PACK", (ONE, TWO))]
    assert table.resources_changed([A], 2.0) == [Prepare(b"a", G, {0: ONE, 1: TWO})]
    assert table.demand() == []


def test_room_elsewhere_is_not_wanted_here_any_more(table: PlacementGroups) -> None:
    table.create(spec(), [view(b"a", 0)], 0.0)
    assert table.resources_changed([view(b"a", 0), B], 1.0) == [UnwantRoom(b"a", G), Prepare(b"b", G, {0: ONE, 1: TWO})]


def test_first_come_first_placed(table: PlacementGroups) -> None:
    full = view(b"a", 0)
    table.create(spec(G, TWO, TWO), [full], 0.0)
    table.create(spec(H, TWO), [full], 0.0)
    told = table.resources_changed([A], 1.0)
    assert told == [Prepare(b"a", G, {0: TWO, 1: TWO})], "the second sees what the first takes"
    assert table.prepare_failed(G, b"a", [full], 2.0)
    assert list(table.resources_changed([A], 3.0)) == [Prepare(b"a", G, {0: TWO, 1: TWO})], "it kept its place"
    assert table.is_waiting


def test_a_small_group_may_overtake(table: PlacementGroups) -> None:
    full = view(b"a", 0)
    table.create(spec(G, TWO, TWO), [full], 0.0)
    table.create(spec(H, ONE), [full], 0.0)
    assert Prepare(b"a", H, {0: ONE}) in table.resources_changed([view(b"a", 1)], 1.0)


def test_what_can_never_be_is_said_once(table: PlacementGroups) -> None:
    [told] = table.create(spec(G, ResourceSet.parse({"GPU": 1}), name="x"), [A], 0.0)
    assert isinstance(told, GroupInfeasible)
    assert told.final
    assert told.explanation.startswith("placement group 'x' can never be reserved: bundle 0 can be reserved nowhere")
    assert table.resources_changed([A], 1.0) == []
    assert table.table()[0]["stats"]["scheduling_state"] == "INFEASIBLE"


def test_where_nodes_may_join_it_may_be_yet(table: PlacementGroups) -> None:
    table = PlacementGroups(joinable=True)
    [told] = table.create(spec(G, ResourceSet.parse({"CPU": 8})), [A], 0.0)
    assert isinstance(told, GroupInfeasible)
    assert not told.final
    assert table.resources_changed([A, view(b"b", 8, 8)], 1.0) == [Prepare(b"b", G, {0: ResourceSet.parse({"CPU": 8})})]


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", range(4))
def test_removed_at_any_time(table: PlacementGroups, phase: int) -> None:
    table.create(spec(), [A if phase else view(b"a", 0)], 0.0)
    if phase > 1:
        table.prepared(G, b"a", 0.0)
    if phase > 2:
        table.committed(G, b"a", 0.0)
    assert table.remove(G, 1.0) == [GroupRemoved(G, "it was removed")]
    assert state(table) == REMOVED
    assert table.remove(G, 2.0) == []
    assert table.prepared(G, b"a", 3.0) == []
    assert table.prepare_failed(G, b"a", [A], 3.0) == []
    assert table.committed(G, b"a", 3.0) == []
    assert not table.is_waiting
    assert table.remove(b"unknown", 1.0) == []
    assert table.prepared(b"unknown", b"a", 1.0) == []


def test_groups_end_with_their_creator_unless_detached(table: PlacementGroups) -> None:
    make(table, spec(G, ONE, creator=b"driver"), A)
    make(table, spec(H, ONE, creator=b"driver", detached=True), A)
    assert table.creator_gone(b"driver", 1.0) == [GroupRemoved(G, "the process that created it has ended")]
    assert (state(table, G), state(table, H)) == (REMOVED, CREATED)


def test_names_are_unique_while_their_group_lives(table: PlacementGroups) -> None:
    make(table, spec(name="x", namespace="n"), A)
    with pytest.raises(InvalidOptionError, match="has a placement group of this name"):
        table.create(spec(H, name="x", namespace="n"), [A], 0.0)
    assert H not in table.groups
    table.create(spec(H, name="x", namespace="m"), [A], 0.0)
    found = table.named("n", "x")
    assert found is not None and found.spec.group_id == G
    table.remove(G, 1.0)
    assert table.named("n", "x") is None
    table.create(spec(b"i" * 16, name="x", namespace="n"), [A], 0.0)


def test_removed_groups_are_forgotten_in_the_end(table: PlacementGroups) -> None:
    for number in range(1100):
        group_id = number.to_bytes(16, "big")
        table.create(spec(group_id), [A], 0.0)
        table.remove(group_id, 0.0)
    table.check()
    assert len(table.groups) == 1000


# --- nodes die --------------------------------------------------------------------------------------------------------


def test_lost_bundles_are_placed_anew(table: PlacementGroups) -> None:
    make(table, spec(G, ONE, ONE, strategy="STRICT_SPREAD"), A, B)
    lost = table.groups[G].nodes.index(b"a")
    c = view(b"c", 4)
    assert table.node_died(b"a", [B, c], 2.0) == [Prepare(b"c", G, {lost: ONE})], "b has a bundle already"
    assert state(table) == RESCHEDULING
    assert table.prepared(G, b"c", 3.0) == [Commit(b"c", G, (lost,))]
    assert table.committed(G, b"c", 3.0) == [GroupReady(G)]
    assert table.node_died(b"unknown", [B, c], 4.0) == []


def test_a_death_while_others_prepare(table: PlacementGroups) -> None:
    table.create(spec(G, ONE, ONE, strategy="STRICT_SPREAD"), [A, B], 0.0)
    table.prepared(G, b"a", 0.0)
    indices = table.groups[G].round[b"a"]
    told = table.node_died(b"b", [A], 1.0)
    assert told[0] == Return(b"a", G, indices)
    assert isinstance(told[1], GroupInfeasible)
    assert state(table) == PENDING


def test_a_death_while_others_commit(table: PlacementGroups) -> None:
    table.create(spec(G, ONE, ONE, strategy="STRICT_SPREAD"), [A, B], 0.0)
    table.prepared(G, b"a", 0.0)
    table.prepared(G, b"b", 0.0)
    lost = table.groups[G].nodes.index(b"b")
    c = view(b"c", 4)
    assert table.node_died(b"b", [A, c], 1.0) == [Prepare(b"c", G, {lost: ONE})]
    assert table.committed(G, b"a", 1.0) == []
    table.prepared(G, b"c", 1.0)
    assert table.committed(G, b"c", 1.0) == [GroupReady(G)]


# --- looking inside ---------------------------------------------------------------------------------------------------


def test_the_table_has_rays_shape(table: PlacementGroups) -> None:
    make(table, spec(name="x", namespace="n", job_id=b"jjjj"), A)
    assert table.table() == [
        {
            "placement_group_id": G.hex(),
            "name": "x",
            "namespace": "n",
            "creator_job_id": b"jjjj".hex(),
            "is_detached": False,
            "bundles": {0: {"CPU": 1.0}, 1: {"CPU": 2.0}},
            "bundles_to_node_id": {0: b"a".hex(), 1: b"a".hex()},
            "strategy": "PACK",
            "state": "CREATED",
            "stats": {
                "end_to_end_creation_latency_ms": 1000.0,
                "scheduling_latency_ms": 1000.0,
                "scheduling_attempt": 1,
                "highest_retry_delay_ms": 0.0,
                "scheduling_state": "FINISHED",
            },
        }
    ]
    table.create(spec(H), [view(b"a", 0)], 0.0)
    assert table.table()[1]["bundles_to_node_id"] == {0: "", 1: ""}
    assert table.table()[1]["stats"]["scheduling_state"] == "NO_RESOURCES"


def test_stories_and_errors(table: PlacementGroups) -> None:
    make(table, spec(), A)
    assert [line.split(" ", 1)[1] for line in table.story(G)] == [
        "created",
        "asked 1 nodes",
        "prepared: PREPARED",
        "committed: CREATED",
    ]
    assert table.story(H) == []
    with pytest.raises(ShoalSystemError, match="is CREATED, and cannot be prepared"):
        table.groups[G].move("prepared", 5.0)


# --- at random --------------------------------------------------------------------------------------------------------


class Session(RuleBasedStateMachine):
    """A head, nodes with real ledgers, and messages that take their time (in order, for each node)."""

    @initialize()
    def start(self) -> None:
        self.table = PlacementGroups(joinable=True)
        self.nodes: dict[bytes, Ledger] = {}
        self.to_node: dict[bytes, list[Effect]] = {}
        self.to_head: dict[bytes, list[tuple[str, bytes]]] = {}
        self.busy: dict[bytes, int] = {}
        self.next_id = 0
        self.now = 0.0
        self.node_joins()
        self.node_joins()

    def views(self) -> list[NodeView]:
        return [
            NodeView(name, dict(ledger.node.total), dict(ledger.node.available)) for name, ledger in self.nodes.items()
        ]

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, (Prepare, Commit, Return)):
                assert effect.node_id in self.nodes, "the dead are told nothing"
                self.to_node[effect.node_id].append(effect)
            elif isinstance(effect, GroupRemoved):
                for queue in self.to_node.values():
                    queue.append(effect)

    @rule()
    def node_joins(self) -> None:
        if len(self.nodes) < 4:
            self.next_id += 1
            name = b"n%d" % self.next_id
            self.nodes[name] = Ledger({"CPU": 4 * UNIT})
            self.to_node[name], self.to_head[name], self.busy[name] = [], [], 0
            self.carry_out(self.table.resources_changed(self.views(), self.now))

    @rule(which=st.integers(0, 3))
    def node_dies(self, which: int) -> None:
        if len(self.nodes) > 1:
            name = sorted(self.nodes)[which % len(self.nodes)]
            for tables in (self.nodes, self.to_node, self.to_head, self.busy):
                del tables[name]
            self.carry_out(self.table.node_died(name, self.views(), self.now))

    @rule(
        sizes=st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=3),
        strategy=st.sampled_from(["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]),
        name=st.sampled_from(["", "", "x"]),
    )
    def create(self, sizes: list[int], strategy: str, name: str) -> None:
        self.next_id += 1
        group_id = self.next_id.to_bytes(16, "big")
        bundles = tuple(ResourceSet.parse({"CPU": size}) for size in sizes)
        wanted = GroupSpec(group_id=group_id, bundles=bundles, strategy=strategy, name=name, creator=b"driver")
        taken = self.table.named("", name) is not None if name else False
        try:
            self.carry_out(self.table.create(wanted, self.views(), self.now))
        except InvalidOptionError:
            assert taken

    @rule(which=st.integers(0, 5))
    def remove(self, which: int) -> None:
        living = [group_id for group_id, group in self.table.groups.items() if group.state != REMOVED]
        if living:
            self.carry_out(self.table.remove(living[which % len(living)], self.now))

    @rule(which=st.integers(0, 3))
    def node_works(self, which: int) -> None:
        """A node takes one message."""
        name = sorted(self.nodes)[which % len(self.nodes)]
        if not self.to_node[name]:
            return
        ledger, effect = self.nodes[name], self.to_node[name].pop(0)
        if isinstance(effect, Prepare):
            ok = ledger.prepare(effect.group_id, effect.bundles)
            self.to_head[name].append(("prepared" if ok else "failed", effect.group_id))
        elif isinstance(effect, Commit):
            ledger.commit(effect.group_id, effect.indices)
            self.to_head[name].append(("committed", effect.group_id))
        elif isinstance(effect, Return):
            ledger.return_bundles(effect.group_id, effect.indices)
        elif isinstance(effect, GroupRemoved):
            ledger.return_bundles(effect.group_id, tuple(ledger.groups.get(effect.group_id, ())))

    @rule(which=st.integers(0, 3))
    def head_works(self, which: int) -> None:
        """The head takes one message of a node."""
        name = sorted(self.nodes)[which % len(self.nodes)]
        if not self.to_head[name]:
            return
        kind, group_id = self.to_head[name].pop(0)
        self.now += 1
        if kind == "failed":
            self.carry_out(self.table.prepare_failed(group_id, name, self.views(), self.now))
        else:
            event = self.table.prepared if kind == "prepared" else self.table.committed
            self.carry_out(event(group_id, name, self.now))

    @rule(which=st.integers(0, 3), take=st.booleans())
    def tasks_come_and_go(self, which: int, take: bool) -> None:
        name = sorted(self.nodes)[which % len(self.nodes)]
        pot = self.nodes[name].node
        if take and pot.fits(ONE.amounts):
            pot.take(ONE.amounts)
            self.busy[name] += 1
        elif not take and self.busy[name]:
            pot.give(ONE.amounts, ())
            self.busy[name] -= 1

    @invariant()
    def table_agrees(self) -> None:
        if hasattr(self, "table"):
            self.table.check()

    def settle(self) -> None:
        """Lets all messages arrive."""
        while any(self.to_node.values()) or any(self.to_head.values()):
            for position in range(len(self.nodes)):
                self.node_works(position)
                self.head_works(position)

    def teardown(self) -> None:
        """Once all is said: what the head believes, the nodes have; a group has all of its bundles, or none."""
        if not hasattr(self, "table"):
            return
        for name, count in self.busy.items():
            for _ in range(count):
                self.nodes[name].node.give(ONE.amounts, ())
        self.settle()
        self.carry_out(self.table.resources_changed(self.views(), self.now))
        self.settle()
        self.table.check()
        for name, ledger in self.nodes.items():
            ledger.check()
            reserved = {(group_id, index) for group_id, pots in ledger.groups.items() for index in pots}
            believed = {
                (group_id, index)
                for group_id, group in self.table.groups.items()
                for index, there in enumerate(group.nodes)
                if there == name and group.state != REMOVED
            }
            assert reserved == believed
        for group in self.table.groups.values():
            assert group.state in (CREATED, REMOVED) or group.spec.group_id in self.table._waiting
        self.carry_out(self.table.creator_gone(b"driver", self.now))
        self.settle()
        for ledger in self.nodes.values():
            assert ledger.node.available == ledger.node.total


Session.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestSession = Session.TestCase
