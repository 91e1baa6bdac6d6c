"""The life of stored objects: told by events, checked by effects."""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shoal._core.logic.allocation import block_size
from shoal._core.logic.residency import Residency
from shoal._core.logic.residency_effects import (
    FREED_BEFORE,
    HELD,
    NO_DISK,
    TOO_LARGE,
    AddArena,
    Allocated,
    AlreadyStored,
    AskBack,
    DeleteSpilled,
    Effect,
    Full,
    Located,
    Lost,
    Missing,
    PunchHole,
    RemoveArena,
    Restore,
    Spill,
)
from shoal._core.logic.residency_states import GONE, TRANSITIONS, UNKNOWN, InvalidTransitionError
from shoal.exceptions import InvalidOptionError, ShoalError

MIB = 1 << 20
A, B, C = b"A" * 16, b"B" * 16, b"C" * 16
LATER = 10.0


def object_id(number: int) -> bytes:
    return number.to_bytes(28, "big")


X, Y, Z = object_id(1), object_id(2), object_id(3)


def small_store(**options: object) -> Residency:
    """Room for ten blocks of 1 MiB."""
    return Residency(10 * MIB, **options)  # type: ignore[arg-type]


def put(store: Residency, oid: bytes, size: int = MIB, client: bytes = A) -> None:
    """Stores an object that finds room at once."""
    effects = store.allocate(oid, size, client, 0, LATER)
    assert [type(effect) for effect in effects if type(effect) not in (AddArena, PunchHole)] == [Allocated]
    assert store.seal(oid, client) == []


def state_of(store: Residency, oid: bytes) -> str:
    return {row.object_id: row.state for row in store.objects()}.get(oid, GONE)


def only(effects: list[Effect], kind: type) -> list[Effect]:
    return [effect for effect in effects if type(effect) is kind]


# --- writing and reading ----------------------------------------------------------------------------------------------


def test_a_life_in_memory() -> None:
    store = small_store()
    assert store.allocate(X, 1000, A, 7, LATER) == [AddArena(1, 10 * MIB), Allocated(A, 7, X, 1, 0, 1000, 0)]
    assert store.seal(X, A) == []
    assert store.pin(X, B, 8, LATER) == [Located(B, 8, X, 1, 0, 1000)]
    assert store.free(X) == []
    assert state_of(store, X) == "freed"
    assert store.unpin(X, B) == []
    assert state_of(store, X) == GONE
    assert store.stats().used == 0
    assert store.story(X) == [
        "allocate: unknown -> queued",
        "room: queued -> allocated",
        "seal: allocated -> sealed",
        "pin: sealed -> sealed",
        "free: sealed -> freed",
        "unpin: freed -> gone",
    ]


def test_a_repeated_put_gets_the_same_warm_block() -> None:
    store = Residency(1 << 30)
    put(store, X, 100_000_000)
    assert store.free(X) == []
    (again,) = store.allocate(Y, 100_000_000, A, 2, LATER)
    assert again == Allocated(A, 2, Y, 1, 0, 100_000_000, 100_000_000)


def test_an_empty_object_has_a_block() -> None:
    store = small_store()
    put(store, X, 0)
    assert store.pin(X, A, 1, LATER) == [Located(A, 1, X, 1, 0, 0)]


def test_a_pin_waits_for_the_seal() -> None:
    store = small_store()
    store.allocate(X, MIB, A, 1, LATER)
    assert store.pin(X, B, 2, LATER) == []
    assert store.pin(X, C, 3, LATER) == []
    assert store.seal(X, A) == [Located(B, 2, X, 1, 0, MIB), Located(C, 3, X, 1, 0, MIB)]


def test_what_the_store_does_not_have_is_missing() -> None:
    store = small_store()
    assert store.pin(X, A, 1, LATER) == [Missing(A, 1, X, "the store does not have it")]
    put(store, X)
    store.pin(X, A, 2, LATER)
    store.free(X)
    assert store.pin(X, A, 3, LATER) == [Missing(A, 3, X, "it has been freed")]


def test_a_second_allocation_of_an_object_says_what_there_is() -> None:
    store = small_store()
    store.allocate(X, MIB, A, 1, LATER)
    assert store.allocate(X, MIB, B, 2, LATER) == [AlreadyStored(B, 2, X, "allocated")]
    store.seal(X, A)
    assert store.allocate(X, MIB, B, 3, LATER) == [AlreadyStored(B, 3, X, "sealed")]


def test_pins_are_counted_by_client() -> None:
    store = small_store()
    put(store, X)
    store.pin(X, A, 1, LATER)
    store.pin(X, A, 2, LATER)
    store.pin(X, B, 3, LATER)
    assert store.stats().pinned == MIB
    store.free(X)
    store.unpin(X, A, 2)
    assert state_of(store, X) == "freed"
    with pytest.raises(InvalidTransitionError, match="which has 0 pins"):
        store.unpin(X, A)
    store.unpin(X, B)
    assert state_of(store, X) == GONE


