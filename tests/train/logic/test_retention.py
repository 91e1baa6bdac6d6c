"""Which checkpoints are kept."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from shoal.train import CheckpointConfig
from shoal.train._internal.logic.retention import Kept, to_delete


def gone(scores: list[float | None], config: CheckpointConfig) -> list[int]:
    kept = [Kept(number, {} if score is None else {"acc": score}) for number, score in enumerate(scores)]
    return sorted(one.number for one in to_delete(kept, config))


def test_all_are_kept_unless_asked_for() -> None:
    assert gone([1.0, 2.0, 3.0], CheckpointConfig()) == []


def test_the_latest_are_kept() -> None:
    assert gone([3.0, 2.0, 1.0], CheckpointConfig(num_to_keep=2)) == [0]


def test_the_best_are_kept_and_the_latest_besides() -> None:
    best = CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="acc")
    assert gone([0.9, 0.5, 0.7], best) == [1]
    least = CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="acc", checkpoint_score_order="min")
    assert gone([0.9, 0.5, 0.7], least) == [0]


def test_without_the_metric_or_with_nan_is_worst() -> None:
    best = CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="acc")
    assert gone([None, 0.1, math.nan, 0.0], best) == [0, 2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.integers(1, 4))
def test_never_the_latest(scores: list[float], keep: int) -> None:
    config = CheckpointConfig(num_to_keep=keep, checkpoint_score_attribute="acc")
    found = gone(list(scores), config)
    assert len(scores) - 1 not in found
    assert keep <= len(scores) - len(found) <= keep + 1 or len(scores) <= keep
