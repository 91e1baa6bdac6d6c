"""What leaves a worker together, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from shoal._core.process import result_outbox
from shoal._core.process.result_outbox import ResultOutbox
from shoal._core.schema.messages import INLINE, ObjectValue, StreamItem, TaskResult, TasksDone


class Owner:
    def __init__(self) -> None:
        self.heard: list[list[Any]] = []
        """What came in each frame."""

    def send_all(self, messages: list[Any]) -> bool:
        self.heard.append(list(messages))
        return True


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(result_outbox.time, "monotonic", lambda: now[0])
    return now


def result(name: bytes) -> TaskResult:
    return TaskResult(name, INLINE, b"")


def item(name: bytes, index: int) -> StreamItem:
    return StreamItem(name, index, ObjectValue(b"", INLINE))


def test_the_first_leaves_at_once_and_those_that_follow_together() -> None:
    outbox, owner = ResultOutbox(), Owner()
    results = [item(b"a", 0), item(b"a", 1), result(b"a"), result(b"b"), item(b"c", 0), result(b"c")]
    for one in results:
        outbox.add(owner, one, True)  # type: ignore[arg-type]
    assert owner.heard == [[results[0]]]
    outbox.flush()
    (frame,) = owner.heard[1:]
    assert frame == [
        results[1],
        TasksDone([results[2], results[3]]),
        results[4],
        TasksDone([results[5]]),
    ]
    assert outbox.empty


def test_what_may_not_wait_takes_along_what_waits() -> None:
    outbox, owner = ResultOutbox(), Owner()
    outbox.add(owner, item(b"a", 0), True)  # type: ignore[arg-type]
    outbox.add(owner, item(b"a", 1), True)  # type: ignore[arg-type]
    outbox.add(owner, item(b"a", 2), False)  # type: ignore[arg-type]
    assert [one.index for one in owner.heard[1]] == [1, 2]


def test_nothing_is_kept_long_after_the_last_frame(clock: list[float]) -> None:
    outbox, owner = ResultOutbox(), Owner()
    outbox.add(owner, result(b"a"), True)  # type: ignore[arg-type]
    clock[0] += result_outbox.FLUSH_SECONDS
    outbox.add(owner, result(b"b"), True)  # type: ignore[arg-type]
    assert len(owner.heard) == 2


def test_each_owner_gets_its_own() -> None:
    outbox, one, other = ResultOutbox(), Owner(), Owner()
    outbox.add(one, result(b"a"), True)  # type: ignore[arg-type]
    outbox.add(one, result(b"b"), True)  # type: ignore[arg-type]
    outbox.add(other, item(b"c", 0), True)  # type: ignore[arg-type]
    outbox.flush()
    assert one.heard == [[TasksDone([result(b"a")])], [TasksDone([result(b"b")])]]
    assert other.heard == [[item(b"c", 0)]]