@pytest.mark.parametrize("event", ["seal", "abort", "unpin", "spilled", "restored"])
def test_an_event_for_an_unknown_object_is_a_typed_error(event: str) -> None:
    store = small_store()
    arguments = {"seal": (A,), "abort": (A,), "unpin": (A,), "spilled": (True,), "restored": (True,)}[event]
    with pytest.raises(InvalidTransitionError) as caught:
        getattr(store, event)(X, *arguments)
    assert isinstance(caught.value, ShoalError)
    assert (caught.value.object_id, caught.value.state, caught.value.event) == (X, UNKNOWN, event)


@pytest.mark.parametrize("event", ["seal", "abort"])
def test_only_the_writer_ends_the_writing(event: str) -> None:
    store = small_store()
    store.allocate(X, MIB, A, 1, LATER)
    with pytest.raises(InvalidTransitionError, match="which is not writing it"):
        getattr(store, event)(X, B)
    store.seal(X, A)
    with pytest.raises(InvalidTransitionError, match="which is sealed"):
        getattr(store, event)(X, A)


def test_who_has_no_block_yet_cannot_seal() -> None:
    store = small_store()
    store.allocate(X, 8 * MIB, A, 1, LATER)
    store.allocate(Y, 8 * MIB, A, 2, LATER)
    with pytest.raises(InvalidTransitionError, match="which has no block yet"):
        store.seal(Y, A)
    assert store.abort(Y, A) == []


def test_a_transfer_that_was_not_ordered_is_a_typed_error() -> None:
    store = small_store()
    put(store, X)
    with pytest.raises(InvalidTransitionError, match="'spilled' came for object"):
        store.spilled(X, True)


@pytest.mark.parametrize(("capacity", "size"), [(0, 1), (-5, 1), (100, -1)])
def test_sizes_are_checked(capacity: int, size: int) -> None:
    with pytest.raises(InvalidOptionError):
        Residency(capacity).allocate(X, size, A, 1, LATER)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {state for states in TRANSITIONS.values() for state in states}
    left = {state for state, _ in TRANSITIONS}
    assert reached - left == {GONE}
    assert left - reached == {UNKNOWN}


# --- ends -------------------------------------------------------------------------------------------------------------


def test_freeing_twice_or_what_is_unknown_does_nothing() -> None:
    store = small_store()
    assert store.free(X) == []
    put(store, X)
    store.pin(X, A, 1, LATER)
    assert store.free(X) == []
    assert store.free(X) == []
    assert state_of(store, X) == "freed"


def test_a_block_that_is_still_written_outlives_the_free() -> None:
    store = small_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.pin(X, B, 2, LATER)
    assert store.free(X) == [Missing(B, 2, X, "it was freed")]
    assert store.stats().unsealed == MIB
    store.seal(X, A)
    assert store.stats().used == 0


def test_an_aborted_object_is_gone() -> None:
    store = small_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.pin(X, B, 2, LATER)
    assert store.abort(X, A) == [Missing(B, 2, X, "its writer did not finish it")]
    assert state_of(store, X) == GONE


def test_a_client_takes_its_pins_and_unsealed_objects_along() -> None:
    store = small_store()
    put(store, X)
    store.pin(X, B, 1, LATER)
    store.pin(X, B, 2, LATER)
    store.pin(X, C, 3, LATER)
    store.free(X)
    store.allocate(Y, MIB, B, 4, LATER)
    store.pin(Y, C, 5, LATER)
    store.pin(Y, B, 6, LATER)
    assert store.client_gone(B) == [Missing(C, 5, Y, "its writer did not finish it")]
    assert state_of(store, X) == "freed"
    assert store.client_gone(C) == []
    assert store.objects() == []
    assert store.client_gone(C) == []
    store.check()


def test_an_owner_takes_its_objects_along() -> None:
    store = small_store()
    for owner in (A, B):
        for number in range(2):
            put(store, owner + number.to_bytes(12, "big"), client=C)
    store.pin(A + bytes(12), C, 1, LATER)
    assert store.owner_gone(A) == []
    assert [(row.object_id[:16], row.state) for row in store.objects()] == [(A, "freed"), (B, "sealed"), (B, "sealed")]


def test_sealed_objects_outlive_their_writer() -> None:
    store = small_store()
    put(store, X)
    store.client_gone(A)
    assert state_of(store, X) == "sealed"


# --- spilling -----------------------------------------------------------------------------------------------------------


