"""Env runners that are actors: their making, their calls and deadlines, and what becomes of one that dies or hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.rllib._internal.runners.restarts import Decision, Restarts, RestartSettings
from shoal.rllib.utils.error import EnvError, EnvRunnerLostError

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 5.0
"""How long environments have to close."""

_WHERE_TIMEOUT_S = 3.0
"""How long runners that are late have to say where they are."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one runner sampled in one call.

    Args:
        index: of the runner; 0 is the local one.
        episodes: its episodes, or a reference to them where that was asked for.
        steps: how many steps they have.
        metrics: for the `aggregate` of a logger.
        weights_version: by which weights it acted.
        counted: how many steps they have as sizes of batches count them: `count_steps_by`.
    """

    index: int
    episodes: Any
    steps: int
    metrics: dict[str, Any]
    weights_version: int
    counted: int


def counted_steps(config: Any, episodes: Any) -> tuple[int, int]:
    """Returns how many steps of the environment episodes have, and how many as `count_steps_by` says."""
    if not isinstance(episodes, list):
        return 0, 0
    steps = sum(map(len, episodes))
    if getattr(config, "count_steps_by", "env_steps") == "env_steps":
        return steps, steps
    return steps, sum(episode.agent_steps() for episode in episodes)


@dataclass(slots=True)
class Request:
    """A call of `sample` that has not been answered yet."""

    index: int
    episodes: Any
    answer: Any
    asked: float
    progress: int = -1


class RunnerActors:
    """The actors of a group, by their indices from 1 on.

    Weights are given once, whatever the number of actors; each is told of them with its next call.

    Args:
        config: of the algorithm.
        runner_class: what each of them makes.
        count: how many there are to be.
    """

    def __init__(self, config: AlgorithmConfig, runner_class: type[Any], count: int) -> None:
        self.version = 0
        """What counts the weights."""
        self.weights: Any = None
        """A reference to the newest."""
        self.runner_state: dict[str, Any] = {}
        """What one that takes another's place is told."""
        self.requests: list[Request] = []
        """Calls of `sample` that each answers at its own pace."""
        self.recreated: list[int] = []
        """Which were replaced since this list was emptied last."""
        self._config = config
        self._class = runner_class
        self._count = count
        self._actors: dict[int, Any] = {}
        self._told: dict[int, int] = {}
        self._left_out: set[int] = set()
        self._stalled: dict[int, str] = {}
        self._at_work: dict[Any, int] = {}
        self._abandoned = False
        self._restarts = Restarts(
            RestartSettings(
                restart=config.restart_failed_env_runners,
                ignore=config.ignore_env_runner_failures,
                most_restarts=config.max_num_env_runner_restarts,
                delay_s=config.delay_between_env_runner_restarts_s,
                consecutive_failures=config.num_consecutive_env_runner_failures_tolerance,
            )
        )

    def __len__(self) -> int:
        return len(self._actors)

    def __getitem__(self, index: int) -> Any:
        return self._actors[index]

    def __contains__(self, index: object) -> bool:
        return index in self._actors

    @property
    def restarts(self) -> int:
        """How often one was replaced."""
        return self._restarts.total

    def going_on(self) -> list[int]:
        """Returns the indices of those that are not left out."""
        return sorted(index for index in self._actors if index not in self._left_out)

    def reconfigure(self, config: AlgorithmConfig) -> None:
        """Has runners that are made from now on go by another configuration."""
        self._config = config

    # Making.

    def make(self, index: int, recreated: bool) -> Any:
        """Starts an actor and the making of its runner. Returns the reference to its spaces."""
        import shoal
        from shoal.rllib._internal.runners.env_runner_actor import QUESTIONS, EnvRunnerActor

        config = self._config
        actor = (
            shoal.remote(EnvRunnerActor)
            .options(
                num_cpus=config.num_cpus_per_env_runner,
                num_gpus=config.num_gpus_per_env_runner,
                resources=dict(config.custom_resources_per_env_runner),
                concurrency_groups={QUESTIONS: 1},
            )
            .remote()
        )
        self._actors[index] = actor
        self._told.pop(index, None)
        arguments = {
            "config": config,
            "worker_index": index,
            "num_workers": self._count,
            "recreated_worker": recreated,
        }
        return actor.set_up.remote(self._class, arguments)

    def set_up(self, index: int, setup: Any) -> dict[str, Any]:
        """Returns the spaces of a runner that is being made; one that dies as it is made is made again, as the settings say."""
        import shoal

        while True:
            try:
                self._wait_for_setup(index, setup)
                spaces: dict[str, Any] = shoal.get(setup)
            except shoal.exceptions.ActorError as error:
                now = time.monotonic()
                if self._restarts.failed(index, now, others=0) is not Decision.REPLACE:
                    raise EnvRunnerLostError(f"env runner {index} died as it was made: {error}") from error
                logger.warning("env runner %d died as it was made, and is made again: %s", index, error)
                setup = self.make(index, True)
            else:
                return spaces

    def _wait_for_setup(self, index: int, setup: Any) -> None:
        """Waits until a runner is made, and says where it is when that takes long. Raises EnvError when it takes too long."""
        import shoal

        deadline = time.monotonic() + self._config.env_runner_restore_timeout_s
        notice = self._config.sample_timeout_s or None
        while True:
            left = deadline - time.monotonic()
            ready, _ = shoal.wait([setup], timeout=left if notice is None else min(left, notice))
            if ready:
                return
            where = "it has not started: it waits for processors, or for its process"
            asked = self._actors[index].where.remote()
            answered, _ = shoal.wait([asked], timeout=1.0)
            if answered:
                try:
                    where = shoal.get(asked)[1]
                except shoal.exceptions.ActorError:
                    return  # it is dead: its setup says so
            if time.monotonic() >= deadline:
                seconds = self._config.env_runner_restore_timeout_s
                raise EnvError(
                    f"env runner {index} was not made within {seconds:g} s (env_runner_restore_timeout_s): {where}"
                )
            logger.warning("env runner %d is not made yet: %s", index, where)

    # Calls.

    def call(self, index: int, func: str | Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Calls a function of a runner, or a method by its name. Returns a reference to the result."""
        return self._actors[index].call.remote(func, arguments, self._weights_for(index), self.version)

    def ask(self, index: int, timesteps: int | None, arguments: dict[str, Any]) -> Request:
        """Has a runner sample."""
        weights = self._weights_for(index)
        episodes, answer = self._actors[index].sample.remote(weights, self.version, timesteps, arguments)
        return Request(index, episodes, answer, time.monotonic())

    def _weights_for(self, index: int) -> Any:
        """Returns the reference to the weights if the runner has not been told of these yet: calls come in order, so once is enough."""
        if self.weights is None or self._told.get(index) == self.version:
            return None
        self._told[index] = self.version
        return self.weights

    def wait(
        self, requests: Sequence[Request], *, all_of_them: bool, deadline: float | None = None
    ) -> tuple[list[Request], list[Request]]:
        """Waits for answers. Returns those that are there and the others. A runner that hangs is ended: its answer is an error."""
        import shoal

        limit = self._config.sample_timeout_s or None
        while True:
            now = time.monotonic()
            ends = [request.asked + limit for request in requests] if limit is not None else []
            if deadline is not None:
                ends.append(deadline)
            waiting = {request.answer: request for request in requests}
            number = len(requests) if all_of_them else 1
            timeout = max(0.0, min(ends) - now) if ends else None
            ready, rest = shoal.wait(list(waiting), num_returns=number, timeout=timeout)
            if len(ready) < len(requests):
                more, rest = shoal.wait(rest, num_returns=len(rest), timeout=0)
                ready = [*ready, *more]
            if len(ready) >= number:
                return [waiting[ref] for ref in ready], [waiting[ref] for ref in rest]
            now = time.monotonic()
            if limit is not None:
                for ref in rest:
                    if now - waiting[ref].asked >= limit:
                        self._look_after(waiting[ref], limit)
            if deadline is not None and now >= deadline:
                return [waiting[ref] for ref in ready], [waiting[ref] for ref in rest]
            requests = list(waiting.values())

    def _look_after(self, request: Request, limit: float) -> None:
        """A runner has not answered in time: one that gets on has more time, one that does not is ended."""
        import shoal

        actor = self._actors[request.index]
        try:
            progress, where = shoal.get(
                actor.where.remote(), timeout=self._config.env_runner_health_probe_timeout_s or None
            )
        except shoal.exceptions.GetTimeoutError:
            progress, where = (
                request.progress,
                "Its process does not answer: it hangs outside of Python, with Python's lock.",
            )
        except shoal.exceptions.ActorError:
            return  # it is dead: its answer says so
        if progress != request.progress:
            logger.warning(
                "env runner %d has sampled for more than %g s; it gets on. %s",
                request.index,
                limit,
                where.split(":")[0],
            )
            request.progress = progress
            request.asked = time.monotonic()
            return
        self._stalled[request.index] = where
        shoal.kill(actor)

    def answer(self, request: Request, by_reference: bool) -> Sampled | None:
        """Returns an answer, or None if the runner failed: it was then replaced or left out."""
        import shoal

        index = request.index
        try:
            steps, counted, metrics, version = shoal.get(request.answer)
            episodes = request.episodes if by_reference else shoal.get(request.episodes)
        except shoal.exceptions.ActorError as error:
            self.failed(index, error)
            return None
        except EnvError as error:
            if self._config.ignore_env_runner_failures and len(self.going_on()) > 1:
                logger.error("env runner %d is left out: %s", index, error)
                self._left_out.add(index)
                return None
            raise
        self._restarts.succeeded(index)
        return Sampled(index, episodes, steps, metrics, version, counted)

    def collect(
        self, func: Any, arguments: dict[str, Any], references: dict[int, Any], timeout: float | None
    ) -> list[tuple[int, Any]]:
        import shoal

        ready, _ = (
            shoal.wait(list(references.values()), num_returns=len(references), timeout=timeout)
            if references
            else ([], [])
        )
        there = set(ready)
        values = []
        for index, reference in references.items():
            if reference not in there:
                continue
            while True:
                try:
                    values.append((index, shoal.get(reference)))
                    break
                except shoal.exceptions.ActorError as error:
                    self.failed(index, error)
                    if index in self._left_out:
                        break
                    reference = self.call(index, func, arguments)
        return values

    def work_through(
        self, func: Callable[..., Any], work: Mapping[int, Sequence[dict[str, Any]]], deadline: float | None
    ) -> tuple[list[Any], list[int]]:
        """Has each runner make one call after the other. Returns what came by then, and whose calls did not.

        The deadline, in `time.monotonic()`'s seconds, is for those that take the places of others, too.
        """
        import shoal

        if self._abandoned:
            return [], sorted(index for index, own in work.items() if own)
        began = time.monotonic()
        done: dict[int, list[Any]] = {index: [] for index in work}
        calls = {self.call(index, func, own[0]): index for index, own in work.items() if own}
        self._at_work = calls
        being_made: set[Any] = set()
        while calls:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _ = shoal.wait(list(calls), num_returns=1, timeout=left)
            if not ready or self._abandoned:
                break
            for reference in ready:
                index = calls.pop(reference)
                try:
                    value = shoal.get(reference)
                except shoal.exceptions.ActorError as error:
                    if self._is_to_be_replaced(index, error):
                        calls[setup := self.make(index, True)] = index
                        being_made.add(setup)
                    continue
                if reference in being_made:
                    self._in_place(index)
                else:
                    self._restarts.succeeded(index)
                    done[index].append(value)
                if len(done[index]) < len(work[index]):
                    calls[self.call(index, func, work[index][len(done[index])])] = index
        self._at_work, late = {}, sorted(calls.values())
        if self._abandoned:
            self._left_out.update(late)
        elif late:
            self._end_late(late, None if deadline is None else deadline - began)
        return [value for index in sorted(done) for value in done[index]], late

    def allow_work(self) -> None:
        """Work may be done again."""
        self._abandoned = False

    def abandon_work(self) -> None:
        """Has `work_through`, in another thread, return at once. Who was at work is ended, and left out until runners are brought back."""
        import shoal

        self._abandoned = True
        for index in set(self._at_work.values()):
            shoal.kill(self._actors[index])

    def _end_late(self, late: Sequence[int], limit: float | None) -> None:
        """Ends runners that have not answered in time, and says where they are."""
        import shoal

        asked = {index: self._actors[index].where.remote() for index in late}
        answered, _ = shoal.wait(list(asked.values()), num_returns=len(asked), timeout=_WHERE_TIMEOUT_S)
        for index, answer in asked.items():
            where = "Its process does not answer."
            if answer in answered:
                try:
                    where = shoal.get(answer)[1]
                except shoal.exceptions.ActorError:
                    where = "Its process has ended."
            logger.error("env runner %d has not answered within %.3g s, and was ended. %s", index, limit, where)
            self._left_out.add(index)
            shoal.kill(self._actors[index])

    # Failures.

    def failed(self, index: int, error: Exception) -> None:
        """A runner's process has ended. Replaces it, leaves it out, or raises."""
        if self._is_to_be_replaced(index, error):
            self._replace(index)

    def _is_to_be_replaced(self, index: int, error: Exception) -> bool:
        """Whether a runner whose process has ended is replaced; otherwise it is left out, or its error raised."""
        now = time.monotonic()
        where = self._stalled.pop(index, None)
        self.requests = [request for request in self.requests if request.index != index]
        others = sum(other != index for other in self.going_on())
        decision = self._restarts.failed(index, now, others=others, stalled=where is not None)
        if where is None:
            story = f"env runner {index} died: {error}"
        else:
            limit = self._config.sample_timeout_s
            story = f"env runner {index} has not got on for {limit:g} s (config.env_runners(sample_timeout_s=...)), and was ended. {where}"
        if decision is Decision.RAISE:
            kind = EnvRunnerLostError if where is None else EnvError
            raise kind(story) from (error if where is None else None)
        if decision is Decision.LEAVE_OUT:
            logger.error("%s\nThe others go on without it.", story)
            self._left_out.add(index)
            return False
        logger.warning("%s\nIt is replaced.", story)
        return True

    def _replace(self, index: int) -> None:
        setup = self.make(index, True)
        self.set_up(index, setup)
        self._in_place(index)

    def _in_place(self, index: int) -> None:
        """A runner has taken another's place: it is told what that one knew."""
        self._left_out.discard(index)
        self.recreated.append(index)
        if self.runner_state:
            self._actors[index].call.remote("set_state", {"state": self.runner_state})

    def bring_back(self) -> None:
        """Replaces runners that were left out and whose time has come."""
        now = time.monotonic()
        for index in sorted(self._left_out):
            if self._restarts.may_come_back(index, now):
                logger.info("env runner %d is made again", index)
                self._replace(index)

    def bring_back_all(self) -> list[int]:
        """Replaces all that were left out, whether or not their time has come. Returns their indices."""
        back, now = sorted(self._left_out), time.monotonic()
        for index in back:
            self._restarts.replaced(index, now)
            self._replace(index)
        return back

    def stop(self) -> None:
        """Closes all environments and ends all actors."""
        import shoal

        actors, self._actors = self._actors, {}
        self.requests = []
        if not actors or not shoal.is_initialized():
            return
        idle = [actor.call.remote("stop", {}) for index, actor in actors.items() if index not in self._left_out]
        if idle:
            shoal.wait(idle, num_returns=len(idle), timeout=_STOP_TIMEOUT_S)
        for actor in actors.values():
            shoal.kill(actor)
