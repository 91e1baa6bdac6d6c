"""A whole run on a virtual network: ranks that report, die, hang on to old news and come back, in an order that a seed chooses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from shoal.train._internal.logic.controller import (
    Commit,
    Controller,
    Effect,
    End,
    MeasureCapacity,
    StartGroup,
    StopGroup,
)


@dataclass
class Rank:
    """A loop: makes reports from the last checkpoint on, then ends."""

    attempt: int
    rank: int
    step: int
    steps: int
    every: int
    """Steps from one checkpoint to the next."""
    skips: bool
    """Leaves out its last report: the ranks do not match."""

    def next_message(self) -> tuple[str, int, int, Any]:
        last = self.steps - (1 if self.skips else 0)
        if self.step >= last:
            return ("finish", self.attempt, self.rank, self.step)
        self.step += 1
        return ("report", self.attempt, self.rank, self.step)


@dataclass
class World:
    """Carries out effects as the real shell does, and checks what must always hold."""

    seed: int
    story: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        chance = self.random
        self.fewest = chance.randint(1, 3)
        self.most = self.fewest + chance.choice([0, 0, 1, 3])
        self.max_failures = chance.choice([-1, 0, 1, 3])
        self.steps = chance.randint(0, 8)
        self.every = chance.randint(1, 4)
        self.mismatched = chance.random() < 0.1
        self.failure_rate = chance.choice([0.0, 0.02, 0.1])
        self.controller = Controller(self.fewest, self.most, self.max_failures)
        self.ranks: list[Rank] = []
        self.network: list[tuple[str, int, int, Any]] = []
        """Messages on their way; those of one rank stay in order."""
        self.committed: list[int] = []
        """Step of each checkpoint."""
        self.made: dict[tuple[int, int], set[int]] = {}
        """(attempt, report) -> ranks that have made it, as far as the controller was told."""
        self.told_failures = 0
        self.groups = 0
        self.end: End | None = None

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.story.append(str(effect))
            assert self.end is None, "an effect after the end"
            if isinstance(effect, MeasureCapacity):
                self.network.append(("capacity", 0, -1, self.random.randint(0, 7)))
            elif isinstance(effect, StartGroup):
                self.start(effect)
            elif isinstance(effect, StopGroup):
                # The workers die; what they sent before may still arrive.
                self.ranks = []
            elif isinstance(effect, Commit):
                self.commit(effect)
            else:
                self.end = effect

    def start(self, effect: StartGroup) -> None:
        assert not self.ranks, "a group while another runs"
        assert self.fewest <= effect.workers <= self.most
        assert effect.attempt == self.controller.attempt
        if effect.workers > self.fewest and self.random.random() < 0.2:
            self.network.append(("no_room", effect.attempt, -1, None))
            return
        self.groups += 1
        begin = self.committed[-1] if self.committed else 0
        self.ranks = [
            Rank(effect.attempt, rank, begin, self.steps, self.every, self.mismatched and rank == effect.workers - 1)
            for rank in range(effect.workers)
        ]
        self.network.append(("started", effect.attempt, -1, None))

    def commit(self, effect: Commit) -> None:
        assert effect.number == len(self.committed), "checkpoints are numbered without a gap"
        assert effect.metrics[0]["step"] == effect.positions[-1]["step"], "a checkpoint of one step"
        whole = self.made[self.told, effect.report]
        assert whole == set(range(len(effect.metrics))), "a checkpoint that is not whole"
        step = effect.metrics[0]["step"]
        assert step > (self.committed[-1] if self.committed else 0), "committed twice"
        self.committed.append(step)

    def step(self) -> None:
        """One thing happens: a rank goes on or dies, or a message arrives."""
        chance = self.random
        movable = [rank for rank in self.ranks if rank.step <= self.steps]
        if movable and (not self.network or chance.random() < 0.5):
            rank = chance.choice(movable)
            if chance.random() < self.failure_rate:
                self.network.append(("fail", rank.attempt, rank.rank, None))
                rank.step = self.steps + 1
                return
            message = rank.next_message()
            if message[0] == "finish":
                rank.step = self.steps + 1
            self.network.append(message)
            return
        senders = {(message[1], message[2]) for message in self.network}
        sender = chance.choice(sorted(senders))
        message = next(message for message in self.network if (message[1], message[2]) == sender)
        self.network.remove(message)
        self.deliver(*message)

    def deliver(self, kind: str, attempt: int, rank: int, value: Any) -> None:
        self.story.append(f"{kind} attempt={attempt} rank={rank} {value}")
        controller = self.controller
        current = attempt == controller.attempt and not controller.is_over
        self.told = attempt
        if kind == "capacity":
            self.carry_out(controller.capacity(value))
        elif kind == "started":
            self.carry_out(controller.group_started(attempt))
            if self.random.random() < 0.5:
                self.network.append(("room", attempt, -1, self.random.randint(0, 7)))
        elif kind == "no_room":
            self.carry_out(controller.no_room(attempt))
        elif kind == "room":
            self.carry_out(controller.room(attempt, value))
        elif kind == "finish":
            self.carry_out(controller.rank_finished(attempt, rank, value))
        elif kind == "fail":
            self.told_failures += current
            self.carry_out(controller.failed(attempt, {rank: RuntimeError()}))
        else:
            if current:
                self.made.setdefault((attempt, controller.reports[rank]), set()).add(rank)
            has_checkpoint = value % self.every == 0 and rank == 0
            self.carry_out(controller.reported(attempt, rank, {"step": value}, has_checkpoint, {"step": value}))

    def run(self) -> None:
        self.carry_out(self.controller.begin())
        for _ in range(100_000):
            if self.end is not None:
                break
            assert self.network or self.ranks, "nothing will ever happen again"
            self.step()
        while self.network:
            self.deliver(*self.network.pop(0))
        self.check_end()

    def check_end(self) -> None:
        assert self.end is not None, "no end"
        controller = self.controller
        assert controller.is_over
        if self.max_failures >= 0:
            assert controller.restarts <= self.max_failures
        ended_by_failure = bool(self.end.failures)
        assert controller.restarts == self.told_failures - ended_by_failure, "restarts counted wrong"
        assert self.groups == 1 + controller.restarts + controller.resizes
        lacks_a_report = self.mismatched and controller.workers > 1 and self.steps > 0 and self.steps % self.every == 0
        if not ended_by_failure:
            assert bool(self.end.mismatch) == lacks_a_report, "a checkpoint that a rank did not report"
        if self.end.mismatch:
            assert self.mismatched
        elif not ended_by_failure:
            expected = self.steps - self.steps % self.every
            if not self.mismatched and expected:
                assert self.committed[-1] == expected
        assert self.committed == sorted(set(self.committed))


@pytest.mark.parametrize("block", range(10))
def test_runs_of_any_luck(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        world = World(seed)
        try:
            world.run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}\n" + "\n".join(world.story[-60:])) from error