def full_store(**options: object) -> Residency:
    """Ten objects (numbers 10 to 19), the oldest first, and no room."""
    store = small_store(**options)
    for number in range(10, 20):
        put(store, object_id(number))
    return store


def test_the_least_recently_used_go_to_disk() -> None:
    store = full_store()
    store.pin(object_id(10), A, 1, LATER)
    store.unpin(object_id(10), A)
    store.pin(object_id(11), A, 2, LATER)
    effects = store.allocate(X, 2 * MIB, A, 3, LATER)
    assert [effect.object_id for effect in effects if isinstance(effect, Spill)] == [object_id(12), object_id(13)]
    assert store.spilled(object_id(13), True) == []
    (granted,) = store.spilled(object_id(12), True)
    assert granted == Allocated(A, 3, X, 1, 2 * MIB, 2 * MIB, 2 * MIB)
    assert (store.stats().spilled_objects, store.stats().spilled) == (2, 2 * MIB)
    store.check()


def test_a_spilled_object_comes_back() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.spilled(object_id(10), True)
    store.seal(X, A)
    (spill,) = store.pin(object_id(10), B, 2, LATER)
    assert isinstance(spill, Spill)
    assert spill.object_id == object_id(11)
    (restore,) = store.spilled(object_id(11), True)
    assert restore == Restore(object_id(10), 1, MIB, MIB)
    assert store.restored(object_id(10), True) == [Located(B, 2, object_id(10), 1, MIB, MIB)]
    store.check()


def test_the_copy_on_disk_makes_the_next_eviction_free() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.spilled(object_id(10), True)
    store.abort(X, A)
    store.pin(object_id(10), A, 2, LATER)
    store.restored(object_id(10), True)
    store.unpin(object_id(10), A)
    for number in range(11, 20):
        store.pin(object_id(number), A, number, LATER)
    assert store.allocate(X, MIB, A, 3, LATER) == [Allocated(A, 3, X, 1, 0, MIB, MIB)]
    assert state_of(store, object_id(10)) == "spilled"
    assert store.free(object_id(10)) == [DeleteSpilled(object_id(10))]
    assert store.stats().disk == 0


def test_an_object_pinned_on_its_way_out_stays_and_another_goes() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    located, spill = store.pin(object_id(10), B, 2, LATER)
    assert isinstance(located, Located)
    assert isinstance(spill, Spill)
    assert store.spilled(object_id(10), True) == []
    assert state_of(store, object_id(10)) == "sealed"
    assert only(store.spilled(spill.object_id, True), Allocated)


def test_an_object_freed_on_its_way_out_is_deleted_when_it_is_there() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    assert store.free(object_id(10)) == []
    assert store.stats().moving == MIB
    deleted, granted = store.spilled(object_id(10), True)
    assert deleted == DeleteSpilled(object_id(10))
    assert isinstance(granted, Allocated)


def test_an_object_freed_while_it_is_restored_goes_when_that_ends() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.spilled(object_id(10), True)
    store.abort(X, A)
    store.pin(object_id(10), B, 2, LATER)
    assert store.free(object_id(10)) == [Missing(B, 2, object_id(10), "it was freed")]
    assert store.restored(object_id(10), True) == [DeleteSpilled(object_id(10))]
    assert state_of(store, object_id(10)) == GONE


def test_a_copy_that_cannot_be_read_is_lost_but_may_be_tried_again() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.spilled(object_id(10), True)
    store.abort(X, A)
    store.pin(object_id(10), B, 2, LATER)
    assert store.restored(object_id(10), False, "bad sector") == [Lost(B, 2, object_id(10), "bad sector")]
    assert state_of(store, object_id(10)) == "spilled"
    assert only(store.pin(object_id(10), B, 3, LATER), Restore)
    store.check()


def test_a_reader_that_gives_up_ends_the_recall() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.spilled(object_id(10), True)
    store.pin(object_id(10), B, 2, LATER)
    assert state_of(store, object_id(10)) == "recalled"
    assert store.cancel(object_id(10), B, 2) == []
    assert state_of(store, object_id(10)) == "spilled"
    assert store.stats().waiting == 0


# --- pins ahead of their need -----------------------------------------------------------------------------------------------


def test_what_is_in_memory_may_be_pinned_ahead() -> None:
    store = small_store()
    put(store, X)
    (located,) = store.pin_ahead(X, B, 7)
    assert isinstance(located, Located)
    assert (located.client, located.request_id, located.object_id) == (B, 7, X)
    assert store.stats().pinned == MIB
    store.unpin(X, B)
    assert store.stats().pinned == 0


