"""Objects: counted, waited for, forgotten."""

from __future__ import annotations

from shoal._core.process.inline.objects import ERROR, FREED, PENDING, VALUE, ObjectTable, Waiter
from shoal._core.schema.ids import HANDLE_INDEX, object_id_of

TASK = b"t" * 24
A, B, C = (object_id_of(TASK, index) for index in range(3))
HANDLE = object_id_of(TASK, HANDLE_INDEX)


def new_table() -> tuple[ObjectTable, list[bytes]]:
    unheld: list[bytes] = []
    return ObjectTable(unheld.append), unheld


def test_object_is_forgotten_with_its_last_hold() -> None:
    table, _ = new_table()
    table.create(A, holds=1)
    table.hold([A])
    table.release([A])
    assert A in table.entries
    table.release([A])
    assert A not in table.entries


def test_contained_objects_live_with_what_contains_them() -> None:
    table, _ = new_table()
    for object_id in (A, B, C):
        table.create(object_id, holds=1)
    table.complete(B, VALUE, b"b", [A])
    table.complete(C, VALUE, b"c", [B])
    table.release([A, B])
    assert set(table.entries) == {A, B, C}
    table.release([C])
    assert table.entries == {}


def test_waiters_are_told_once() -> None:
    table, _ = new_table()
    table.create(A, holds=1)
    table.create(B, holds=1)
    told: list[str] = []
    both = Waiter(2, lambda: told.append("both"))
    any_error = Waiter(2, lambda: told.append("error"), at_error=True)
    for object_id in (A, B):
        table.entries[object_id].waiters += [both, any_error]
    table.complete(A, ERROR, b"error")
    assert told == ["error"]
    table.complete(B, VALUE, b"b")
    assert told == ["error", "both"]


def test_first_completion_counts() -> None:
    table, _ = new_table()
    table.create(A, holds=1)
    table.complete(A, VALUE, b"first")
    table.complete(A, ERROR, b"second")
    assert (table.entries[A].kind, table.entries[A].data) == (VALUE, b"first")


def test_completion_of_what_nobody_holds() -> None:
    table, _ = new_table()
    table.create(B, holds=1)
    table.complete(A, VALUE, b"a", [B])
    assert set(table.entries) == {B}
    assert table.entries[B].holds == 1


def test_last_handle_is_reported() -> None:
    table, unheld = new_table()
    table.create(HANDLE, holds=2)
    table.release([HANDLE])
    assert unheld == []
    table.release([HANDLE])
    assert unheld == [HANDLE]


def test_reference_to_what_is_gone() -> None:
    table, _ = new_table()
    table.borrow(A)
    assert table.entries[A].kind == FREED
    table.release([A])
    assert table.entries == {}


def test_free_by_hand() -> None:
    table, _ = new_table()
    table.create(A, holds=1)
    table.create(B, holds=1)
    table.complete(B, VALUE, b"b", [A])
    table.release([A])
    table.free(B)
    assert table.entries[B].kind == FREED
    assert A not in table.entries


def test_questions() -> None:
    table, _ = new_table()
    for object_id in (A, B, C):
        table.create(object_id, holds=1)
    table.complete(B, ERROR, b"why")
    table.complete(C, VALUE, b"c")
    assert table.pending_among([A, B, C]) == [A]
    assert table.error_among([A, B, C]) == b"why"
    assert table.error_among([A, C]) == b""
    assert [row["task_status"] for row in table.rows(1)] == ["PENDING", "FINISHED", "FINISHED"]
    assert table.entries[A].kind == PENDING
