"""What an exchange expects of its input."""

from __future__ import annotations

from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.input_estimate import InputEstimate


def shown(enough: int, blocks: list[tuple[int, float | None]]) -> InputEstimate:
    estimate = InputEstimate(enough)
    for size, progress in blocks:
        estimate.add(Bundle(None, 1, size, None, progress))
    return estimate


def test_a_part_of_the_sources_that_came_whole_tells_the_total() -> None:
    estimate = shown(15, [(10, 0.25), (10, 0.25), (10, 0.5)])
    assert estimate.total == 80
    assert estimate.blocks == 2


def test_it_waits_until_there_is_enough() -> None:
    assert shown(100, [(10, 0.25), (10, 0.25), (10, 0.5)]).total is None


def test_a_part_that_may_go_on_tells_nothing() -> None:
    assert shown(15, [(10, 0.25), (10, 0.25)]).total is None


def test_once_made_it_does_not_change() -> None:
    estimate = shown(15, [(20, 0.5), (10, 0.75), (1000, 1.0)])
    estimate.ended()
    assert estimate.total == 40


def test_an_input_that_ended_is_known() -> None:
    estimate = shown(1000, [(10, 0.5), (20, 1.0)])
    estimate.ended()
    assert estimate.total == 30


def test_where_nobody_can_tell_how_far_it_is_there_is_no_estimate() -> None:
    estimate = shown(5, [(10, 0.5), (10, None), (10, 1.0)])
    estimate.ended()
    assert estimate.total is None
