"""What has failed is tried again after longer and longer pauses, and not for ever."""

from __future__ import annotations

from itertools import pairwise

from shoal.serve._internal.logic.retries import FIRST_PAUSE_S, LONGEST_PAUSE_S, MOST_TRIES, Retries


def pauses(retries: Retries) -> list[float]:
    return [pause for pause in (retries.next_pause_s() for _ in range(MOST_TRIES + 2)) if pause is not None]


def test_pauses_grow_and_end() -> None:
    retries = Retries()
    found = pauses(retries)
    assert len(found) == MOST_TRIES
    assert (found[0], found[-1]) == (FIRST_PAUSE_S, LONGEST_PAUSE_S)
    assert all(before <= after for before, after in pairwise(found))
    assert retries.next_pause_s() is None
    retries.worked()
    assert pauses(retries) == found
