"""Looks after ranks that are silent for too long: warns of them with their stacks, and gives them up where it may."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shoal.train._internal.logic.progress import ProgressWatch, to_blame
from shoal.train._internal.process.environment import seconds
from shoal.train.exceptions import WorkerHungError

STACK_SECONDS = 5.0
"""For a rank to tell where its loop is."""

_MUTE = "it does not answer: its process is stopped, or native code holds the interpreter"


@dataclass(frozen=True)
class SilenceLimits:
    """How long ranks may be silent, in seconds.

    Args:
        warn: before it is looked whether one keeps the others waiting; None for never.
        fail: before one is given up; None for never.
        answer: for one that keeps the others waiting to answer at all.
    """

    warn: float | None
    fail: float | None
    answer: float | None

    @staticmethod
    def of_environment() -> SilenceLimits:
        """Returns what the environment says."""
        return SilenceLimits(
            seconds("COLLECTIVE_WARN_INTERVAL_S", 60.0),
            seconds("PROGRESS_TIMEOUT_S", None),
            seconds("WORKER_HEALTH_CHECK_TIMEOUT_S", 600.0),
        )


class SilenceWatcher:
    """Of one attempt.

    Args:
        actors: by rank.
        limits: of silence.
        fail: is told what ranks failed with; that ends the attempt.
    """

    def __init__(
        self, actors: Sequence[Any], limits: SilenceLimits, fail: Callable[[dict[int, BaseException]], None]
    ) -> None:
        self._actors = list(actors)
        self._limits = limits
        self._fail = fail
        self._watch = ProgressWatch(len(actors), time.monotonic(), limits.warn, limits.fail)

    def heard(self, rank: int) -> None:
        """A rank reported."""
        self._watch.heard(rank, time.monotonic())

    def ended(self, rank: int) -> None:
        """A rank's loop is over."""
        self._watch.ended(rank)

    async def run(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Waits from one deadline of a rank to the next; returns when there is none any more.

        Args:
            spawn: runs something beside.
        """
        while (deadline := self._watch.deadline()) is not None:
            await asyncio.sleep(max(0.0, deadline - time.monotonic()) + 0.001)
            now = time.monotonic()
            if (lost := self._watch.lost(now)) and await self._give_up(lost):
                return
            if silent := self._watch.silent(now):
                # Beside, since a rank that does not answer is waited for.
                spawn(self._look_after(silent))

    async def _look_after(self, silent: list[int]) -> None:
        """Warns where a rank keeps others waiting; ends the attempt where one does not answer."""
        ranks = range(len(self._actors))
        stacks, unanswered = await self._stacks(ranks)
        blamed = to_blame(silent, stacks)
        if not blamed:
            return
        silence = max(self._watch.silence(rank, time.monotonic()) for rank in blamed)
        told = "\n".join(f"--- rank {rank}\n{stacks.get(rank, 'does not answer')}" for rank in ranks)
        sys.stderr.write(
            f"shoal: rank {', '.join(map(str, blamed))} has reported nothing for {silence:.1f} s, and others wait. "
            f"SHOAL_TRAIN_PROGRESS_TIMEOUT_S=<seconds> starts the workers again after such a silence.\n{told}\n"
        )
        pending = {rank: task for rank, task in unanswered.items() if rank in blamed}
        if not pending:
            return
        _, mute = await asyncio.wait(pending.values(), timeout=self._limits.answer)
        failures: dict[int, BaseException] = {
            rank: WorkerHungError(
                f"rank {rank} for {self._limits.answer:g} s (SHOAL_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S): {_MUTE}"
            )
            for rank, task in pending.items()
            if task in mute
        }
        if failures:
            self._fail(failures)

    async def _give_up(self, lost: list[int]) -> bool:
        """Ends the attempt where lost ranks are to blame."""
        stacks, _ = await self._stacks(lost)
        now = time.monotonic()
        blamed = self._watch.given_up(lost, stacks, now)
        if not blamed:
            return False
        self._fail(
            {
                rank: WorkerHungError(
                    f"rank {rank} has reported nothing for {self._watch.silence(rank, now):.1f} s "
                    f"(SHOAL_TRAIN_PROGRESS_TIMEOUT_S). Its loop was here:\n{stacks.get(rank, _MUTE)}"
                )
                for rank in blamed
            }
        )
        return True

    async def _stacks(self, ranks: Iterable[int]) -> tuple[dict[int, str], dict[int, asyncio.Task[str]]]:
        """Returns where loops are, by rank, and the questions that were not answered in time."""
        asked = {rank: asyncio.create_task(_answer(self._actors[rank].stack.remote())) for rank in ranks}
        await asyncio.wait(asked.values(), timeout=STACK_SECONDS)
        answered = {rank: task for rank, task in asked.items() if task.done()}
        stacks = {rank: task.result() for rank, task in answered.items() if task.exception() is None}
        return stacks, {rank: task for rank, task in asked.items() if rank not in answered}


async def _answer(ref: Any) -> str:
    found: str = await ref
    return found
