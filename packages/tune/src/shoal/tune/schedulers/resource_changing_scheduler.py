"""Gives trials that run on more resources, or fewer, as others begin and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.tune._internal.logic.reported_number import check_mode, check_number, check_whole, score
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler, TuneController

Bundles = Sequence[Mapping[str, float]]
Allocate = Callable[[TuneController, Trial, dict[str, Any], "ResourceChangingScheduler"], Any]


class DistributeResources:
    """Gives all trials that are not over the same share of the machine.

    Args:
        add_bundles: whether more resources are bundles of their own; else those that a trial began with grow.
        increase_by: what a trial gets more at a time; None for one CPU and, where it began with GPUs, one GPU.
        increase_by_times: how often a trial may get it; -1 for any number.
        reserve_resources: what is left free.

    Raises:
        InvalidArgumentError: an argument cannot be.
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: Mapping[str, float] | None = None,
        increase_by_times: int = -1,
        reserve_resources: Mapping[str, float] | None = None,
    ) -> None:
        check_whole("increase_by_times", increase_by_times, -1)
        for argument, amounts in (("increase_by", increase_by), ("reserve_resources", reserve_resources)):
            for name, amount in (amounts or {}).items():
                check_number(f"{argument}[{name!r}]", amount, 0)
        if increase_by is not None and not any(increase_by.values()):
            raise InvalidArgumentError(f"increase_by is {dict(increase_by)}; give at least one amount > 0")
        self._add_bundles = add_bundles
        self._increase_by = increase_by
        self._increase_by_times = increase_by_times
        self._reserved = dict(reserve_resources or {})

    def __call__(
        self,
        tune_controller: TuneController,
        trial: Trial,
        result: dict[str, Any],
        scheduler: ResourceChangingScheduler,
    ) -> Bundles | None:
        """Returns what a trial that reported shall have from now on; None for what it has."""
        live = tune_controller.get_live_trials()
        base = scheduler.base_resources(trial)
        unit = self._unit(base)
        free = _minus(scheduler.total_resources(), self._reserved)
        for other in live:
            free = _minus(free, _total(scheduler.base_resources(other)))
        units = _times(unit, free)
        place = next((place for place, other in enumerate(live) if other is trial), 0)
        share = units // len(live) + (1 if place < units % len(live) else 0)
        return self._with(base, unit, self._limited(share))

    def _unit(self, base: Bundles) -> dict[str, float]:
        if self._increase_by is not None:
            return {name: amount for name, amount in self._increase_by.items() if amount > 0}
        return {"CPU": 1.0} | ({"GPU": 1.0} if _total(base).get("GPU") else {})

    def _limited(self, times: int) -> int:
        return times if self._increase_by_times < 1 else min(times, self._increase_by_times)

    def _with(self, base: Bundles, unit: Mapping[str, float], times: int) -> Bundles:
        bundles = [dict(bundle) for bundle in base]
        if self._add_bundles:
            return bundles + [dict(unit) for _ in range(times)]
        for time in range(times):
            bundle = bundles[time % len(bundles)]
            for name, amount in unit.items():
                bundle[name] = bundle.get(name, 0.0) + amount
        return bundles


