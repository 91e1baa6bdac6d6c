"""Population based training: quantiles by hand, copies, turns, determinism, files and their replay."""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trials import Plan, SimulatedSearch

from shoal.tune.exceptions import InvalidArgumentError, MetricNotReportedError, TuneError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers import PopulationBasedTraining, PopulationBasedTrainingReplay
from shoal.tune.schedulers.pbt import PopulationBasedTrainingReplay as OfItsModule
from shoal.tune.schedulers.policy_log import Exploitation


def pbt(**more: Any) -> PopulationBasedTraining:
    arguments: dict[str, Any] = {
        "time_attr": "training_iteration",
        "metric": "m",
        "mode": "max",
        "perturbation_interval": 4,
        "hyperparam_mutations": {"lr": [1.0, 2.0, 3.0, 4.0]},
        "log_config": False,
    }
    return PopulationBasedTraining(**{**arguments, **more})


def climbs(lr: float, steps: int = 16, **more: Any) -> Plan:
    """A trial whose state grows by its configuration's lr."""
    return Plan(lambda iteration, state, config: state + config["lr"], steps=steps, config={"lr": lr}, **more)


def test_the_worst_quarter_goes_on_as_copies_of_the_best_quarter() -> None:
    plans = [climbs(float(lr), steps=8) for lr in (1, 2, 3, 4, 5, 6, 7, 8)]
    search = SimulatedSearch(pbt(synch=True, hyperparam_mutations={"lr": [8.0, 7.0]}), plans, slots=8).run()
    assert {(trial, donor in (6, 7)) for trial, donor, _ in search.exploits} == {(0, True), (1, True)}
    assert len(search.exploits) == 2
    for trial, donor, config in search.exploits:
        reports = {iteration: (value, lr["lr"]) for iteration, value, lr in search.history[f"t{trial:04d}"]}
        donors = {iteration: value for iteration, value, _ in search.history[f"t{donor:04d}"]}
        assert reports[4] == (4.0 * (trial + 1), trial + 1)
        assert reports[5] == (donors[4] + config["lr"], config["lr"]), (
            "it goes on from the donor's checkpoint and the new configuration"
        )


def test_quantiles_never_overlap_and_one_trial_is_left_alone() -> None:
    assert not SimulatedSearch(pbt(synch=True), [climbs(1.0)]).run().exploits
    three = SimulatedSearch(pbt(synch=True, quantile_fraction=0.5), [climbs(float(lr)) for lr in (1, 2, 3)]).run()
    assert {(trial, donor) for trial, donor, _ in three.exploits[:1]} == {(0, 2)}
    assert (
        not SimulatedSearch(pbt(synch=True, quantile_fraction=0), [climbs(float(lr)) for lr in (1, 2)]).run().exploits
    )


def test_asynchronous_trials_are_compared_when_they_come() -> None:
    plans = [climbs(4.0), climbs(3.0), climbs(1.0)]
    search = SimulatedSearch(pbt(quantile_fraction=0.34), plans, slots=3).run()
    assert [one[:2] for one in search.exploits[:2]] == [(1, 0), (2, 0)], "each was the worst of those that had come"
    assert min(search.iterations()) == 16


def test_nobody_is_compared_before_the_burn_in() -> None:
    for synch in (False, True):
        plans = [climbs(4.0), climbs(1.0)]
        search = SimulatedSearch(pbt(synch=synch, burn_in_period=10, quantile_fraction=0.5), plans, slots=2).run()
        lrs = {iteration: config["lr"] for iteration, _, config in search.history["t0001"]}
        assert {lr for iteration, lr in lrs.items() if iteration <= 9} == {1.0} and search.exploits


def test_more_trials_than_places_take_turns() -> None:
    plans = [climbs(float(lr), steps=12) for lr in range(1, 7)]
    for synch in (False, True):
        search = SimulatedSearch(pbt(synch=synch), plans, slots=2)
        for _ in plans:
            search._make()
        search.run()
        first = [entry.split()[1] for entry in search.story if "reports" in entry][:24]
        assert len(set(first)) == 6, "each has had its first interval before any has its second"
        assert search.iterations() == [12] * 6


def test_trials_without_a_mutated_parameter_get_it_drawn() -> None:
    mutations = {"lr": lambda: 0.5, "net": {"width": [32, 64]}, "kept": [1]}
    scheduler = pbt(hyperparam_mutations=mutations)
    trial = Trial("a", 0, {"kept": 7, "net": {"depth": 2}}, evaluated_params={"kept": 7})
    scheduler.on_trial_add(SimulatedSearch(scheduler, []), trial)
    width = trial.config["net"]["width"]
    assert trial.config == {"kept": 7, "lr": 0.5, "net": {"depth": 2, "width": width}} and width in (32, 64)
    assert trial.evaluated_params == {"kept": 7, "lr": 0.5, "net/width": width}


