"""Stoppers by hand, and what users may give as `stop`."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shoal.tune.exceptions import InvalidArgumentError, MetricNotReportedError
from shoal.tune.stopper import (
    CombinedStopper,
    ExperimentPlateauStopper,
    FunctionStopper,
    MaximumIterationStopper,
    NoopStopper,
    Stopper,
    TimeoutStopper,
    TrialPlateauStopper,
    stopper_of,
)


def shown(stopper: Stopper, *values: float, trial: str = "a") -> list[bool]:
    return [stopper(trial, {"m": value}) for value in values]


def gone_on(make: Callable[[], Stopper], before: Stopper) -> Stopper:
    after = make()
    after.set_state(pickle.loads(pickle.dumps(before.get_state())))
    return after


def test_maximum_iteration_counts_the_reports_of_each_trial() -> None:
    stopper = MaximumIterationStopper(3)
    assert shown(stopper, 0, 0) == [False, False]
    assert shown(stopper, 0, trial="b") == [False]
    stopper = gone_on(lambda: MaximumIterationStopper(3), stopper)  # type: ignore[assignment]
    assert shown(stopper, 0, 0) == [True, True] and not stopper.stop_all()


def test_timeout_goes_by_its_clock_and_counts_what_was_used_before() -> None:
    now = 100.0
    stopper = TimeoutStopper(timedelta(minutes=1), clock=lambda: now)
    assert not stopper.stop_all()
    now = 150.0
    assert not stopper.stop_all() and stopper.remaining() == 10
    state = stopper.get_state()
    restored = TimeoutStopper(60, clock=lambda: now)
    restored.set_state(pickle.loads(pickle.dumps(state)))
    now = 1000.0
    assert not restored.stop_all()  # nobody ran in between
    now = 1010.0
    assert restored.stop_all() and not restored("a", {})


def test_trial_plateau_by_hand() -> None:
    """The deviation of 1, 2 is 0.5; of 2, 2.2 it is 0.1."""
    assert shown(TrialPlateauStopper("m", std=0.1001, num_results=2, grace_period=0), 1, 2, 2.2) == [False, False, True]
    assert shown(TrialPlateauStopper("m", std=0.0999, num_results=2, grace_period=0), 1, 2, 2.2) == [False] * 3
    assert shown(TrialPlateauStopper("m", num_results=2, grace_period=4), 1, 1, 1, 1) == [False, False, False, True]
    assert shown(TrialPlateauStopper("m", num_results=4, grace_period=1), 1, 1, 1, 1) == [False, False, False, True]
    assert shown(TrialPlateauStopper("m"), *[math.nan] * 9) == [False] * 9


def test_trial_plateau_with_a_threshold() -> None:
    def make(**more: Any) -> TrialPlateauStopper:
        return TrialPlateauStopper("m", num_results=2, grace_period=0, **more)

    assert shown(make(metric_threshold=3, mode="max"), 2, 2, 3, 3) == [False, False, False, True]
    assert shown(make(metric_threshold=3, mode="min"), 4, 4, 3, 3) == [False, False, False, True]
    with pytest.raises(InvalidArgumentError, match="mode is None; give mode='min'"):
        make(metric_threshold=3)


def test_experiment_plateau_by_hand() -> None:
    stopper = ExperimentPlateauStopper("m", std=0.1, top=2, mode="min")
    assert shown(stopper, 5.0, 9.0, 4.9) == [False, False, True] and stopper.stop_all()
    assert shown(stopper, 1.0) == [False] and not stopper.stop_all()
    assert shown(stopper, 1.0, trial="b") == [True]
    patient = ExperimentPlateauStopper("m", std=0.1, top=2, mode="max", patience=3)
    assert shown(patient, 5.0, 5.0) == [False, False]
    patient = gone_on(lambda: ExperimentPlateauStopper("m", std=0.1, top=2, mode="max", patience=3), patient)  # type: ignore[assignment]
    assert shown(patient, 1.0, 1.0) == [False, True] and patient.stop_all()
    assert shown(ExperimentPlateauStopper("m", top=2), math.nan, 1.0, 1.0) == [False, False, True]


def test_combined_stoppers_all_see_every_report() -> None:
    first, second = MaximumIterationStopper(2), MaximumIterationStopper(3)
    both = CombinedStopper(first, second, NoopStopper())
    assert shown(both, 0, 0, 0) == [False, True, True]
    assert first.get_state() != second.get_state() and second.get_state()["_reports"] == {"a": 3}
    copy = gone_on(lambda: CombinedStopper(MaximumIterationStopper(2), MaximumIterationStopper(3), NoopStopper()), both)
    assert copy.get_state() == both.get_state()
    now = 0.0
    timed = CombinedStopper(NoopStopper(), TimeoutStopper(5, clock=lambda: now))
    assert not timed.stop_all()
    now = 5.0
    assert timed.stop_all()


def test_thresholds() -> None:
    stopper = stopper_of({"m": 3, "val": {"loss": 0.5}, "deep/er": 7})
    report = {"m": 1.0, "val": {"loss": 0.1}, "deep": {"er": 1}}
    assert not stopper("a", report)
    assert stopper("a", report | {"m": 3})
    assert stopper("a", report | {"val": {"loss": 0.5}})
    assert stopper("a", {"m": 1, "val/loss": 0.6, "deep/er": 0})
    assert not stopper("a", report | {"m": math.nan})
    with pytest.raises(MetricNotReportedError, match=r"Trial a reported without 'm', by which .* Did you mean 'mm'"):
        stopper("a", {"mm": 1.0, "val/loss": 0.0, "deep/er": 0})


def test_what_may_be_given_as_stop() -> None:
    assert isinstance(stopper_of(None), NoopStopper) and isinstance(stopper_of({}), NoopStopper)
    given = MaximumIterationStopper(1)
    assert stopper_of(given) is given
    function = stopper_of(lambda trial_id, result: trial_id == "a" and result["m"] > 1)
    assert isinstance(function, FunctionStopper)
    assert function("a", {"m": 2}) and not function("b", {"m": 2}) and not function.stop_all()
    several = stopper_of([{"m": 2}, lambda trial_id, result: False, MaximumIterationStopper(5)])
    assert shown(several, 1, 2, 1, 1, 1) == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: stopper_of(3), "stop is 3; give a dict of metrics and thresholds"),
        (lambda: stopper_of("training_iteration"), "stop is 'training_iteration'; give"),
        (lambda: stopper_of({"m": "many"}), r"stop\['m'\] is 'many'; give a number"),
        (lambda: stopper_of({"val": {"loss": None}}), r"stop\['val'\]\['loss'\] is None"),
        (lambda: stopper_of({3: 1}), "stop has the key 3"),
        (lambda: stopper_of(NoopStopper), r"stop is the class NoopStopper; give an object: stop=NoopStopper\("),
        (lambda: CombinedStopper({"m": 1}), r"stoppers\[0\] is \{'m': 1\}"),  # type: ignore[arg-type]
        (lambda: FunctionStopper(3), "function is 3"),  # type: ignore[arg-type]
        (lambda: MaximumIterationStopper(0), "max_iter is 0"),
        (lambda: TimeoutStopper("1h"), "timeout is '1h'"),  # type: ignore[arg-type]
        (lambda: TimeoutStopper(-1), "timeout is -1"),
        (lambda: TrialPlateauStopper("m", std=-1), "std is -1"),
        (lambda: ExperimentPlateauStopper("m", top=1), "top is 1"),
        (lambda: ExperimentPlateauStopper("m", mode="best"), "mode is 'best'"),
    ],
)
def test_arguments_that_cannot_be(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        make()


def test_stoppers_of_users_say_what_they_lack() -> None:
    class Half(Stopper):
        pass

    with pytest.raises(NotImplementedError, match="Half has to define __call__"):
        Half()("a", {})
    with pytest.raises(NotImplementedError, match="Half has to define stop_all"):
        Half().stop_all()
