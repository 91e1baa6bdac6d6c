"""Which calls have their stored arguments open before they begin."""

from __future__ import annotations

from shoal._core.process.arguments_ahead import ARGUMENTS_AHEAD, CALLS_AHEAD, ArgumentsAhead
from shoal._core.process.view_ahead import ViewAhead
from shoal._core.schema.messages import INLINE, STORED, Located, ObjectValue, TaskCall


class Node:
    """Pins whatever it is asked for."""

    def __init__(self) -> None:
        self.pinned: list[bytes] = []

    def open_ahead(self, object_id: bytes, nodes: list[bytes]) -> ViewAhead:
        ahead = ViewAhead(lambda place: memoryview(b""), lambda: self.pinned.remove(object_id))
        self.pinned.append(object_id)
        ahead.answered(Located(1, 1, 0, 0))
        return ahead


def call_of(name: bytes, *object_ids: bytes) -> TaskCall:
    """A call with a small argument, and those of these ids, which are stored."""
    call = TaskCall(name, b"method", b"")
    call.deps = [ObjectValue(b"small", INLINE, b"1"), *(ObjectValue(object_id, STORED) for object_id in object_ids)]
    return call


def test_stored_arguments_are_opened_once_each() -> None:
    node = Node()
    ahead = ArgumentsAhead(node.open_ahead)
    call = call_of(b"a", b"x", b"y", b"x")
    ahead.expect(call)
    ahead.expect(call)
    assert node.pinned == [b"x", b"y"]
    deps, views = ahead.begin(call)
    assert [dep.object_id for dep in deps] == [b"small", b"x", b"y", b"x"]
    assert list(views) == [b"x", b"y"]
    ahead.end(call)
    ahead.let_all_go()
    assert node.pinned == [b"x", b"y"], "they are the call's"


def test_a_call_without_stored_arguments_is_nothing_to_expect() -> None:
    node = Node()
    ahead = ArgumentsAhead(node.open_ahead)
    for number in range(5):
        ahead.expect(call_of(bytes([number])))
    stored = call_of(b"a", b"x")
    ahead.expect(stored)
    assert node.pinned == [b"x"]


def test_only_the_next_calls_are_opened() -> None:
    node = Node()
    ahead = ArgumentsAhead(node.open_ahead)
    calls = [call_of(bytes([number]), b"x%d" % number) for number in range(CALLS_AHEAD + 1)]
    for call in calls:
        ahead.expect(call)
    assert node.pinned == [b"x%d" % number for number in range(CALLS_AHEAD)]
    ahead.begin(calls[0])
    ahead.expect(calls[-1])
    assert node.pinned[-1] == b"x%d" % CALLS_AHEAD


def test_of_very_many_arguments_only_the_first_are_opened() -> None:
    node = Node()
    ahead = ArgumentsAhead(node.open_ahead)
    call = call_of(b"a", *(b"%d" % number for number in range(1000)))
    ahead.expect(call)
    assert len(node.pinned) == ARGUMENTS_AHEAD - 1, "and the small one"
    deps, views = ahead.begin(call)
    assert (len(deps), len(views)) == (1001, ARGUMENTS_AHEAD - 1)


def test_a_call_that_has_begun_or_ended_is_not_expected_any_more() -> None:
    node = Node()
    ahead = ArgumentsAhead(node.open_ahead)
    begun, ended = call_of(b"a", b"x"), call_of(b"b", b"y")
    ahead.begin(begun)
    ahead.end(ended)
    ahead.expect(begun)
    ahead.expect(ended)
    assert node.pinned == []


def test_what_ends_before_it_begins_keeps_nothing() -> None:
    node = Node()
    ahead = ArgumentsAhead(node.open_ahead)
    call = call_of(b"a", b"x", b"y")
    ahead.expect(call)
    ahead.end(call)
    assert node.pinned == []


def test_a_call_may_begin_without_what_it_has_let_go() -> None:
    node = Node()
    ahead = ArgumentsAhead(node.open_ahead)
    one, other = call_of(b"a", b"x"), call_of(b"b", b"y")
    ahead.expect(one)
    ahead.expect(other)
    ahead.let_go(one)
    assert node.pinned == [b"y"]
    ahead.let_all_go()
    assert node.pinned == []
    for call in (one, other):
        deps, views = ahead.begin(call)
        assert (len(deps), views) == (2, {})