def test_custom_explore_has_the_last_word() -> None:
    plans = [climbs(4.0), climbs(1.0)]
    scheduler = pbt(synch=True, quantile_fraction=0.5, custom_explore_fn=lambda config: {**config, "lr": 9.0})
    assert next(config for _, _, config in SimulatedSearch(scheduler, plans).run().exploits) == {"lr": 9.0}
    with pytest.raises(InvalidArgumentError, match="custom_explore_fn returned None"):
        SimulatedSearch(pbt(synch=True, quantile_fraction=0.5, custom_explore_fn=lambda config: None), plans).run()


def test_nan_is_among_the_worst() -> None:
    nan = Plan(lambda iteration, state, config: math.nan, steps=8, config={"lr": 1.0})
    search = SimulatedSearch(pbt(synch=True), [climbs(-9.0, 8), nan, climbs(2.0, 8), climbs(1.0, 8)]).run()
    assert [(trial, donor) for trial, donor, _ in search.exploits] == [(1, 2)]


class Memory:
    """A policy log that remembers."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, Exploitation]] = []

    def record(self, trial: Trial, donor: Trial, exploitation: Exploitation) -> None:
        self.entries.append((trial.trial_id, donor.trial_id, exploitation))


def mutations() -> Mapping[str, Any]:
    return {"lr": [0.5, 1.0, 2.0], "deep": {"x": [1, 2, 3, 4, 5]}}


@settings(max_examples=40)
@given(st.lists(st.floats(0.1, 10), min_size=8, max_size=8), st.integers(1, 8), st.integers(0, 3))
def test_synch_gives_the_same_at_any_timing_and_any_concurrency(paces: list[float], slots: int, ahead: int) -> None:
    def search(paces: list[float], slots: int) -> SimulatedSearch:
        plans = [climbs(float(lr), duration=lambda iteration, pace=pace: pace) for lr, pace in enumerate(paces)]
        made = SimulatedSearch(pbt(synch=True, seed=3, hyperparam_mutations=mutations()), plans, slots)
        for _ in range(ahead):
            made._make()
        return made.run()

    one, other = search([1.0] * 8, 8), search(paces, slots)
    assert one.exploits == other.exploits and one.history == other.history


def test_the_seed_decides() -> None:
    def exploits(**more: Any) -> list[Any]:
        plans = [climbs(float(lr)) for lr in range(8)]
        return SimulatedSearch(pbt(synch=True, hyperparam_mutations=mutations(), **more), plans).run().exploits

    assert exploits(seed=1) == exploits(seed=1) != exploits(seed=2)
    scheduler = pbt()
    scheduler.set_search_properties(None, None, seed=7)
    assert scheduler.get_state()["_seed"] == 7


plans = st.lists(
    st.builds(
        lambda lr, pace, fails, retries, steps: climbs(
            lr, steps, duration=lambda iteration: pace, fails_at=fails, retries=retries
        ),
        st.floats(-5, 5) | st.just(math.nan),
        st.floats(0.1, 10),
        st.frozensets(st.integers(1, 20), max_size=2),
        st.integers(0, 2),
        st.integers(1, 30),
    ),
    max_size=9,
)


@settings(max_examples=60)
@given(plans, st.integers(1, 5), st.booleans(), st.none() | st.integers(1, 4))
def test_every_trial_ends_and_a_state_goes_on(
    trials: list[Plan], slots: int, synch: bool, concurrent: int | None
) -> None:
    def make() -> PopulationBasedTraining:
        return pbt(synch=synch, hyperparam_mutations={"lr": [1.0, -1.0]})

    once = SimulatedSearch(make(), trials, slots, concurrent=concurrent).run()
    again = SimulatedSearch(make(), trials, slots, remade=make, concurrent=concurrent).run()
    assert str(once.history) == str(again.history)


def test_a_donor_without_a_checkpoint() -> None:
    class Forgetful(SimulatedSearch):
        def _save(self, trial: Trial) -> None:
            pass

    with pytest.raises(TuneError, match="copies checkpoints, and trial trainable_t0001 has none"):
        Forgetful(pbt(synch=True, quantile_fraction=0.5), [climbs(1.0), climbs(2.0)]).run()


def test_an_asynchronous_donor_without_a_checkpoint_is_not_copied(caplog: pytest.LogCaptureFixture) -> None:
    class Forgetful(SimulatedSearch):
        def _save(self, trial: Trial) -> None:
            pass

    with caplog.at_level(logging.WARNING, "shoal.tune"):
        search = Forgetful(pbt(quantile_fraction=0.5), [climbs(2.0), climbs(1.0)], slots=2).run()
    assert not search.exploits and "has none yet" in caplog.text


def test_reports_without_the_metric() -> None:
    for require in (True, False):
        scheduler = pbt(require_attrs=require, metric="loss")
        search, trial = SimulatedSearch(scheduler, []), Trial("a", 0, {"lr": 1.0})
        scheduler.on_trial_add(search, trial)
        report = {"training_iteration": 4, "los": 1.0}
        if require:
            with pytest.raises(MetricNotReportedError, match="Did you mean 'los'"):
                scheduler.on_trial_result(search, trial, report)
        else:
            assert scheduler.on_trial_result(search, trial, report) == "CONTINUE"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"perturbation_interval": 0}, "perturbation_interval is 0; give a number > 0"),
        ({"burn_in_period": -1}, "burn_in_period is -1"),
        ({"quantile_fraction": 0.6}, "quantile_fraction is 0.6; give a number >= 0 and <= 0.5"),
        ({"resample_probability": 2}, "resample_probability is 2"),
        ({"hyperparam_mutations": None}, "hyperparam_mutations is empty and custom_explore_fn is None"),
        ({"hyperparam_mutations": ["lr"]}, "hyperparam_mutations is ..lr"),
        ({"hyperparam_mutations": {"lr": 3}}, r"hyperparam_mutations\['lr'\] is 3; give a list"),
        ({"hyperparam_mutations": {"a": {"b": []}}}, r"hyperparam_mutations\['a'\]\['b'\] is empty"),
        ({"hyperparam_mutations": {"lr": {"grid_search": [1]}}}, "is a grid_search"),
        ({"perturbation_factors": (0.0, 1.0)}, r"perturbation_factors\[0\] is 0.0"),
        ({"custom_explore_fn": 3}, "custom_explore_fn is 3"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        pbt(**arguments)


def test_files_tell_how_each_trial_came_to_be_and_can_be_replayed(tmp_path: Path) -> None:
    assert OfItsModule is PopulationBasedTrainingReplay
    memory = Memory()
    chance = random.Random(0)
    plans = [climbs(chance.random() * 9, steps=40) for _ in range(6)]
    written = pbt(synch=True, log_config=True, quantile_fraction=0.34, hyperparam_mutations=mutations())
    search = SimulatedSearch(written, plans, local_path=lambda trial_id: str(tmp_path / trial_id)).run()
    told = pbt(synch=True, policy_log=memory, quantile_fraction=0.34, hyperparam_mutations=mutations())
    SimulatedSearch(told, plans).run()

    lines = [json.loads(entry) for entry in (tmp_path / "pbt_global.txt").read_text().splitlines()]
    assert [entry[:4] for entry in lines] == [
        [one.tag, one.donor_tag, one.iteration, one.donor_iteration] for _, _, one in memory.entries
    ]
    files = sorted(tmp_path.glob("pbt_policy_*.txt"))
    assert files
    for file in files:
        trial_id = file.stem.removeprefix("pbt_policy_")
        replay = PopulationBasedTrainingReplay(file)
        replayed = SimulatedSearch(replay, [climbs(-1.0, steps=40)]).run()
        original = {iteration: (value, config) for iteration, value, config in search.history[trial_id]}
        repeated = {iteration: (value, config) for iteration, value, config in replayed.history["t0000"]}
        # What the trial itself did before it became a copy is not its past; from its last change on, both are one.
        last = max(one.donor_iteration for name, _, one in memory.entries if name == trial_id)
        assert {at: repeated[at] for at in range(last + 1, 41)} == {at: original[at] for at in range(last + 1, 41)}


def test_replay_takes_one_trial_and_a_file_that_pbt_wrote(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        PopulationBasedTrainingReplay(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InvalidArgumentError, match="is empty"):
        PopulationBasedTrainingReplay(tmp_path / "empty.txt")
    (tmp_path / "other.txt").write_text('{"a": 1}\n')
    with pytest.raises(InvalidArgumentError, match="that PopulationBasedTraining wrote"):
        PopulationBasedTrainingReplay(tmp_path / "other.txt")
    (tmp_path / "one.txt").write_text(json.dumps(["1", "0", 4, 4, {"lr": 1.0}, {"lr": 2.0}]))
    replay = PopulationBasedTrainingReplay(tmp_path / "one.txt")
    assert replay.config == {"lr": 1.0}
    with pytest.raises(TuneError, match="replays one trial"):
        SimulatedSearch(replay, [climbs(1.0), climbs(1.0)]).run()


def test_replay_goes_on_from_its_state(tmp_path: Path) -> None:
    policy = [["1", "0", 4, 4, {"lr": 1.0}, {"lr": 2.0}], ["2", "1", 8, 8, {"lr": 2.0}, {"lr": 5.0}]]
    (tmp_path / "p.txt").write_text("\n".join(map(json.dumps, policy)))
    search = SimulatedSearch(
        PopulationBasedTrainingReplay(tmp_path / "p.txt"),
        [climbs(0.0, steps=10)],
        remade=lambda: PopulationBasedTrainingReplay(tmp_path / "p.txt"),
    ).run()
    assert [config["lr"] for _, _, config in search.history["t0000"]] == [1.0] * 4 + [2.0] * 4 + [5.0] * 2
    assert search.history["t0000"][-1][1] == 4 + 8 + 10


@pytest.mark.parametrize("synch", [False, True])
def test_a_trial_that_was_over_when_the_state_was_stored_may_be_tried_again(synch: bool) -> None:
    search = SimulatedSearch(pbt(synch=synch), [climbs(1.0, 9), climbs(2.0, 9)])
    search._make()
    search.scheduler.on_trial_error(search, search.trials[0])
    assert search.run().iterations() == [9, 9]