class DistributeResourcesToTopJob(DistributeResources):
    """Gives what is free to the trial that is best when it reports; those that were best before keep what they have.

    Args:
        add_bundles: whether more resources are bundles of their own; else those that a trial began with grow.
        increase_by: what a trial gets more at a time; None for one CPU and, where it began with GPUs, one GPU.
        increase_by_times: how often a trial may get it; -1 for any number.
        reserve_resources: what is left free.
        metric: what is compared; None for the scheduler's.
        mode: 'min' or 'max'; None for the scheduler's.

    Raises:
        InvalidArgumentError: an argument cannot be.
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: Mapping[str, float] | None = None,
        increase_by_times: int = -1,
        reserve_resources: Mapping[str, float] | None = None,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(add_bundles, increase_by, increase_by_times, reserve_resources)
        check_mode(mode)
        self._metric = metric
        self._mode = mode

    def __call__(
        self,
        tune_controller: TuneController,
        trial: Trial,
        result: dict[str, Any],
        scheduler: ResourceChangingScheduler,
    ) -> Bundles | None:
        """Returns what a trial that reported shall have from now on; None for what it has."""
        metric, mode = self._metric or scheduler.metric, self._mode or scheduler.mode
        if metric is None or mode is None:
            raise InvalidArgumentError(
                "DistributeResourcesToTopJob looks for the best trial and has no metric or no mode; give both to it or to TuneConfig"
            )
        live = tune_controller.get_live_trials()
        own = score(result, metric, mode, "by which the top job is found", trial)
        for other in live:
            if other is trial or not other.last_result:
                continue
            if score(other.last_result, metric, mode, "by which the top job is found", other) > own:
                return None
        free = _minus(scheduler.total_resources(), self._reserved)
        for other in live:
            free = _minus(free, _total(scheduler.base_resources(other) if other is trial else other.resources))
        base = scheduler.base_resources(trial)
        unit = self._unit(base)
        return self._with(base, unit, self._limited(_times(unit, free)))


class ResourceChangingScheduler(TrialScheduler):
    """Has another scheduler decide which trials go on, and changes the resources of those that do.

    A trial whose resources change goes on from its latest checkpoint, so trainables have to make some. Inside,
    `tune.get_context().get_trial_resources()` says what it has.

    Args:
        base_scheduler: decides; None for FIFOScheduler.
        resources_allocation_function: takes the controller, the trial, its result and this scheduler, and returns the trial's new bundles
            (a list of dicts, a dict or a PlacementGroupFactory); None for no change.
        total_resources: returns what the session has, by name; None for `shoal.cluster_resources`.

    Raises:
        InvalidArgumentError: an argument cannot be.
    """

    def __init__(
        self,
        base_scheduler: TrialScheduler | None = None,
        resources_allocation_function: Allocate | None = None,
        *,
        total_resources: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__()
        if base_scheduler is not None and not isinstance(base_scheduler, TrialScheduler):
            raise InvalidArgumentError(f"base_scheduler is {base_scheduler!r}; give a TrialScheduler")
        if resources_allocation_function is not None and not callable(resources_allocation_function):
            raise InvalidArgumentError(
                f"resources_allocation_function is {resources_allocation_function!r}; give a function, or DistributeResources()"
            )
        self._base_scheduler = base_scheduler or FIFOScheduler()
        self._allocate: Allocate = resources_allocation_function or DistributeResources()
        self._total_resources = total_resources
        self._base_resources: dict[str, tuple[dict[str, float], ...]] = {}

    @property
    def metric(self) -> str | None:
        return self._base_scheduler.metric or self._metric

    @property
    def mode(self) -> str | None:
        """'min' or 'max'."""
        return getattr(self._base_scheduler, "_mode", None) or self._mode

    def base_resources(self, trial: Trial) -> Bundles:
        """Returns what a trial began with."""
        return self._base_resources.setdefault(trial.trial_id, trial.resources)

    def total_resources(self) -> dict[str, float]:
        """Returns what there is in all."""
        if self._total_resources is None:
            import shoal

            self._total_resources = shoal.cluster_resources
        return dict(self._total_resources())

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        self._metric, self._mode = metric, mode
        return self._base_scheduler.set_search_properties(metric, mode, **spec)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        self.base_resources(trial)
        self._base_scheduler.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        self._base_scheduler.on_trial_error(tune_controller, trial)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        self._base_scheduler.on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        self._base_scheduler.on_trial_remove(tune_controller, trial)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        decision = self._base_scheduler.on_trial_result(tune_controller, trial, result)
        if decision != TrialScheduler.CONTINUE:
            return decision
        given = self._allocate(tune_controller, trial, result, self)
        if given is None:
            return decision
        bundles = _bundles(given)
        if [_present(bundle) for bundle in bundles] == [_present(bundle) for bundle in trial.resources]:
            return decision
        tune_controller.save_trial(trial)
        tune_controller.set_resources(trial, bundles)
        return TrialScheduler.NOOP

    @property
    def ties_trials(self) -> bool:  # type: ignore[override]
        """As its base."""
        return self._base_scheduler.ties_trials

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        return self._base_scheduler.choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        return f"{type(self).__name__} of {self._base_scheduler.debug_string()}"

    def get_state(self) -> dict[str, Any]:
        return {"base_scheduler": self._base_scheduler.get_state(), "base_resources": self._base_resources}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._base_scheduler.set_state(state["base_scheduler"])
        self._base_resources = dict(state["base_resources"])


def _bundles(given: Any) -> list[dict[str, float]]:
    if isinstance(given, Mapping):
        return [dict(given)]
    bundles = getattr(given, "bundles", given)
    if not isinstance(bundles, Sequence) or not bundles or not all(isinstance(bundle, Mapping) for bundle in bundles):
        raise InvalidArgumentError(
            f"resources_allocation_function returned {given!r}; return the trial's bundles, such as [{{'CPU': 2}}], or None"
        )
    return [dict(bundle) for bundle in bundles]


def _present(bundle: Mapping[str, float]) -> dict[str, float]:
    return {name: float(amount) for name, amount in bundle.items() if amount}


def _total(bundles: Bundles) -> dict[str, float]:
    total: dict[str, float] = {}
    for bundle in bundles:
        for name, amount in bundle.items():
            total[name] = total.get(name, 0.0) + amount
    return total


def _minus(amounts: Mapping[str, float], taken: Mapping[str, float]) -> dict[str, float]:
    return {name: amount - taken.get(name, 0.0) for name, amount in amounts.items()}


def _times(unit: Mapping[str, float], free: Mapping[str, float]) -> int:
    """Returns how often a unit is free."""
    return max(0, min(int((free.get(name, 0.0) + 1e-9) // amount) for name, amount in unit.items()))