def test_a_pin_ahead_waits_for_nothing() -> None:
    store = full_store()
    assert only(store.pin_ahead(X, B, 1), Missing), "unknown"
    store.allocate(X, MIB, A, 2, LATER)
    assert only(store.pin_ahead(object_id(10), B, 3), Missing), "on its way to disk"
    store.spilled(object_id(10), True)
    assert only(store.pin_ahead(object_id(10), B, 4), Missing), "on disk"
    assert state_of(store, object_id(10)) == "spilled"
    assert only(store.pin_ahead(X, B, 5), Missing), "still written"
    store.pin(object_id(12), C, 6, LATER)
    store.free(object_id(12))
    assert only(store.pin_ahead(object_id(12), B, 7), Missing), "freed"


def test_no_more_than_half_of_the_store_is_pinned_ahead() -> None:
    store = full_store()
    for number in range(10, 15):
        assert only(store.pin_ahead(object_id(number), A, number), Located)
    assert only(store.pin_ahead(object_id(15), A, 1), Missing)
    assert only(store.pin_ahead(object_id(14), B, 2), Located), "that takes no more"
    store.unpin(object_id(10), A)
    assert only(store.pin_ahead(object_id(15), A, 3), Located)


def test_what_is_pinned_ahead_is_asked_back_when_somebody_needs_the_room() -> None:
    store = full_store()
    for number in range(10, 15):
        store.pin_ahead(object_id(number), A, number)
    assert not only(store.allocate(X, 5 * MIB, B, 1, LATER), AskBack), "five others can go to disk"
    effects = store.allocate(Y, 2 * MIB, B, 2, LATER)
    assert only(effects, AskBack) == [AskBack(A)]
    assert not only(effects, Spill)
    assert not store.allocate(Z, 2 * MIB, B, 3, LATER), "it has been asked"
    for number in range(10, 15):
        store.unpin(object_id(number), A)
    for number in range(10, 20):
        if state_of(store, object_id(number)) == "spilling":
            store.spilled(object_id(number), True)
    assert [state_of(store, oid) for oid in (X, Y, Z)] == ["allocated"] * 3


def test_nothing_is_pinned_ahead_while_somebody_waits_for_room() -> None:
    store = small_store()
    put(store, X)
    put(store, Y, 8 * MIB)
    store.pin(Y, A, 1, LATER)
    store.allocate(Z, 2 * MIB, A, 2, LATER)
    assert only(store.pin_ahead(X, B, 3), Missing)


def test_a_client_that_is_gone_is_asked_for_nothing() -> None:
    store = full_store()
    store.pin_ahead(object_id(10), A, 1)
    store.client_gone(A)
    store.pin(object_id(11), C, 2, LATER)
    assert not only(store.allocate(X, 10 * MIB, B, 3, LATER), AskBack)


# --- a full store ---------------------------------------------------------------------------------------------------------


def test_an_object_larger_than_the_store_is_refused_at_once() -> None:
    store = small_store()
    (full,) = store.allocate(X, 11 * MIB, A, 1, LATER)
    assert isinstance(full, Full)
    assert full.kind == TOO_LARGE
    assert "of 11.0 MiB in the object store of 10.0 MiB: it is larger than the whole store" in full.text
    (full,) = Residency(500).allocate(X, 3 << 30, A, 1, LATER)
    assert isinstance(full, Full)
    assert "of 3.0 GiB in the object store of 512 B" in full.text


def test_when_all_is_held_the_request_waits_until_its_deadline() -> None:
    store = small_store()
    put(store, X, 6 * MIB)
    store.pin(X, B, 1, LATER)
    store.allocate(Y, 2 * MIB, C, 2, LATER)
    assert store.next_deadline() is None
    assert store.allocate(Z, 5 * MIB, A, 3, 10.0) == []
    assert store.next_deadline() == 10.0
    assert store.tick(9.9) == []
    (full,) = store.tick(10.0)
    assert isinstance(full, Full)
    assert (full.kind, full.client, full.request_id, full.object_id) == (HELD, A, 3, Z)
    assert (full.pinned, full.unsealed, full.used) == (((B, 6 * MIB),), ((C, 2 * MIB),), 8 * MIB)
    assert f"in use by values that are still alive: {B.hex()[:12]}: 6.0 MiB" in full.text
    assert f"being written: {C.hex()[:12]}: 2.0 MiB" in full.text
    assert store.next_deadline() is None
    assert state_of(store, Z) == GONE


def test_a_reader_is_refused_at_its_own_deadline() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.spilled(object_id(10), True)
    for number in range(11, 20):
        store.pin(object_id(number), A, number, LATER)
    store.pin(object_id(10), B, 2, 5.0)
    store.pin(object_id(10), C, 3, 7.0)
    assert store.next_deadline() == 5.0
    (first,) = store.tick(5.0)
    assert isinstance(first, Full)
    assert (first.client, first.request_id) == (B, 2)
    assert state_of(store, object_id(10)) == "recalled"
    store.tick(7.0)
    assert state_of(store, object_id(10)) == "spilled"


