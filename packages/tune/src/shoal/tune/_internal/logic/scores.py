"""Which trial is the best: by the last value of a metric, an average of it, or the best it ever was."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial

SCOPES = ("last", "avg", "last-5-avg", "last-10-avg", "all")


def checked_mode(mode: object) -> str:
    """Returns 'min' or 'max'. Raises InvalidArgumentError."""
    if mode not in ("min", "max"):
        raise InvalidArgumentError(f"mode is {mode!r}; give 'min' or 'max'")
    return str(mode)


def checked_scope(scope: object) -> str:
    """Returns a scope that there is. Raises InvalidArgumentError."""
    if scope not in SCOPES:
        raise InvalidArgumentError(f"scope is {scope!r}; give one of {', '.join(map(repr, SCOPES))}")
    return str(scope)


def score_of(trial: Trial, metric: str, mode: str, scope: str = "last") -> float | None:
    """Returns a trial's value of a metric ('a/b' where nested) in a scope; None where it reported none."""
    known = trial.metric_analysis.get(metric)
    if known is None:
        return None
    return known.get(mode if scope == "all" else scope)


def best_trial(
    trials: Iterable[Trial], metric: str, mode: str, scope: str = "last", filter_nan_and_inf: bool = True
) -> Trial | None:
    """Returns the best of some trials, the first of equals; None where none has a value.

    Args:
        trials: to choose from.
        metric: by its name.
        mode: 'min' or 'max'.
        scope: which of a trial's values counts: see SCOPES; 'all' is its best.
        filter_nan_and_inf: pass over trials whose value is no finite number.
    """
    best: Trial | None = None
    best_score = 0.0
    for trial in trials:
        score = score_of(trial, metric, mode, scope)
        if score is None or (filter_nan_and_inf and not math.isfinite(score)):
            continue
        if best is None or (score < best_score if mode == "min" else score > best_score):
            best, best_score = trial, score
    return best


def why_there_is_no_best(trials: Sequence[Trial], metric: str) -> str:
    """Returns why no trial could be chosen by a metric, and what can be done."""
    reported: dict[str, None] = {}
    for trial in trials:
        reported.update(dict.fromkeys(trial.metric_analysis))
    if metric in reported:
        return (
            f"All values of the metric {metric!r} are NaN or infinite. "
            "Give filter_nan_and_inf=False to have them compared all the same."
        )
    if not trials:
        return "There are no trials."
    failed = sum(trial.error is not None for trial in trials)
    errors = f" {failed} of {len(trials)} trials failed; `errors` has what they raised." if failed else ""
    if not reported:
        return f"No trial reported anything, so none has the metric {metric!r}.{errors}"
    close = difflib.get_close_matches(metric, reported, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"No trial reported the metric {metric!r}.{hint} Reported were: {', '.join(map(repr, reported))}.{errors}"
