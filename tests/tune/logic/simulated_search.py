"""A search on a virtual clock: trials are generators, executors are entries of a calendar. The same search gives the same trace."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shoal.train import Checkpoint, CheckpointConfig
from shoal.tune._internal.logic import effects as act
from shoal.tune._internal.logic.frames import Frame, Report
from shoal.tune._internal.logic.search_plan import SearchPlan
from shoal.tune._internal.logic.search_state import SearchState
from shoal.tune._internal.logic.slots import Slots
from shoal.tune._internal.logic.suggestions import Suggestions
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler
from shoal.tune.search.basic_variant import BasicVariantGenerator
from shoal.tune.search.searcher import Searcher

Step = tuple[float, dict[str, Any], bool]
"""How long it takes, what is reported, and whether with a checkpoint."""
Trainable = Callable[[dict[str, Any], int], Iterator[Step]]
"""Of a configuration and the iteration to begin from. What it raises is the trial's failure; Crash is its process's."""


class Crash(Exception):
    """The process dies."""


class Hang(Exception):
    """The trial says nothing any more; its process says where it is, unless `where` is empty."""

    def __init__(self, where: str = "") -> None:
        super().__init__(where)
        self.where = where


class SimulatedSearch:
    """Runs one."""

    def __init__(
        self,
        trainable: Trainable,
        space: Mapping[str, Any],
        *,
        samples: int = 1,
        scheduler: TrialScheduler | None = None,
        searcher: Searcher | None = None,
        cpus: float = 2,
        limit: int | None = None,
        resources: Callable[[dict[str, Any]], Any] = lambda config: ({"CPU": 1.0},),
        seed: int = 0,
        start_seconds: Callable[[random.Random], float] = lambda chance: 0.01,
        latency: float = 0.0,
        **plan: Any,
    ) -> None:
        self.trainable = trainable
        self.now = 0.0
        self.trace: list[str] = []
        self.story: list[str] = []
        self.chance = random.Random(seed)
        self.start_seconds = start_seconds
        self.latency = latency
        """Seconds that a word takes from the search to a process, and from there to the search."""
        counts = searcher is None
        searcher = searcher or BasicVariantGenerator(random_state=seed)
        searcher.set_search_properties(None, None, dict(space), num_samples=samples, seed=seed)
        scheduler = scheduler or FIFOScheduler()
        slots = Slots({"CPU": cpus}, limit)
        self.deleted: list[str] = []
        self.executors_started = 0

        def place(trial: Trial) -> None:
            trial.path = trial.local_path = f"/search/{trial.number}"

        self.state = SearchState(
            SearchPlan(
                search="search",
                experiment="search",
                trainable="trainable",
                space=dict(space),
                resources=resources,
                place=place,
                checkpoint_at=lambda trial, number: Checkpoint.from_directory(f"{trial.path}/checkpoint_{number:06d}"),
                date=lambda timestamp: "",
                checkpoints=plan.pop("checkpoints", CheckpointConfig()),
                **plan,
            ),
            Suggestions(searcher, None if counts else samples, limit or slots.capacity(({"CPU": 1.0},))),
            scheduler,
            slots,
        )
        self._calendar: list[tuple[float, int, Callable[[], list[act.Effect]]]] = []
        self._order = 0
        self._runs: dict[int, Iterator[Step]] = {}
        self._numbers: dict[int, int] = {}
        self._hangs: dict[int, tuple[float, str]] = {}
        self._began: dict[int, float] = {}
        self._alive: set[int] = set()
        self._held: dict[int, tuple[act.HoldTrial, float]] = {}
        """What processes hold, and since when."""
        self._ended: dict[int, float] = {}
        """When the trial of a process ends well with what it says next."""
        self.begun_ahead = 0

    def run(self, until: float = 1e6) -> SimulatedSearch:
        """Runs it to its end."""
        self._carry_out(self.state.begin(self.now))
        while not self.state.is_over and self.now < until:
            deadline = self.state.next_deadline
            if deadline is not None and (not self._calendar or deadline <= self._calendar[0][0]):
                self.now = deadline
                self._carry_out(self.state.tick(self.now))
                continue
            assert self._calendar, f"nothing will happen any more:\n{self.text()}"
            self.now, _, event = heapq.heappop(self._calendar)
            self._carry_out(event())
        return self

    def text(self) -> str:
        return "\n".join(self.trace)

    def _later(self, seconds: float, executor: int, event: Callable[[], list[act.Effect]]) -> None:
        def unless_gone() -> list[act.Effect]:
            return event() if executor in self._alive else []

        self._order += 1
        heapq.heappush(self._calendar, (self.now + seconds, self._order, unless_gone))

    def _carry_out(self, effects: list[act.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, act.StartExecutor):
                self.executors_started += 1
                self._alive.add(effect.executor)
                number = effect.executor
                self._later(
                    self.start_seconds(self.chance), number, lambda n=number: self.state.executor_ready(n, self.now)
                )
            elif isinstance(effect, act.EndExecutor):
                self._alive.discard(effect.executor)
                self._runs.pop(effect.executor, None)
                self._held.pop(effect.executor, None)
            elif isinstance(effect, act.RunTrial):
                assert effect.executor not in self._held
                self._begin(effect.executor, effect.assigned, self.now + self.latency)
            elif isinstance(effect, act.HoldTrial):
                assert effect.executor not in self._held
                self._held[effect.executor] = effect, self.now + self.latency
            elif isinstance(effect, act.AwaitHeld):
                held, since = self._held.pop(effect.executor)
                self.begun_ahead += 1
                self._begin(effect.executor, held.assigned, max(since, self._ended.pop(effect.executor)))
            elif isinstance(effect, act.TakeBack):
                self._take_back(effect)
            elif isinstance(effect, act.GoOn):
                self._step(effect.executor, self.now + self.latency)
            elif isinstance(effect, act.EndTrial):
                number = effect.executor
                saved = None
                if effect.save and self.state.plan.saves_itself:
                    saved, self._numbers[number] = self._numbers[number], self._numbers[number] + 1
                self._say(number, self.now + self.latency + 0.001, Frame([], True, saved))
            elif isinstance(effect, act.AskWhere):
                number = effect.executor
                since, where = self._hangs.get(number, (self._began[number], "at work"))
                self.trace.append(f"{self.now:.3f} ask {number}")
                if where:
                    silent = self.now - since
                    self._later(
                        0.01, number, lambda n=number, s=silent, w=where: self.state.told_where(n, s, w, self.now)
                    )
            elif isinstance(effect, act.WarnOfSilence):
                self.trace.append(f"{self.now:.3f} warn of {effect.trial.number} after {effect.seconds:g}")
            elif isinstance(effect, act.DeleteCheckpoint):
                self.deleted.append(effect.checkpoint.path)
            else:
                assert isinstance(effect, act.Notify)
                told = [result["training_iteration"] for result in effect.results]
                self.trace.append(f"{self.now:.3f} {effect.what} {effect.trial.number} {told}")
                self.story.append(f"{effect.what} {effect.trial.number}")

    def _begin(self, number: int, assigned: act.Assigned, at: float) -> None:
        trial = assigned.trial
        self.trace.append(f"{at:.3f} run {trial.number} {trial.config} from {assigned.iteration}")
        self.story.append(f"run {trial.number}")
        self._runs[number] = self.trainable(dict(trial.config), assigned.iteration)
        self._numbers[number] = assigned.next_checkpoint
        self._step(number, at)

    def _take_back(self, effect: act.TakeBack) -> None:
        number, ticket = effect.executor, effect.ticket
        there = self.now + self.latency
        held = self._held.get(number)
        has_it = held is not None and held[0].ticket == ticket and self._ended.get(number, there + 1) > there
        if has_it:
            del self._held[number]
        self._later(2 * self.latency, number, lambda: self.state.given_back(number, ticket, has_it, self.now))

    def _say(self, number: int, at: float, frame: Frame) -> None:
        """A process says something: what it holds is begun if its trial has ended with that, and is refused else."""
        if frame.ended:
            self._ended[number] = at

        def arrives() -> list[act.Effect]:
            if not frame.ended:
                self._held.pop(number, None)
            return self.state.reported(number, frame, self.now)

        self._later(at + self.latency - self.now, number, arrives)

    def _step(self, number: int, at: float) -> None:
        run = self._runs[number]
        self._began[number] = at
        self._ended.pop(number, None)
        soon = at + 0.001 + self.latency - self.now
        try:
            seconds, metrics, with_checkpoint = next(run)
        except StopIteration:
            self._say(number, at + 0.001, Frame([], True))
        except Hang as error:
            self._hangs[number] = (at, error.where)
        except Crash as error:
            self._later(soon, number, lambda e=error: self.state.executor_lost(number, e, self.now))
        except Exception as error:
            self._later(soon, number, lambda e=error: self.state.failed(number, e, self.now))
        else:
            checkpoint = None
            if with_checkpoint:
                checkpoint, self._numbers[number] = self._numbers[number], self._numbers[number] + 1
            report = Report(metrics, seconds, at, checkpoint, bool(metrics.pop("last", False)))
            self._say(number, at + seconds, Frame([report], report.is_last))