def test_what_clients_let_go_is_given_to_those_who_wait() -> None:
    store = full_store()
    for number in range(10, 20):
        store.pin(object_id(number), A, number, LATER)
    assert store.allocate(X, MIB, B, 1, LATER) == []
    (spill,) = store.unpin(object_id(14), A)
    assert isinstance(spill, Spill)
    assert only(store.spilled(object_id(14), True), Allocated)


def test_a_covered_request_is_not_overtaken_and_has_no_deadline() -> None:
    store = full_store()
    assert len(only(store.allocate(X, 3 * MIB, A, 1, 1.0), Spill)) == 3
    assert len(only(store.allocate(Y, MIB, B, 2, 1.0), Spill)) == 1
    assert store.next_deadline() is None
    assert store.spilled(object_id(10), True) == [], "room for Y, but X has waited longer"
    assert store.spilled(object_id(11), True) == []
    assert [effect.object_id for effect in store.spilled(object_id(13), True) if isinstance(effect, Allocated)] == [X]
    assert [effect.object_id for effect in store.spilled(object_id(12), True) if isinstance(effect, Allocated)] == [Y]


def test_a_request_that_only_clients_can_help_may_be_overtaken() -> None:
    store = small_store()
    put(store, X, 8 * MIB)
    store.pin(X, A, 1, LATER)
    assert store.allocate(Y, 4 * MIB, A, 2, LATER) == []
    assert only(store.allocate(Z, MIB, B, 3, LATER), Allocated)


def test_nothing_is_spilled_that_would_not_be_enough() -> None:
    store = small_store()
    put(store, X, 6 * MIB)
    put(store, Y, 2 * MIB)
    store.pin(X, A, 1, LATER)
    assert store.allocate(Z, 8 * MIB, A, 2, LATER) == []


def test_a_failed_spill_tells_those_who_needed_the_room() -> None:
    store = full_store()
    (spill,) = store.allocate(X, MIB, A, 1, LATER)
    assert isinstance(spill, Spill)
    for number in (10, 11):
        (spill,) = store.spilled(object_id(number), False, "No space left on device")
        assert isinstance(spill, Spill)
        assert spill.object_id == object_id(number + 1), "another may be small enough"
    (full,) = store.spilled(object_id(12), False, "No space left on device")
    assert isinstance(full, Full)
    assert full.kind == NO_DISK
    assert "spilling to disk fails: No space left on device. Make room on the disk" in full.text
    assert all(row.state == "sealed" for row in store.objects()), "nothing is lost"
    (spill,) = store.allocate(Y, MIB, A, 2, LATER)
    assert isinstance(spill, Spill)
    assert spill.object_id == object_id(10), "the next request tries again"
    assert only(store.spilled(object_id(10), True), Allocated)
    store.check()


def test_a_full_disk_loses_the_copies_of_what_is_in_memory_first() -> None:
    store = full_store()
    store.allocate(X, MIB, A, 1, LATER)
    store.spilled(object_id(10), True)
    store.abort(X, A)
    store.pin(object_id(10), A, 2, LATER)
    store.restored(object_id(10), True)
    store.allocate(X, MIB, B, 3, LATER)
    deleted, again = store.spilled(object_id(11), False, "No space left on device")
    assert deleted == DeleteSpilled(object_id(10))
    assert isinstance(again, Spill)
    assert again.object_id == object_id(11)


def test_readers_are_told_too_that_the_disk_is_full() -> None:
    store = small_store()
    put(store, X, 9 * MIB)
    store.allocate(Y, 9 * MIB, A, 1, LATER)
    store.spilled(X, True)
    store.seal(Y, A)
    assert only(store.pin(X, B, 2, LATER), Spill)
    (full,) = store.spilled(Y, False, "No space left on device")
    assert isinstance(full, Full)
    assert (full.kind, full.client, full.request_id, full.object_id) == (NO_DISK, B, 2, X)
    assert state_of(store, X) == "spilled"


def test_without_a_disk_requests_wait_for_frees() -> None:
    store = full_store(can_spill=False)
    assert store.allocate(X, MIB, A, 1, 3.0) == []
    assert store.allocate(Y, MIB, A, 2, 4.0) == []
    assert only(store.free(object_id(15)), Allocated)
    (full,) = store.tick(4.0)
    assert isinstance(full, Full)
    assert "not open anywhere: 9.0 MiB (spilling is off)" in full.text


def test_a_request_for_a_freed_object_ends() -> None:
    store = full_store()
    for number in range(10, 20):
        store.pin(object_id(number), A, number, LATER)
    store.allocate(X, MIB, B, 1, LATER)
    store.pin(X, C, 2, LATER)
    full, missing = store.free(X)
    assert isinstance(full, Full)
    assert full.kind == FREED_BEFORE
    assert missing == Missing(C, 2, X, "it was freed")


