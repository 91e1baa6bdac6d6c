"""Tells a user's callback of whole reports: when all ranks have made one, and its checkpoint, if it has one, is whole."""

from __future__ import annotations

from typing import Any

from shoal.train.checkpoint import Checkpoint
from shoal.train.result import Result
from shoal.train.user_callback import RunContext, UserCallback


class CallbackObserver:
    """A RunObserver for one callback.

    Args:
        callback: of the user.
        context: what it is told of the run.
    """

    def __init__(self, callback: UserCallback, context: RunContext) -> None:
        self._callback = callback
        self._context = context
        self._size = 0
        self._counts: list[int] = []
        self._open: dict[int, dict[int, dict[str, Any]]] = {}
        """Reports that some ranks have made, by rank."""
        self._with_checkpoint: set[int] = set()

    def started(self, attempt: int, world_size: int) -> None:
        self._size = world_size
        self._counts = [0] * world_size
        self._open.clear()
        self._with_checkpoint.clear()

    def reported(self, rank: int, metrics: dict[str, Any], has_checkpoint: bool) -> None:
        number = self._counts[rank]
        self._counts[rank] += 1
        report = self._open.setdefault(number, {})
        report[rank] = metrics
        if has_checkpoint:
            self._with_checkpoint.add(number)
        if len(report) < self._size:
            return
        del self._open[number]
        if number in self._with_checkpoint:
            self._with_checkpoint.remove(number)  # `committed` tells of it.
        else:
            self._callback.after_report(self._context, [report[one] for one in range(self._size)], None)

    def committed(self, number: int, checkpoint: Checkpoint, metrics_by_rank: list[dict[str, Any]]) -> None:
        self._callback.after_report(self._context, metrics_by_rank, checkpoint)

    def failed(self, attempt: int, failures: dict[int, BaseException], restarting: bool) -> None:
        self._callback.after_exception(self._context, failures)

    def ended(self, result: Result) -> None:
        return
