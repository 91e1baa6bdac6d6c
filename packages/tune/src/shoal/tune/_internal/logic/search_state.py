"""A search: which trial goes on, waits or ends, and why. Events in, effects out; no clock, file or process.

A trial is PENDING until an executor is free for it, RUNNING until it has ended or was told to, PAUSED where the scheduler wants it to wait,
and TERMINATED or ERROR at last. An executor that runs a trial always owes an answer (`reported`, `failed` or `executor_lost`); the answer
to a report is GoOn or EndTrial. What a trial that was told to end becomes stands in `Life.ending`, and happens when it has ended. Who
begins where is `Dispatch`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shoal.tune._internal.logic import effects as act
from shoal.tune._internal.logic.checkpoints import CheckpointBook, Stored
from shoal.tune._internal.logic.dispatch import Dispatch
from shoal.tune._internal.logic.effects import Effect, Notify
from shoal.tune._internal.logic.frames import Frame, Report
from shoal.tune._internal.logic.life import CHANGE, COMPLETE, FAIL, INTERRUPT, PAUSE, Change, Life
from shoal.tune._internal.logic.metrics import check_metrics, flat_result
from shoal.tune._internal.logic.scheduler_requests import SchedulerRequests
from shoal.tune._internal.logic.search_plan import SearchPlan
from shoal.tune._internal.logic.silences import WARN_AFTER, Silences
from shoal.tune._internal.logic.slots import IDLE, Slots
from shoal.tune._internal.logic.spaces import evaluated
from shoal.tune._internal.logic.suggestions import Suggestions
from shoal.tune._internal.logic.trial_book import TrialBook
from shoal.tune._internal.logic.trial_names import experiment_tag
from shoal.tune.exceptions import (
    InfeasibleTrialError,
    InvalidArgumentError,
    InvalidReportError,
    MetricNotReportedError,
    SearchStalledError,
    TrialHungError,
    TuneError,
)
from shoal.tune.experiment.trial import ERROR, PAUSED, PENDING, TERMINATED, Trial
from shoal.tune.schedulers.trial_scheduler import TrialScheduler

HOPELESS = (MetricNotReportedError, InvalidReportError, InvalidArgumentError)
"""Failures that another try would end in, too."""
GRACE = 2.0
"""Seconds that a trial has to end by itself when the search ends it."""
STARTS = 3
"""Executors that may die one after the other before any of them is ready."""


class SearchState:
    """Decides for one search.

    Args:
        plan: what is to be done.
        suggestions: where configurations come from.
        scheduler: which trials run on.
        slots: for executors.
    """

    def __init__(self, plan: SearchPlan, suggestions: Suggestions, scheduler: TrialScheduler, slots: Slots) -> None:
        self.plan = plan
        self.suggestions = suggestions
        self.scheduler = scheduler
        self.slots = slots
        self.book = TrialBook()
        self.trials = self.book.trials
        self.lives = self.book.lives
        self.is_ending: str | None = None
        """Why no trial begins any more."""
        self.error: BaseException | None = None
        """What ended the search."""
        self.time_used = 0.0
        """Seconds of earlier runs of this search."""
        self._checkpoints = CheckpointBook(plan.checkpoints)
        self._silences = Silences(plan.max_silence)
        self._now = 0.0
        self._controller = SchedulerRequests(self)
        self._effects: list[Effect] = []
        self._dispatch = Dispatch(
            plan,
            self.book,
            suggestions,
            scheduler,
            self._controller,
            slots,
            self._silences,
            self._effects,
            lambda: self.is_ending is not None,
            self._refuse,
        )
        self._running = self._dispatch.running
        self._deadline: float | None = None
        self._kill_at: float | None = None
        self._failed_starts = 0
        self._is_interrupted = False

    # --- what the caller asks ---------------------------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether nothing runs, and nothing will."""
        if self._running:
            return False
        return self.is_ending is not None or (not self.book.live and self.suggestions.is_finished)

    @property
    def lock_step(self) -> bool:
        """Whether a trial waits at each report for what the search decides about it."""
        return not (
            self.scheduler.supports_buffered_results
            and self.plan.stopper is None
            and not self.suggestions.wants_results
        )

    @property
    def is_settled(self) -> bool:
        """Whether all that was decided has been carried out: no trial was told to end that has not ended."""
        return all(life.ending is None for life in self._running.values())

    @property
    def live_trials(self) -> Sequence[Trial]:
        """Trials that are not over."""
        return list(self.book.live)

    @property
    def next_deadline(self) -> float | None:
        """When `tick` has to be called, on the clock of `now`."""
        # Asked twice a report: without a list.
        soonest = self._silences.next_deadline
        for one in (self._deadline, self._kill_at):
            if one is not None and (soonest is None or one < soonest):
                soonest = one
        return soonest

    # --- events -----------------------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> list[Effect]:
        """The search starts, or goes on after it was restored."""
        self._now = now
        if self.plan.time_budget is not None:
            self._deadline = now + max(0.0, self.plan.time_budget - self.time_used)
        self._fill()
        return self._done()

    def executor_ready(self, number: int, now: float) -> list[Effect]:
        """A process has started."""
        self._now = now
        self._failed_starts = 0
        executor = self.slots.get(number)
        if executor is not None:
            executor.status = IDLE
            self._fill()
        return self._done()

    def reported(self, number: int, frame: Frame, now: float) -> list[Effect]:
        """A trial has reported, or ended."""
        self._now = now
        self._silences.heard(number, now)
        life = self._running[number]
        life.frames += 1
        if not frame.ended:
            self._dispatch.went_on(number)
        if frame.pid:
            life.facts |= {"pid": frame.pid, "hostname": frame.hostname, "node_ip": frame.node_ip}
        # What GoOn asked for was made before the step that is reported now; what EndTrial asked for, after all steps.
        if frame.saved is not None and not frame.ended:
            self._store(life, frame.saved, dict(life.trial.last_result))
        self._take(life, frame.reports)
        if frame.saved is not None and frame.ended:
            self._store(life, frame.saved, dict(life.trial.last_result))
        if not frame.ended:
            save, life.save_next = life.save_next, False
            if life.ending is None:
                # First: the trial works while others are told of what it reported.
                self._effects.insert(0, act.GoOn(number, save))
            else:
                self._effects.append(act.EndTrial(number, save or self._needs_checkpoint(life)))
            self._dispatch.look_ahead(number)
            return self._done()
        self._leave(life, frame.reusable and self.plan.reuse)
        self._ended(life)
        self._fill()
        return self._done()

    def failed(self, number: int, error: BaseException, now: float) -> list[Effect]:
        """A trial raised. Its process is not used again: it may be in any state."""
        return self.executor_lost(number, error, now)

    def told_where(self, number: int, silent: float, where: str, now: float) -> list[Effect]:
        """A process that was asked says for how many seconds its trial has said nothing, and where it is."""
        limit = self.plan.max_silence
        if limit is None or not self._silences.is_asked(number):
            return []  # it has reported, or ended
        if silent < limit:  # its report is on the way, or it waits for this search
            self._silences.heard(number, now - silent)
            return []
        return self.executor_lost(number, hung(self._running[number].trial, limit, where), now)

    def cannot_hold(self, number: int) -> None:
        """The trial that an executor should hold could not travel there."""
        self._dispatch.cannot_hold(number)

    def given_back(self, number: int, ticket: int, has_it: bool, now: float) -> list[Effect]:
        """A process that was asked to give back the trial that it holds says whether it has it still, and gives it back then."""
        self._now = now
        self._dispatch.given_back(number, ticket, has_it)
        self._fill()
        return self._done()

    def executor_lost(self, number: int, error: BaseException, now: float) -> list[Effect]:
        """A process ended, or could not be started."""
        self._now = now
        executor = self.slots.get(number)
        life = self._running.get(number)
        if executor is None:
            return self._done()
        if life is None:
            self._dispatch.end(executor)
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                self._crash(error)
        else:
            self._lose(life, error)
        self._fill()
        return self._done()

    def _lose(self, life: Life, error: BaseException) -> None:
        """A trial's process is not there any more. One that was told to end has ended; others have failed."""
        self._leave(life)
        if life.ending in (None, FAIL):
            life.ending, life.error = FAIL, life.error or error
        self._ended(life)

    def cannot_start(self, error: BaseException) -> list[Effect]:
        """No executor can be started, now or later."""
        self._crash(error)
        return self._done()

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        self._now = now
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            for number, life in list(self._running.items()):
                self._leave(life)
                self._ended(life)
                assert number not in self._running
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self.end_all("time budget", now)
        self._look_for_silence(now)
        # Stoppers are asked also when nobody reports; and what does not report is ended after a while.
        stopper = self.plan.stopper if self._kill_at is None and self.is_ending in (None, "stopper") else None
        if stopper is not None and stopper.stop_all():
            self.end_all("stopper", now)
        return self._done()

    def _look_for_silence(self, now: float) -> None:
        limit = self.plan.max_silence
        silent, dumb = self._silences.due(now)
        for number in silent:
            if limit is None:
                self._effects.append(act.WarnOfSilence(self._running[number].trial, WARN_AFTER))
            else:
                self._silences.asked(number, now)
                self._effects.append(act.AskWhere(number))
        for number in dumb:
            why = "Its process does not say where: code that is not Python may keep it from answering."
            if (life := self._running.get(number)) is not None:  # fail_fast may have ended it with another
                self._lose(life, hung(life.trial, limit or 0.0, why))
        if dumb:
            self._fill()

    def interrupt(self) -> list[Effect]:
        """The user wants to stop. Trials that can save themselves do at the end of their step; others go back to their checkpoint."""
        self._is_interrupted = True
        self.is_ending = self.is_ending or "interrupt"
        for life in list(self._running.values()):
            if life.ending is None:
                life.end(INTERRUPT, "interrupt")
            if not self.plan.saves_itself:
                self._leave(life)
                self._ended(life)
        return self._done()

    def end_all(self, why: str, now: float) -> None:
        """Ends all trials, and the search with them."""
        if self.is_ending is None:
            self.is_ending = why
        for trial in list(self.book.live):
            life = self.lives[trial.trial_id]
            if life.executor is None:
                self._complete(life, why, tell_scheduler=True)
            elif life.ending not in (COMPLETE, FAIL):
                life.end(COMPLETE, why)
        if self._running:
            self._kill_at = now + GRACE

    # --- reports ----------------------------------------------------------------------------------------------------------------

    def _take(self, life: Life, reports: Iterable[Report]) -> None:
        trial = life.trial
        results: list[dict[str, Any]] = []
        begin = len(self._effects)
        for report in reports:
            if life.ending is not None:
                break  # it had gone on before it heard of its end
            result = self._result(life, report)
            flat = flat_result(result)
            try:
                check_metrics(str(trial), self.plan.metrics, flat)
            except MetricNotReportedError as error:
                life.error = error
                life.end(FAIL)
                break
            trial.last_result = result
            life.analysis.add(flat)
            results.append(result)
            if report.checkpoint is not None:
                self._store(life, report.checkpoint, result)
            self._decide(life, result, flat, report.is_last)
        if results:
            self.book.change(trial)
            # Before what they led to: loggers write a report before the checkpoint that came with it counts.
            self._effects.insert(begin, Notify(act.RESULTS, trial, results=results))
            self._controller.carry_out()

    def _result(self, life: Life, report: Report) -> dict[str, Any]:
        """Returns a report with what the search adds to each."""
        result = report.metrics
        seconds = report.seconds
        own = result.get("time_this_iter_s")
        if type(own) is float or type(own) is int:
            seconds = float(own)
        life.iteration += 1
        life.iterations_since_restore += 1
        life.time_total += seconds
        life.time_since_restore += seconds
        result["training_iteration"] = life.iteration
        result["time_this_iter_s"] = seconds
        result["time_total_s"] = life.time_total
        result["timestamp"] = int(report.timestamp)
        result["date"] = self.plan.date(report.timestamp)
        result["done"] = report.is_last
        result["time_since_restore"] = life.time_since_restore
        result["iterations_since_restore"] = life.iterations_since_restore
        result.update(life.facts)
        if report.checkpoint is not None:
            result["checkpoint_dir_name"] = f"checkpoint_{report.checkpoint:06d}"
        return result

    def _decide(self, life: Life, result: dict[str, Any], flat: dict[str, Any], is_last: bool) -> None:
        """What a result means for its trial."""
        trial, scheduler = life.trial, self.scheduler
        stopper = self.plan.stopper
        stops = False
        if stopper is not None:
            # Stoppers of programs look into nested metrics; ours go by flat names.
            stops = bool(stopper(trial.trial_id, result if flat is result else {**flat, **result}))
        ends_all = stopper is not None and stopper.stop_all()
        if is_last or stops:
            result["done"] = True
            scheduler.on_trial_complete(self._controller, trial, flat)
            life.end(COMPLETE, "its own report" if is_last else "stopper")
        else:
            try:
                decision = scheduler.on_trial_result(self._controller, trial, flat)
            except MetricNotReportedError as error:
                # What the scheduler goes by is missing: that is this trial's failure, and not the search's.
                life.error = error
                life.end(FAIL)
                return
            self.suggestions.result(trial.trial_id, flat)
            if decision == TrialScheduler.STOP:
                result["done"] = True
                life.end(COMPLETE, "scheduler")
            elif decision == TrialScheduler.PAUSE:
                life.end(PAUSE)
            elif decision not in (TrialScheduler.CONTINUE, TrialScheduler.NOOP):
                raise TuneError(
                    f"{type(scheduler).__name__}.on_trial_result returned {decision!r}; return CONTINUE, PAUSE, STOP or NOOP"
                )
        if ends_all and self.is_ending is None:
            self.is_ending = "stopper"
            for other in list(self.book.live):
                if (another := self.lives[other.trial_id]).ending is None:
                    if another.executor is None:
                        self._complete(another, "stopper", tell_scheduler=True)
                    else:
                        another.end(COMPLETE, "stopper")

    def _store(self, life: Life, number: int, result: dict[str, Any]) -> None:
        """A checkpoint was stored."""
        trial = life.trial
        stored = Stored(number, self.plan.checkpoint_at(trial, number), dict(result), life.iteration, life.time_total)
        life.next_checkpoint = number + 1
        gone = self._checkpoints.add(life.kept, stored)
        self._show_checkpoints(life)
        self.book.change(trial)
        self._effects.append(Notify(act.SAVED, trial, checkpoint=stored.checkpoint))
        self._effects += [act.DeleteCheckpoint(one) for one in gone]

    def _show_checkpoints(self, life: Life) -> None:
        latest = life.kept.latest
        life.trial.checkpoint = latest.checkpoint if latest is not None else None
        life.trial.checkpoints = [(one.checkpoint, one.result) for one in life.kept.stored]

    @staticmethod
    def _needs_checkpoint(life: Life) -> bool:
        """Whether a trial that ends here goes on later from where it is."""
        if life.ending == CHANGE:
            return life.change is None or life.change.start_from is None
        return life.ending in (PAUSE, INTERRUPT)

    # --- the ends of trials ---------------------------------------------------------------------------------------------------------

    def _ended(self, life: Life) -> None:
        """A trial has ended, because it was told to or by itself."""
        ending, life.ending = life.ending, None
        if ending is None:
            self.scheduler.on_trial_complete(self._controller, life.trial, flat_result(life.trial.last_result))
            self._complete(life, None)
        elif ending == COMPLETE:
            self._complete(life, life.why)
        elif ending == FAIL:
            self._fail(life)
        elif ending == PAUSE:
            self._set_status(life, PAUSED)
            life.rewind()
        elif ending == CHANGE:
            self._apply_change(life)
        else:
            self._set_status(life, PENDING)
            life.rewind()
        self._controller.carry_out()

    def _complete(self, life: Life, why: str | None, tell_scheduler: bool = False) -> None:
        trial = life.trial
        self._drop_change(life)
        trial.why_stopped = why
        if trial.last_result:
            trial.last_result["done"] = True
        if tell_scheduler:
            self.scheduler.on_trial_remove(self._controller, trial)
        self._set_status(life, TERMINATED)
        self.suggestions.complete(trial.trial_id, flat_result(trial.last_result) or None, error=False)
        self._effects.append(Notify(act.COMPLETED, trial))

    def _fail(self, life: Life) -> None:
        trial = life.trial
        error, life.error = life.error, None
        trial.num_failures += 1
        tries_again = self.plan.max_failures == -1 or trial.num_failures <= self.plan.max_failures
        if tries_again and not isinstance(error, HOPELESS) and not self.is_ending:
            trial.error = error
            self._set_status(life, PENDING)
            life.rewind()
            self._effects.append(Notify(act.RECOVERED, trial))
            return
        trial.error = error
        self.scheduler.on_trial_error(self._controller, trial)
        self._set_status(life, ERROR)
        self.suggestions.complete(trial.trial_id, flat_result(trial.last_result) or None, error=True)
        self._effects.append(Notify(act.FAILED, trial))
        if self.plan.fail_fast and self.is_ending is None:
            self.is_ending = "fail_fast"
            for other in list(self.book.live):
                another = self.lives[other.trial_id]
                if another.executor is not None:
                    self._leave(another)
                self._complete(another, "fail_fast", tell_scheduler=True)

    def _set_status(self, life: Life, status: str) -> None:
        self._dispatch.release(life)
        self.book.set_status(life, status)

    def _apply_change(self, life: Life) -> None:
        """A trial goes on with something else: from another's checkpoint, with another configuration, with other resources."""
        change, life.change = life.change, None
        trial = life.trial
        if change is not None:
            if change.start_from is not None:
                gone = self._checkpoints.start_from(life.kept, change.start_from)
                gone += self._checkpoints.release(change.start_from)
                self._effects += [act.DeleteCheckpoint(one) for one in gone]
                self._show_checkpoints(life)
            if change.config is not None:
                trial.config = change.config
                # What was open in the space, with its values of now.
                trial.evaluated_params = evaluated(self.plan.space, change.config)
                tag = experiment_tag(trial.number, trial.evaluated_params)
                trial.experiment_tag = f"{tag}@{change.tag}" if change.tag else tag
            if change.bundles is not None:
                trial.resources = change.bundles
        life.rewind()
        self._set_status(life, PENDING)

    def _drop_change(self, life: Life) -> None:
        change, life.change = life.change, None
        if change is not None and change.start_from is not None:
            self._effects += [act.DeleteCheckpoint(one) for one in self._checkpoints.release(change.start_from)]

    def _crash(self, error: BaseException) -> None:
        """The search cannot go on."""
        if self.error is None:
            self.error = error
        self.is_ending = self.is_ending or "error"
        for life in list(self._running.values()):
            self._leave(life)
            if life.ending is None:
                life.end(INTERRUPT)
            self._ended(life)

    # --- the beginnings of trials ---------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        if not self._dispatch.fill(self._now):
            self._stalled()

    def _leave(self, life: Life, reusable: bool = False) -> None:
        self._dispatch.leave(life, reusable, self._now)

    def _refuse(self, life: Life, missing: Mapping[str, tuple[float, float]]) -> None:
        life.error = infeasible(f"Trial {life.trial}", missing)
        self._fail(life)

    def _stalled(self) -> None:
        """Nothing runs, nothing starts, and there is something left."""
        if waiting := len(self.book.live):
            what = f"{type(self.scheduler).__name__} lets none of {waiting} waiting trials run ({self.scheduler.debug_string()})"
        else:
            what = f"{type(self.suggestions.searcher).__name__} suggests nothing, and has not said that it is finished"
        self._crash(SearchStalledError(f"The search is stuck: nothing runs, and {what}."))
        self._dispatch.retire_idle()

    # --- requests of the scheduler ------------------------------------------------------------------------------------------------

    def request_stop(self, trial: Trial) -> None:
        """The scheduler ends a trial."""
        life = self.lives[trial.trial_id]
        if trial.is_finished():
            return
        if life.executor is None:
            self._complete(life, "scheduler")
        elif life.ending not in (COMPLETE, FAIL):
            life.end(COMPLETE, "scheduler")

    def request_save(self, trial: Trial) -> None:
        """The scheduler wants a checkpoint."""
        self.lives[trial.trial_id].save_next = True

    def request_change(self, trial: Trial, change: Change) -> None:
        """The scheduler wants a trial to go on otherwise."""
        life = self.lives[trial.trial_id]
        if trial.is_finished() or life.ending in (COMPLETE, FAIL):
            return
        self._drop_change(life)
        if change.start_from is not None:
            self._checkpoints.hold(change.start_from)
        life.change = change
        if life.executor is None:
            self._apply_change(life)
        else:
            life.end(CHANGE)

    # --- a search that is taken up again ----------------------------------------------------------------------------------------------

    def adopt(self, life: Life, stored: Sequence[Stored], latest: Stored | None) -> None:
        """A trial of an earlier run of this search has these checkpoints, and goes on from `latest`."""
        for one in stored:
            self._effects += [act.DeleteCheckpoint(gone) for gone in self._checkpoints.add(life.kept, one)]
        if latest is not life.kept.latest:
            self._checkpoints.start_from(life.kept, latest)
        life.next_checkpoint = max((one.number for one in life.kept.stored), default=-1) + 1
        self._show_checkpoints(life)
        life.rewind()

    def tell_scheduler_added(self, trial: Trial) -> None:
        """The scheduler's state is older than a trial."""
        self.scheduler.on_trial_add(self._controller, trial)
        self._controller.forget()

    def tell_scheduler_over(self, trial: Trial, failed: bool) -> None:
        """The scheduler's state is older than a trial's end."""
        if failed:
            self.scheduler.on_trial_error(self._controller, trial)
        else:
            self.scheduler.on_trial_complete(self._controller, trial, flat_result(trial.last_result))
        self._controller.forget()

    def _done(self) -> list[Effect]:
        effects = self._effects[:]
        self._effects.clear()
        return effects


def infeasible(who: str, missing: Mapping[str, tuple[float, float]]) -> InfeasibleTrialError:
    """Returns the error of a trial that can never run."""
    needs = ", ".join(f"{need:g} {name} (there: {there:g})" for name, (need, there) in missing.items())
    return InfeasibleTrialError(
        f"{who} needs {needs}: more than all machines have together. Give tune.with_resources less."
    )


def hung(trial: Trial, limit: float, where: str) -> TrialHungError:
    """Returns the error of a trial that says nothing."""
    return TrialHungError(f"Trial {trial} has not reported for {limit:g} s (max_report_interval_s). {where}")