def test_a_cancelled_request_makes_way() -> None:
    store = full_store()
    store.allocate(X, 3 * MIB, A, 1, LATER)
    store.allocate(Y, MIB, B, 2, LATER)
    store.spilled(object_id(10), True)
    (granted,) = store.cancel(X, A, 1)
    assert isinstance(granted, Allocated)
    assert granted.object_id == Y
    assert store.cancel(Y, B, 2) == [], "answered already"
    assert state_of(store, Y) == "allocated"
    assert store.cancel(Z, B, 2) == []


# --- arenas ---------------------------------------------------------------------------------------------------------------


def test_a_large_object_gets_an_arena_of_its_own_which_goes_with_it() -> None:
    store = Residency(1 << 30, arena_size=16 * MIB, warm_limit=8 * MIB)
    put(store, X)
    assert store.allocate(Y, 100 * MIB, A, 1, LATER)[0] == AddArena(2, 100 * MIB)
    store.seal(Y, A)
    assert store.free(Y) == [RemoveArena(2)]
    assert (store.stats().arenas, store.stats().arena_bytes) == (1, 16 * MIB)


def test_warm_pages_beyond_the_limit_are_punched_out() -> None:
    store = Residency(1 << 30, warm_limit=8 * MIB)
    for oid in (X, Y):
        put(store, oid, 6 * MIB)
    assert store.free(X) == []
    (hole,) = store.free(Y)
    assert isinstance(hole, PunchHole)
    assert store.stats().warm_free == 7 * MIB
    assert store.punched(hole.arena, hole.offset, hole.size) == []
    store.check()


def test_blocks_and_warm_pages_together_fit_the_capacity() -> None:
    store = small_store()
    put(store, X, 6 * MIB)
    put(store, Y, MIB)
    store.free(X)
    holes = only(store.allocate(Z, 9 * MIB, A, 1, LATER), PunchHole)
    assert holes
    assert store.stats().warm_free <= 0
    store.check()


def test_a_request_waits_for_a_hole_rather_than_take_another_arena() -> None:
    store = Residency(10 * MIB, arena_size=10 * MIB, warm_limit=2 * MIB)
    put(store, X, 10 * MIB)
    (hole,) = store.free(X)
    assert isinstance(hole, PunchHole)
    assert store.allocate(Y, 10 * MIB, A, 1, LATER) == []
    assert store.next_deadline() is None
    (granted,) = store.punched(hole.arena, hole.offset, hole.size)
    assert isinstance(granted, Allocated)
    assert granted.arena == 1
    assert 0 < granted.warm <= 2 * MIB


def test_stats_add_up() -> None:
    store = small_store()
    put(store, X, 2 * MIB)
    put(store, Y, 3 * MIB)
    store.pin(Y, B, 1, LATER)
    store.allocate(Z, MIB, A, 2, LATER)
    stats = store.stats()
    assert (stats.used, stats.idle, stats.pinned, stats.unsealed, stats.moving) == (6 * MIB, 2 * MIB, 3 * MIB, MIB, 0)
    assert (stats.objects, stats.waiting, stats.capacity) == (3, 0, 10 * MIB)


# --- random lives -----------------------------------------------------------------------------------------------------------

CLIENTS = [A, B, C]
UNIT = 200_000
CAPACITY = 10 * block_size(UNIT)

ACTIONS = {
    "put": 8,
    "allocate": 2,
    "end_writing": 2,
    "pin": 8,
    "pin_ahead": 3,
    "unpin": 5,
    "free": 3,
    "cancel": 1,
    "client_gone": 1,
    "spill_ends": 6,
    "restore_ends": 4,
    "punch_ends": 2,
    "time_passes": 2,
}
"""What may happen, and how often. Enough of each that objects get to disk and back."""

T = TypeVar("T")


