"""Population based training: who is behind goes on as a changed copy of who is ahead."""

from __future__ import annotations

import heapq
import logging
import random
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from shoal.tune._internal.logic.reported_number import check_number
from shoal.tune.exceptions import InvalidArgumentError, TuneError
from shoal.tune.experiment.trial import PAUSED, PENDING, Trial
from shoal.tune.schedulers.comparing_scheduler import ComparingScheduler
from shoal.tune.schedulers.explore import check_mutations, completed, explored, tag_of
from shoal.tune.schedulers.pbt_replay import PopulationBasedTrainingReplay
from shoal.tune.schedulers.policy_log import Exploitation, NoPolicyLog, PolicyFiles, PolicyLog
from shoal.tune.schedulers.trial_scheduler import TrialScheduler, TuneController

__all__ = ["PopulationBasedTraining", "PopulationBasedTrainingReplay"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Member:
    """What is known of one trial of the population."""

    number: int
    tag: str
    time: float = 0.0
    """When it was compared last."""
    perturbed_at: float = 0.0
    score: float | None = None
    exploitations: int = 0
    copied_iteration: int = 0
    """Of the checkpoint that it copied last."""


class PopulationBasedTraining(ComparingScheduler):
    """Trains a population; who is behind copies who is ahead, configuration and checkpoint, and explores from there.

    Jaderberg et al., *Population Based Training of Neural Networks*, 2017. Each `perturbation_interval`, a trial among the worst
    `quantile_fraction` goes on from the checkpoint of one among the best, with the mutated parameters of that one changed: drawn anew, or
    stepped. Trainables have to make checkpoints: functions at least once an interval. Where there are more trials than places, they take
    turns. NaN ranks worst.

    Chance depends on `seed`, the trial's number, and how often it was changed; with `synch=True` and a `time_attr` that counts iterations
    the whole search is the same in every run.

    Args:
        time_attr: what time is measured by; a number that each report has, and that grows.
        metric: to compare by ('a/b' for nested reports); None to take TuneConfig's.
        mode: 'min' or 'max'; None to take TuneConfig's.
        perturbation_interval: time between comparisons of a trial (> 0).
        burn_in_period: nobody is compared before this time.
        hyperparam_mutations: for each parameter that is changed: a list of values, a domain, a function without arguments that draws,
            or again such a dict. Trials that begin without one of them get it drawn.
        quantile_fraction: of the population, from 0 to 0.5.
        resample_probability: of drawing a parameter anew, instead of stepping: a number is multiplied by one of `perturbation_factors`
            and stays within its domain, of a list a neighbouring value is taken.
        perturbation_factors: what numbers are multiplied by.
        custom_explore_fn: takes the new configuration, and returns it with changes of its own.
        log_config: whether pbt_global.txt and pbt_policy_<trial id>.txt are written to the folder of the search, to be replayed
            by PopulationBasedTrainingReplay.
        require_attrs: whether a report without `time_attr` or `metric` is an error; else it decides nothing.
        synch: whether all trials are compared together, once all have come as far.
        seed: for everything that happens by chance; None to take the search's, or 0.
        policy_log: who is told of exploitations instead of the files.

    Raises:
        InvalidArgumentError: an argument cannot be.

    Example:
        >>> from shoal.tune.schedulers import PopulationBasedTraining
        >>> scheduler = PopulationBasedTraining(
        ...     "training_iteration", metric="loss", mode="min", perturbation_interval=4, hyperparam_mutations={"lr": [0.1, 0.01, 0.001]}
        ... )
    """

    ties_trials = True

    _STATE: ClassVar[tuple[str, ...]] = (
        "_members",
        "_scores",
        "_behind",
        "_sync_time",
        "_generation",
        "_num_exploitations",
        "_seed",
    )

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        burn_in_period: float = 0.0,
        hyperparam_mutations: Mapping[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        perturbation_factors: Sequence[float] = (1.2, 0.8),
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
        *,
        seed: int | None = None,
        policy_log: PolicyLog | None = None,
    ) -> None:
        super().__init__(time_attr, metric, mode)
        check_number("perturbation_interval", perturbation_interval, 0, above=True)
        check_number("burn_in_period", burn_in_period, 0)
        check_number("quantile_fraction", quantile_fraction, 0, most=0.5)
        check_number("resample_probability", resample_probability, 0, most=1)
        check_mutations("hyperparam_mutations", hyperparam_mutations or {})
        if not hyperparam_mutations and custom_explore_fn is None:
            raise InvalidArgumentError(
                "hyperparam_mutations is empty and custom_explore_fn is None; give at least one, or nothing would be explored"
            )
        if custom_explore_fn is not None and not callable(custom_explore_fn):
            raise InvalidArgumentError(
                f"custom_explore_fn is {custom_explore_fn!r}; give a function of a configuration"
            )
        if not isinstance(perturbation_factors, Sequence) or not perturbation_factors:
            raise InvalidArgumentError(
                f"perturbation_factors is {perturbation_factors!r}; give numbers such as (1.2, 0.8)"
            )
        for place, factor in enumerate(perturbation_factors):
            check_number(f"perturbation_factors[{place}]", factor, 0, above=True)
        self._interval = perturbation_interval
        self._burn_in_period = burn_in_period
        self._mutations: Mapping[str, Any] = hyperparam_mutations or {}
        self._quantile_fraction = quantile_fraction
        self._resample_probability = resample_probability
        self._perturbation_factors = tuple(perturbation_factors)
        self._custom_explore_fn = custom_explore_fn
        self._require_attrs = require_attrs
        self._synch = synch
        self._seed = seed
        self._policy_log: PolicyLog = policy_log or (PolicyFiles() if log_config else NoPolicyLog())
        self._members: dict[str, Member] = {}
        """The live trials."""
        self._scores: list[tuple[float, int, str]] = []
        """Score, number and id of the members that have been compared, from worst to best."""
        self._behind: dict[str, None] = {}
        """With synch: the members that have not come to the next comparison."""
        self._sync_time = max(perturbation_interval, burn_in_period)
        self._generation = 0
        self._num_exploitations = 0
        self._out: dict[str, None] = {}
        """Members that were not waiting when they were looked at last."""
        self._waiting: list[tuple[float, int, str]] = []
        """A heap of the others: those that have come least far are first."""

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        if self._seed is None:
            self._seed = spec.get("seed")
        return super().set_search_properties(metric, mode, **spec)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        if trial.trial_id in self._members:
            return
        self._members[trial.trial_id] = Member(trial.number, trial.experiment_tag)
        self._behind[trial.trial_id] = None
        if trial.status in (PENDING, PAUSED):
            heapq.heappush(self._waiting, (0.0, trial.number, trial.trial_id))
        else:
            self._out[trial.trial_id] = None
        config = self._completed(trial.config, random.Random(f"{self._seed or 0}/begin/{trial.number}"))
        if config != trial.config:
            trial.evaluated_params = {**trial.evaluated_params, **_added(trial.config, config)}
            trial.config = config

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        if not self._require_attrs and (self._time_attr not in result or self._metric not in result):
            return TrialScheduler.CONTINUE
        time, score = self._time(trial, result), self._score(trial, result)
        if not self._is_known(trial):
            self.on_trial_add(tune_controller, trial)
        member = self._members[trial.trial_id]
        if self._synch:
            if time < self._sync_time:
                return TrialScheduler.CONTINUE
            self._compared(trial, member, time, score)
            self._behind.pop(trial.trial_id, None)
            return TrialScheduler.PAUSE
        if time < self._burn_in_period or time - member.perturbed_at < self._interval:
            return TrialScheduler.CONTINUE
        self._compared(trial, member, time, score)
        member.perturbed_at = time
        if self._exploited(tune_controller, trial, member):
            return TrialScheduler.NOOP
        return TrialScheduler.PAUSE if self._somebody_waits() else TrialScheduler.CONTINUE

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        trial = self._next(tune_controller)
        if trial is None and self._asked_in_vain(tune_controller):
            self._add_unknown(tune_controller)
            if self._synch and self._members and not self._behind and not self._out:
                self._next_generation(tune_controller)
            trial = self._next(tune_controller)
        return trial

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._out, self._waiting = dict.fromkeys(self._members), []

    def debug_string(self) -> str:
        return f"{type(self).__name__}: {len(self._members)} trials, {self._num_exploitations} exploitations"

    def _completed(self, config: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
        return completed(config, self._mutations, chance)

    def _explored(self, trial: Trial, donor: Trial, chance: random.Random) -> dict[str, Any]:
        """Returns the configuration with which a copy of the donor goes on."""
        return explored(donor.config, self._mutations, self._resample_probability, self._perturbation_factors, chance)

    def _compared(self, trial: Trial, member: Member, time: float, score: float) -> None:
        if member.score is not None:
            self._forget_score(trial.trial_id, member)
        insort(self._scores, (score, member.number, trial.trial_id))
        member.time, member.score = time, score

    def _forget_score(self, trial_id: str, member: Member) -> None:
        assert member.score is not None
        del self._scores[bisect_left(self._scores, (member.score, member.number, trial_id))]

    def _quantile_size(self) -> int:
        """Returns how many trials are the best, and how many the worst."""
        count = len(self._scores)
        if count <= 1:
            return 0
        return min(-int(-count * self._quantile_fraction // 1), count // 2)

    def _exploited(self, tune_controller: TuneController, trial: Trial, member: Member) -> bool:
        """Saves a trial that is among the best; has one that is among the worst go on as a copy. Returns whether it does."""
        assert member.score is not None
        size = self._quantile_size()
        rank = bisect_left(self._scores, (member.score, member.number, trial.trial_id))
        if rank >= size:
            if rank >= len(self._scores) - size or trial.checkpoint is None:
                tune_controller.save_trial(trial)  # somebody may copy it
            return False
        chance = random.Random(f"{self._seed or 0}/{member.number}/{member.exploitations}")
        donor = self._trial(tune_controller, self._scores[-1 - chance.randrange(size)][2])
        if donor.checkpoint is None:
            logger.warning(
                "%s would go on from the checkpoint of %s, which has none yet; it goes on as it is", trial, donor
            )
            return False
        self._exploit(tune_controller, trial, donor, chance)
        return True

    def _next_generation(self, tune_controller: TuneController) -> None:
        """All have come as far, and wait."""
        size = self._quantile_size()
        best = [trial_id for _, _, trial_id in self._scores[-size:]] if size else []
        for _, number, trial_id in self._scores[:size]:
            chance = random.Random(f"{self._seed or 0}/{number}/{self._generation}")
            trial = self._trial(tune_controller, trial_id)
            donor = self._trial(tune_controller, best[chance.randrange(size)])
            if donor.checkpoint is None:
                raise TuneError(
                    f"{type(self).__name__} copies checkpoints, and trial {donor} has none when all are compared; "
                    f"have the trainable make one at least every {self._interval:g} of {self._time_attr}"
                )
            self._exploit(tune_controller, trial, donor, chance)
        self._generation += 1
        farthest = max(member.time for member in self._members.values())
        self._sync_time += self._interval * max(1, (farthest - self._sync_time) // self._interval + 1)
        self._behind = dict.fromkeys(self._members)
        for member in self._members.values():
            member.perturbed_at = member.time

    def _exploit(self, tune_controller: TuneController, trial: Trial, donor: Trial, chance: random.Random) -> None:
        config = self._explored(trial, donor, chance)
        if self._custom_explore_fn is not None:
            config = self._custom_explore_fn(config)
            if not isinstance(config, dict):
                raise InvalidArgumentError(
                    f"custom_explore_fn returned {config!r}; return the new configuration, a dict"
                )
        member, donor_member = self._members[trial.trial_id], self._members[donor.trial_id]
        tune_controller.exploit(trial, donor, config, tag_of(donor.config, config))
        iteration = member.copied_iteration = _checkpoint_iteration(donor, donor_member)
        # The copy's clock goes on from the donor's, with its checkpoint.
        member.time, member.perturbed_at = donor_member.time, donor_member.perturbed_at
        member.exploitations += 1
        self._num_exploitations += 1
        self._policy_log.record(
            trial,
            donor,
            Exploitation(
                member.tag,
                donor_member.tag,
                int(trial.last_result.get("training_iteration", 0)),
                iteration,
                donor.config,
                config,
            ),
        )

    def _next(self, tune_controller: TuneController) -> Trial | None:
        """Returns who waits and has come least far; with synch, who has not come to the next comparison."""
        self._look(tune_controller)
        while self._waiting:
            _, _, trial_id = self._waiting[0]
            if trial_id in self._members:
                trial = self._trial(tune_controller, trial_id)
                if self._synch and trial_id not in self._behind:
                    return None
                heapq.heappop(self._waiting)
                self._out[trial_id] = None
                if trial.status in (PENDING, PAUSED):
                    return trial
            else:
                heapq.heappop(self._waiting)
        return None

    def _look(self, tune_controller: TuneController) -> None:
        """Finds who has begun to wait. Only those are looked at who were not waiting: not many more than there are places."""
        for trial_id in list(self._out):
            if self._trial(tune_controller, trial_id).status in (PENDING, PAUSED):
                del self._out[trial_id]
                member = self._members[trial_id]
                heapq.heappush(self._waiting, (member.time, member.number, trial_id))

    def _somebody_waits(self) -> bool:
        while self._waiting and self._waiting[0][2] not in self._members:
            heapq.heappop(self._waiting)
        return bool(self._waiting)

    def _is_known(self, trial: Trial) -> bool:
        return trial.trial_id in self._members

    def _ended(self, tune_controller: TuneController, trial: Trial) -> None:
        member = self._members.pop(trial.trial_id, None)
        if member is not None and member.score is not None:
            self._forget_score(trial.trial_id, member)
        self._behind.pop(trial.trial_id, None)
        self._out.pop(trial.trial_id, None)
        super()._ended(tune_controller, trial)


def _checkpoint_iteration(donor: Trial, member: Member) -> int:
    """Returns at which iteration its latest checkpoint was made: it may have reported since then."""
    for checkpoint, result in reversed(donor.checkpoints):
        if checkpoint is donor.checkpoint:
            return int(result.get("training_iteration", 0))
    return member.copied_iteration


def _added(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    added: dict[str, Any] = {}
    for key, value in after.items():
        inner = before.get(key, {})
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            added |= _added(inner, value, f"{prefix}{key}/")
        elif key not in before:
            added[f"{prefix}{key}"] = value
    return added
