"""Calls of one actor that wait to be sent."""

from __future__ import annotations

from shoal._core.logic.call_queue import CallQueue
from shoal._core.logic.tasks import Task
from shoal._core.schema.messages import TaskCall


def call(name: str, caller: str = "driver", waiting_for: int = 0) -> Task:
    made = Task(TaskCall(name.encode(), b"", b"", parent_task_id=caller.encode()), None, name, 0)
    made.waiting_for = waiting_for
    return made


def queue(*calls: Task) -> CallQueue:
    made = CallQueue()
    for item in calls:
        made.append(item)
    return made


def names(calls: list[Task]) -> list[str]:
    return [item.name for item in calls]


def test_calls_of_one_caller_keep_their_order() -> None:
    blocked = call("b", waiting_for=1)
    waiting = queue(call("a"), blocked, call("c"))
    assert names(waiting.take_ready(in_order=True)) == ["a"]
    assert len(waiting) == 2
    blocked.waiting_for = 0
    assert names(waiting.take_ready(in_order=True)) == ["b", "c"]
    assert len(waiting) == 0


def test_a_call_that_waits_holds_up_nobody_else() -> None:
    waiting = queue(call("a", "one", waiting_for=1), call("b", "two"), call("c", "one"))
    assert names(waiting.take_ready(in_order=True)) == ["b"]
    assert names(list(waiting)) == ["a", "c"]


def test_without_order_nothing_holds_up_anything() -> None:
    waiting = queue(call("a", waiting_for=1), call("b"), call("c"))
    assert names(waiting.take_ready(in_order=False)) == ["b", "c"]
    assert names(list(waiting)) == ["a"]


def test_calls_that_come_back_go_first() -> None:
    waiting = queue(call("c"))
    waiting.put_back([call("a"), call("b")])
    assert names(waiting.take_ready(in_order=True)) == ["a", "b", "c"]


def test_taking_out() -> None:
    first, second = call("a"), call("b")
    waiting = queue(first, second)
    assert waiting.remove(first)
    assert not waiting.remove(first)
    assert len(waiting) == 1
    assert waiting.take_all() == [second]
    assert len(waiting) == 0
    assert waiting.take_all() == []