class RandomLives(RuleBasedStateMachine):
    """Any clients, any sizes, transfers that end well or badly in any order. The machine keeps its own simple books."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Residency(CAPACITY, arena_size=CAPACITY // 2, warm_limit=CAPACITY // 3)
        self.now = 0.0
        self.last_id = 0
        self.last_request = 0
        self.known: list[bytes] = []
        self.allocating: dict[tuple[bytes, int], bytes] = {}
        self.locating: dict[tuple[bytes, int], bytes] = {}
        self.writing: dict[bytes, bytes] = {}
        self.blocks: dict[bytes, tuple[int, int, int]] = {}
        self.pins: list[tuple[bytes, bytes]] = []
        self.ahead: set[bytes] = set()
        """Clients that have pinned ahead since they were asked."""
        self.spilling: list[bytes] = []
        self.restoring: list[bytes] = []
        self.holes: list[PunchHole] = []
        self.on_disk: set[bytes] = set()
        self.arenas: dict[int, int] = {}

    # What a shell would do with the effects.

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case AddArena(arena, size):
                    assert arena not in self.arenas
                    self.arenas[arena] = size
                case RemoveArena(arena):
                    del self.arenas[arena]
                case PunchHole():
                    self.holes.append(effect)
                case Spill(oid):
                    assert oid not in self.spilling
                    self.spilling.append(oid)
                case Restore(oid, arena, offset, size):
                    assert oid in self.on_disk
                    self.blocks[oid] = (arena, offset, size)
                    self.restoring.append(oid)
                case DeleteSpilled(oid):
                    self.on_disk.remove(oid)
                case Allocated(client, request, oid, arena, offset, size, warm):
                    assert self.allocating.pop((client, request)) == oid
                    assert 0 <= warm <= size
                    self.writing[oid] = client
                    self.blocks[oid] = (arena, offset, size)
                case AlreadyStored(client, request, oid):
                    assert self.allocating.pop((client, request)) == oid
                case Located(client, request, oid, arena, offset, size):
                    assert self.locating.pop((client, request)) == oid
                    assert self.blocks[oid] == (arena, offset, size), "an object does not move while it is in memory"
                    self.pins.append((client, oid))
                case Missing(client, request, oid) | Lost(client, request, oid):
                    assert self.locating.pop((client, request)) == oid
                case AskBack(client):
                    self.ahead.remove(client)
                case Full(client, request, oid):
                    asked = self.allocating if (client, request) in self.allocating else self.locating
                    assert asked.pop((client, request)) == oid
                case _:
                    raise AssertionError(effect)
        self.forget_displaced()

    def forget_displaced(self) -> None:
        rows = {row.object_id: row for row in self.store.objects()}
        self.blocks = {oid: block for oid, block in self.blocks.items() if oid in rows and rows[oid].arena >= 0}
        self.known = [oid for oid in self.known if oid in rows]
        assert all(arena in self.arenas for arena, _, _ in self.blocks.values())

    # What clients, owners, the disk and the clock may do. All draws come first: the last may end the example.

    @rule(data=st.data(), action=st.sampled_from([action for action, weight in ACTIONS.items() for _ in range(weight)]))
    def act(self, data: st.DataObject, action: str) -> None:
        getattr(self, action)(data)

    def draw_from(self, data: st.DataObject, choices: Collection[T]) -> T | None:
        return data.draw(st.sampled_from(sorted(choices))) if choices else None  # type: ignore[type-var]

    def allocate(self, data: st.DataObject) -> bytes:
        client = data.draw(st.sampled_from(CLIENTS))
        size = data.draw(st.integers(0, 5)) * UNIT
        deadline = self.now + data.draw(st.integers(0, 9))
        self.last_id += 1
        self.last_request += 1
        oid = object_id(self.last_id)
        self.known.append(oid)
        self.allocating[client, self.last_request] = oid
        self.carry_out(self.store.allocate(oid, size, client, self.last_request, deadline))
        return oid

    def put(self, data: st.DataObject) -> None:
        oid = self.allocate(data)
        if oid in self.writing:
            self.carry_out(self.store.seal(oid, self.writing.pop(oid)))

    def end_writing(self, data: st.DataObject) -> None:
        oid = self.draw_from(data, self.writing)
        if oid is not None:
            end = self.store.seal if data.draw(st.booleans()) else self.store.abort
            self.carry_out(end(oid, self.writing.pop(oid)))

    def pin(self, data: st.DataObject) -> None:
        oid = self.draw_from(data, self.known)
        if oid is not None:
            client = data.draw(st.sampled_from(CLIENTS))
            deadline = self.now + data.draw(st.integers(0, 9))
            self.last_request += 1
            self.locating[client, self.last_request] = oid
            self.carry_out(self.store.pin(oid, client, self.last_request, deadline))

    def pin_ahead(self, data: st.DataObject) -> None:
        oid = self.draw_from(data, self.known)
        if oid is not None:
            client = data.draw(st.sampled_from(CLIENTS))
            self.last_request += 1
            self.locating[client, self.last_request] = oid
            effects = self.store.pin_ahead(oid, client, self.last_request)
            assert len(effects) == 1
            self.carry_out(effects)
            assert (client, self.last_request) not in self.locating, "it is answered at once"
            if isinstance(effects[0], Located):
                self.ahead.add(client)

    def unpin(self, data: st.DataObject) -> None:
        pin = self.draw_from(data, self.pins)
        if pin is not None:
            self.pins.remove(pin)
            client, oid = pin
            self.carry_out(self.store.unpin(oid, client))

    def free(self, data: st.DataObject) -> None:
        oid = self.draw_from(data, self.known)
        if oid is not None:
            self.carry_out(self.store.free(oid))

    def cancel(self, data: st.DataObject) -> None:
        waiting = {**self.allocating, **self.locating}
        key = self.draw_from(data, waiting)
        if key is not None:
            self.allocating.pop(key, None)
            self.locating.pop(key, None)
            self.carry_out(self.store.cancel(waiting[key], *key))

    def client_gone(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(CLIENTS))
        for asked in (self.allocating, self.locating):
            for key in [key for key in asked if key[0] == client]:
                del asked[key]
        self.writing = {oid: writer for oid, writer in self.writing.items() if writer != client}
        self.pins = [pin for pin in self.pins if pin[0] != client]
        self.ahead.discard(client)
        self.carry_out(self.store.client_gone(client))

    def spill_ends(self, data: st.DataObject) -> None:
        oid = self.draw_from(data, self.spilling)
        if oid is not None:
            ok = data.draw(st.sampled_from([True, True, False]))
            self.spilling.remove(oid)
            assert oid in self.blocks, "its block was taken away while it was read"
            if ok:
                self.on_disk.add(oid)
            self.carry_out(self.store.spilled(oid, ok, "" if ok else "disk full"))

    def restore_ends(self, data: st.DataObject) -> None:
        oid = self.draw_from(data, self.restoring)
        if oid is not None:
            ok = data.draw(st.sampled_from([True, True, False]))
            self.restoring.remove(oid)
            assert oid in self.blocks, "its block was taken away while it was filled"
            self.carry_out(self.store.restored(oid, ok, "" if ok else "unreadable"))

    def punch_ends(self, data: st.DataObject) -> None:
        if self.holes:
            hole = self.holes.pop(data.draw(st.integers(0, len(self.holes) - 1)))
            self.carry_out(self.store.punched(hole.arena, hole.offset, hole.size))

    def time_passes(self, data: st.DataObject) -> None:
        self.now += data.draw(st.integers(1, 3))
        self.carry_out(self.store.tick(self.now))
        deadline = self.store.next_deadline()
        assert deadline is None or deadline > self.now

    # What must always hold.

    @invariant()
    def the_books_are_right(self) -> None:
        self.store.check()
        stats = self.store.stats()
        assert stats.used == sum(block_size(size) for _, _, size in self.blocks.values()) <= CAPACITY
        assert stats.waiting_bytes == 0 or self.allocating or self.locating
        assert stats.arena_bytes == sum(self.arenas.values())

    @invariant()
    def no_two_blocks_overlap(self) -> None:
        taken = [(arena, offset, offset + block_size(size)) for arena, offset, size in self.blocks.values()]
        taken += [
            (hole.arena, hole.offset, hole.offset + hole.size) for hole in self.holes if hole.arena in self.arenas
        ]
        taken.sort()
        for (arena, _, end), (next_arena, start, _) in pairwise(taken):
            assert arena != next_arena or end <= start
        assert all(end <= self.arenas[arena] for arena, _, end in taken)

    @invariant()
    def a_request_waits_for_something(self) -> None:
        if self.allocating or self.locating:
            moving = self.spilling or self.restoring or self.holes
            assert moving or self.writing or self.store.next_deadline() is not None

    def open_ends(self) -> list[Collection[object]]:
        asked = [self.allocating, self.locating]
        return [*asked, self.writing, self.pins, self.spilling, self.restoring, self.holes]

    def teardown(self) -> None:
        """When all lets go, every request has ended and not a byte is left."""
        for _ in range(100):
            if not any(self.open_ends()):
                break
            for oid in list(self.writing):
                self.carry_out(self.store.seal(oid, self.writing.pop(oid)))
            while self.spilling:
                oid = self.spilling.pop()
                self.on_disk.add(oid)
                self.carry_out(self.store.spilled(oid, True))
            while self.restoring:
                self.carry_out(self.store.restored(self.restoring.pop(), True))
            while self.holes:
                hole = self.holes.pop()
                self.carry_out(self.store.punched(hole.arena, hole.offset, hole.size))
            while self.pins:
                client, oid = self.pins.pop()
                self.carry_out(self.store.unpin(oid, client))
            if self.store.next_deadline() is not None:
                self.carry_out(self.store.tick(math.inf))
        assert not any(self.open_ends()), f"these never end: {self.open_ends()}"
        for oid in list(self.known):
            self.carry_out(self.store.free(oid))
        stats = self.store.stats()
        assert (stats.used, stats.objects, stats.disk, self.on_disk) == (0, 0, 0, set())
        assert (stats.unsealed, stats.pinned, stats.idle, stats.moving) == (0, 0, 0, 0)
        self.store.check()


RandomLives.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
test_random_lives = RandomLives.TestCase
