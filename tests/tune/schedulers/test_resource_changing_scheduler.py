"""Resources: shares by hand, and who gets them."""

from __future__ import annotations

from typing import Any

import pytest
from simulated_trials import SimulatedSearch, line

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import RUNNING, Trial
from shoal.tune.schedulers import ASHAScheduler, ResourceChangingScheduler
from shoal.tune.schedulers.resource_changing_scheduler import DistributeResources, DistributeResourcesToTopJob


def scheduler(allocate: Any = None, base: Any = None, **total: float) -> ResourceChangingScheduler:
    return ResourceChangingScheduler(base, allocate, total_resources=lambda: total or {"CPU": 8.0})


def given(
    made: ResourceChangingScheduler, count: int, *, bundles: Any = ({"CPU": 1.0},), reports: Any = None
) -> list[Any]:
    """What each of some running trials has after all have reported."""
    search = SimulatedSearch(made, [line(1.0)] * count)
    for _ in range(count):
        search._make()
    for trial in search.trials:
        trial.resources, trial.status = bundles, RUNNING
        made._base_resources[trial.trial_id] = bundles
    for number, trial in enumerate(search.trials):
        trial.last_result = {"training_iteration": 1, "m": float((reports or range(count))[number])}
    for trial in search.trials:
        made.on_trial_result(search, trial, trial.last_result)
        search._requested()
    return [list(trial.resources) for trial in search.trials]


def test_shares_are_even_and_use_everything() -> None:
    assert given(scheduler(), 2) == [[{"CPU": 4}], [{"CPU": 4}]]
    assert given(scheduler(), 3) == [[{"CPU": 3}], [{"CPU": 3}], [{"CPU": 2}]]
    assert given(scheduler(), 9) == [[{"CPU": 1}]] * 9
    assert given(scheduler(CPU=8.0, GPU=4.0), 2, bundles=({"CPU": 1.0, "GPU": 1.0},)) == [[{"CPU": 2, "GPU": 2}]] * 2


def test_shares_in_bundles_in_steps_with_a_limit_and_a_reserve() -> None:
    assert given(scheduler(DistributeResources(add_bundles=True)), 4) == [[{"CPU": 1}, {"CPU": 1}]] * 4
    assert (
        given(scheduler(DistributeResources()), 2, bundles=({"CPU": 1.0}, {"CPU": 1.0}))
        == [[{"CPU": 2}, {"CPU": 2}]] * 2
    )
    assert given(scheduler(DistributeResources(increase_by={"CPU": 2})), 2) == [[{"CPU": 5}], [{"CPU": 3}]]
    assert given(scheduler(DistributeResources(increase_by_times=1)), 2) == [[{"CPU": 2}]] * 2
    assert given(scheduler(DistributeResources(reserve_resources={"CPU": 4})), 2) == [[{"CPU": 2}]] * 2


def test_the_top_job_gets_what_is_free_and_keeps_it() -> None:
    top = DistributeResourcesToTopJob(metric="m", mode="max")
    assert given(scheduler(top), 3, reports=[1, 5, 2]) == [[{"CPU": 1}], [{"CPU": 6}], [{"CPU": 1}]]
    assert given(scheduler(DistributeResourcesToTopJob(metric="m", mode="min")), 2) == [[{"CPU": 7}], [{"CPU": 1}]]
    with pytest.raises(InvalidArgumentError, match="no metric or no mode"):
        given(scheduler(DistributeResourcesToTopJob()), 1)


def test_the_base_scheduler_decides() -> None:
    base = ASHAScheduler(metric="m", mode="max", max_t=16)
    made = scheduler(DistributeResourcesToTopJob(), base)
    assert (made.metric, made.mode) == ("m", "max")
    search = SimulatedSearch(made, [line(slope) for slope in (4, 3, 2, 1)], slots=2).run()
    assert search.iterations()[0] == 16 and search.iterations().count(1) >= 2


def test_what_functions_may_return() -> None:
    search, trial = SimulatedSearch(scheduler(), []), Trial("a", 0, {})
    for returned, expected in (
        (None, "CONTINUE"),
        ([{"CPU": 1}], "CONTINUE"),
        ({"CPU": 1, "GPU": 0}, "CONTINUE"),
        ({"CPU": 3}, "NOOP"),
        ([{"CPU": 1}, {"CPU": 1}], "NOOP"),
    ):
        trial.status = RUNNING
        made = scheduler(lambda *arguments, returned=returned: returned)
        assert made.on_trial_result(search, trial, {"training_iteration": 1}) == expected
    with pytest.raises(InvalidArgumentError, match="returned 3; return the trial's bundles"):
        scheduler(lambda *arguments: 3).on_trial_result(search, trial, {})


def test_a_state_goes_on() -> None:
    def make() -> ResourceChangingScheduler:
        return scheduler(None, ASHAScheduler(metric="m", mode="max", max_t=16))

    plans = [line(slope) for slope in (1, 4, 2, 3)]
    once, again = SimulatedSearch(make(), plans).run(), SimulatedSearch(make(), plans, remade=make).run()
    assert once.story == again.story


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DistributeResources(increase_by={"CPU": -1}), r"increase_by\['CPU'\] is -1"),
        (lambda: DistributeResources(increase_by={"CPU": 0}), "at least one amount > 0"),
        (lambda: DistributeResources(increase_by_times=-2), "increase_by_times is -2"),
        (lambda: DistributeResourcesToTopJob(mode="top"), "mode is 'top'"),
        (lambda: ResourceChangingScheduler("asha"), "base_scheduler is 'asha'"),  # type: ignore[arg-type]
        (lambda: ResourceChangingScheduler(None, 3), "resources_allocation_function is 3"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_cannot_be(make: Any, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        make()
