"""The rows about hyperparameter search: titles, how they are measured, and what shoal's figure is held against."""

from __future__ import annotations

from rows import Goal, Row

ROWS = (
    Row(
        "first_trials",
        "20 trivial trials, from Tuner to results",
        "s",
        "fit() of 20 trials that report once, the first search of a session; Optuna alone: study.optimize of 20 trials",
        lower_is_better=True,
    ),
    Row(
        "trials",
        "trivial trials, processes reused",
        "/s",
        "fit() of trials that report once, with JSON and CSV loggers; the session has run a search before",
        Goal(300),
    ),
    Row(
        "isolated_trials",
        "trivial trials, each in a new process",
        "/s",
        "the same with reuse_actors=False",
        Goal(30),
    ),
    Row(
        "filled",
        "trials of 50 ms on 2 slots",
        "% of ideal",
        "trials that sleep 50 ms and report: half their number times 50 ms, as a share of what fit() takes",
        Goal(95),
    ),
    Row(
        "results",
        "reported results, nothing decides",
        "/s",
        "2 trials that report in a loop, from fit() to its end, with JSON and CSV loggers",
        Goal(20_000),
    ),
    Row(
        "lock_step_results",
        "reported results, each waits for ASHA",
        "/s",
        "the same with ASHAScheduler, which lets both go on",
        Goal(5_000),
    ),
    Row(
        "asha_decision",
        "a decision of ASHA at 10,000 trials",
        "µs",
        "on_trial_result of results at its rungs, by plain calls",
        Goal(20),
        lower_is_better=True,
    ),
    Row(
        "pbt_decision",
        "a decision of PBT at 10,000 trials",
        "µs",
        "whose turn it is, and what a result at the perturbation interval means, by plain calls; all but one wait",
        Goal(50),
        lower_is_better=True,
    ),
    Row(
        "exploit",
        "PBT: pause, copy, go on",
        "ms",
        "from a result after which a trial was given another's checkpoint to its next result; median",
        Goal(50),
        lower_is_better=True,
    ),
    Row(
        "saved_trial",
        "saving a changed trial among 10,000",
        "µs",
        "the search's storage is given 100 changed trials at a time",
        Goal(500),
        lower_is_better=True,
    ),
    Row(
        "saved_trial_few",
        "the same among 100",
        "µs",
        "for comparison: what is saved shall not depend on how many trials there are",
        lower_is_better=True,
    ),
)
