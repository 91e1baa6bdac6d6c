"""HyperBand as BOHB needs it."""

from __future__ import annotations

from typing import Any

from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers.hyperband import HyperBandScheduler
from shoal.tune.schedulers.trial_scheduler import TuneController


class HyperBandForBOHB(HyperBandScheduler):
    """HyperBand whose results tell at which budget they were obtained, for a searcher that models them (`TuneBOHB`).

    The brackets that compare earliest are filled first, so that the model has data soon, and each report at a rung carries
    `hyperband_info={'budget': rung}` (Falkner, Klein and Hutter, *BOHB: Robust and Efficient Hyperparameter Optimization at Scale*, 2018).
    The arguments are HyperBandScheduler's.

    Raises:
        InvalidArgumentError: an argument cannot be.
    """

    _largest_first = True

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        number = self._bracket_numbers.get(trial.trial_id)
        result["hyperband_info"] = {}
        if number is not None and self._has_metric(trial, result):
            bracket = self._brackets[number]
            rung = bracket.rungs[bracket.rung]
            if self._time(trial, result) >= rung:
                result["hyperband_info"] = {"budget": rung}
        return super().on_trial_result(tune_controller, trial, result)
