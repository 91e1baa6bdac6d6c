"""How long schedulers take to decide when a search has many trials, and none of them runs: only the scheduler is called.

    .venv/bin/python benchmarks/tune_decisions.py [--trials 10000] [--rounds 5]

Every trial of the search is live, and each reports in turn. Printed are microseconds a call, as the median over the reports of a round, and
the median of rounds; beside it the 99th percentile, as the median of rounds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.tune.experiment.trial import PAUSED, PENDING, RUNNING, Trial
from shoal.tune.schedulers import (
    ASHAScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)


class Search:
    """Does what a scheduler asks at once, and nothing else."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def get_trials(self) -> Sequence[Trial]:
        return self.trials

    def get_live_trials(self) -> Sequence[Trial]:
        return self.trials

    def stop_trial(self, trial: Trial) -> None:
        pass

    def save_trial(self, trial: Trial) -> None:
        checkpoint: Any = "checkpoint"
        trial.checkpoint, trial.checkpoints = checkpoint, [(checkpoint, trial.last_result)]

    def exploit(self, trial: Trial, donor: Trial, config: Mapping[str, Any], tag: str = "") -> None:
        trial.config, trial.status = dict(config), PENDING

    def set_resources(self, trial: Trial, resources: Sequence[Mapping[str, float]]) -> None:
        pass


Case = tuple[Callable[[], TrialScheduler], int, int]
"""Makes a scheduler; how many trials run at a time (0: all of them); reports of each trial."""

PLACES = 16

CASES: dict[str, Case] = {
    "ASHA, every report at a rung": (
        lambda: ASHAScheduler(metric="m", mode="max", reduction_factor=2, max_t=8, stop_last_trials=False),
        0,
        1,
    ),
    "ASHA, between rungs": (
        lambda: ASHAScheduler(metric="m", mode="max", grace_period=50, max_t=100),
        0,
        3,
    ),
    "HyperBand": (lambda: HyperBandScheduler(metric="m", mode="max"), 0, 1),
    "PBT, every report compared, all run": (lambda: pbt(), 0, 2),
    f"PBT, every report compared, {PLACES} run": (lambda: pbt(), PLACES, 2),
    "Median rule": (
        lambda: MedianStoppingRule("training_iteration", "m", "max", grace_period=0, hard_stop=True),
        0,
        1,
    ),
}


def pbt() -> TrialScheduler:
    """Returns one that compares at each report."""
    return PopulationBasedTraining(
        "training_iteration",
        "m",
        "max",
        perturbation_interval=1,
        hyperparam_mutations={"lr": [0.1, 0.01, 0.001]},
        log_config=False,
    )


def measured(case: Case, count: int, reports: int | None = None) -> tuple[list[float], list[float]]:
    """Returns the microseconds of each `on_trial_result`, and of each `choose_trial_to_run` (none where all trials run)."""
    make, places, repeats = case
    scheduler, search, chance = make(), Search(), random.Random(0)
    for number in range(count):
        trial = Trial(f"t{number}", number, {"lr": 0.1})
        search.save_trial(trial)
        search.trials.append(trial)
        scheduler.on_trial_add(search, trial)
    results: list[float] = []
    choices: list[float] = []
    steps = [0] * count

    def report(trial: Trial) -> str:
        steps[trial.number] += 1
        result = {"training_iteration": steps[trial.number], "m": chance.random(), "config": trial.config}
        begun = time.perf_counter_ns()
        decision = scheduler.on_trial_result(search, trial, result)
        results.append((time.perf_counter_ns() - begun) / 1000)
        return decision

    def choose() -> Trial | None:
        begun = time.perf_counter_ns()
        trial = scheduler.choose_trial_to_run(search)
        choices.append((time.perf_counter_ns() - begun) / 1000)
        return trial

    if places == 0:
        for trial in search.trials:
            trial.status = RUNNING
        for _ in range(repeats):
            for trial in search.trials:
                if trial.status == RUNNING:
                    report(trial)
                    trial.status = RUNNING
        return results, choices
    running: list[Trial] = []
    for _ in range(repeats * count):
        while len(running) < places and (chosen := choose()) is not None:
            chosen.status = RUNNING
            running.append(chosen)
        trial = running.pop(0)
        if report(trial) == TrialScheduler.CONTINUE:
            running.append(trial)
        elif trial.status == RUNNING:
            trial.status = PAUSED
    return results, choices


def main() -> None:
    """Measures all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(
        f"{arguments.trials:,} live trials; microseconds a call: median, 99th percentile (medians of {arguments.rounds} rounds)"
    )
    for name, case in CASES.items():
        rounds = [measured(case, arguments.trials) for _ in range(arguments.rounds)]
        for kind, which in (("result", 0), ("choice", 1)):
            samples = [one[which] for one in rounds if one[which]]
            if samples:
                middle = statistics.median(statistics.median(one) for one in samples)
                high = statistics.median(statistics.quantiles(one, n=100)[98] for one in samples)
                print(f"{name:42} {kind:7} {middle:10.1f} {high:10.1f}")


if __name__ == "__main__":
    main()
