"""Objects of one process, and who else holds references to them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal._core.logic.ownership import LOST, PENDING, Freed, Ownership
from shoal._core.schema.ids import WORKER_ID_SIZE
from shoal._core.schema.messages import ERROR, INLINE, STORED

ME = b"me".ljust(WORKER_ID_SIZE, b"0")
YOU = b"you".ljust(WORKER_ID_SIZE, b"0")
NODE = b"node".ljust(16, b"0")
MINE = ME + bytes(12)
INNER = ME + bytes(11) + b"1"
YOURS = YOU + bytes(12)


def ids(freed: list[Freed]) -> list[bytes]:
    return [item.object_id for item in freed]


def test_an_object_lives_as_long_as_its_last_local_reference() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, INLINE, b"1", 1, [], [])
    table.refer(MINE, "")
    assert ids(table.drop_local([MINE])) == []
    assert ids(table.drop_local([MINE])) == [MINE]
    assert table.entries == {}


def test_an_object_in_the_store_is_freed_where_it_lies() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, STORED, b"", 1 << 20, [NODE], [])
    [freed] = table.drop_local([MINE])
    assert freed.nodes == [NODE]


def test_a_result_that_nobody_wants_any_more_is_freed_when_it_comes() -> None:
    table = Ownership(ME)
    table.create(MINE, task=object())
    assert table.drop_local([MINE]) == []
    assert table.complete(MINE, INLINE, b"1", 1, [], []) == []
    assert ids(table.discard_if_unneeded(MINE)) == [MINE]


def test_arguments_of_a_task_in_flight_are_kept() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, INLINE, b"1", 1, [], [])
    table.use([MINE])
    assert table.drop_local([MINE]) == []
    assert ids(table.end_use([MINE])) == [MINE]


def test_what_is_inside_an_object_lives_as_long_as_it() -> None:
    table = Ownership(ME)
    table.create(INNER)
    table.complete(INNER, INLINE, b"1", 1, [], [])
    table.create(MINE)
    table.complete(MINE, INLINE, b"2", 1, [], [(INNER, "")], counted=False)
    assert table.drop_local([INNER]) == []
    assert ids(table.drop_local([MINE])) == [MINE, INNER]


def test_the_first_completion_counts() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, INLINE, b"first", 5, [], [])
    table.complete(MINE, ERROR, b"second", 6, [], [])
    assert table.entries[MINE].data == b"first"


def test_a_borrower_keeps_an_object() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, INLINE, b"1", 1, [], [])
    assert table.borrowed(MINE, YOU, 2) == []
    assert table.drop_local([MINE]) == []
    assert table.borrowed(MINE, YOU, -1) == []
    assert ids(table.borrowed(MINE, YOU, -1)) == [MINE]


def test_a_return_that_overtakes_its_transfer_does_no_harm() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, INLINE, b"1", 1, [], [])
    assert table.borrowed(MINE, YOU, -1) == []
    assert table.drop_local([MINE]) == [], "the count is not balanced: something is still on its way"
    assert ids(table.borrowed(MINE, YOU, 1)) == [MINE]


def test_the_death_of_a_borrower_ends_its_counts_and_those_told_late() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, INLINE, b"1", 1, [], [])
    table.borrowed(MINE, YOU, 1)
    table.drop_local([MINE])
    assert ids(table.borrower_gone(YOU)) == [MINE]
    table.create(INNER)
    table.complete(INNER, INLINE, b"1", 1, [], [])
    table.borrowed(INNER, YOU, 1)
    assert ids(table.drop_local([INNER])) == [INNER]


def test_an_own_reference_on_its_way_back_is_kept_until_it_arrives() -> None:
    table = Ownership(ME)
    table.create(INNER)
    table.complete(INNER, INLINE, b"1", 1, [], [])
    table.borrowed(INNER, ME, 1)
    assert table.drop_local([INNER]) == [], "a worker is sending it back to us"
    table.create(MINE)
    table.complete(MINE, INLINE, b"2", 1, [], [(INNER, "")])
    assert ids(table.drop_local([MINE])) == [MINE, INNER]


def test_a_borrowed_reference_returns_all_that_was_counted_for_it() -> None:
    table = Ownership(ME)
    table.refer(YOURS, "unix:@you")
    table.received(YOURS, "unix:@you")
    table.received(YOURS, "unix:@you")
    [freed] = table.drop_local([YOURS])
    assert (freed.owner_address, freed.count) == ("unix:@you", 2)


def test_a_worker_tells_which_arguments_it_keeps() -> None:
    table = Ownership(ME)
    table.refer(YOURS, "unix:@you")
    table.create(MINE)
    assert table.still_held([YOURS, MINE]) == [(YOURS, "unix:@you")], "only what is others' is told"
    [freed] = table.drop_local([YOURS])
    assert freed.count == 1


def test_an_own_reference_that_was_forgotten_is_lost() -> None:
    table = Ownership(ME)
    assert table.refer(MINE, "unix:@wherever").kind == LOST


def test_a_lost_object_can_be_made_again() -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, STORED, b"", 9, [NODE], [])
    table.reset(MINE)
    assert table.entries[MINE].kind == PENDING
    table.complete(MINE, INLINE, b"again", 5, [], [])
    assert table.entries[MINE].data == b"again"


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(1, 3)), max_size=8), st.randoms())
def test_in_whatever_order_transfers_and_returns_arrive_the_last_one_frees(
    transfers: list[tuple[bytes, int]], random: object
) -> None:
    table = Ownership(ME)
    table.create(MINE)
    table.complete(MINE, INLINE, b"1", 1, [], [])
    events = [(who, count) for who, count in transfers] + [(who, -count) for who, count in transfers]
    random.shuffle(events)  # type: ignore[attr-defined]
    for who, count in events:
        assert table.borrowed(MINE, who, count) == [], "the owner itself still refers to it"
    assert ids(table.drop_local([MINE])) == [MINE]
    assert table._borrows == {}
