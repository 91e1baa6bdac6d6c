"""What there is to say of a search while it runs, in lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoal.tune._internal.logic.scores import best_trial, score_of
from shoal.tune._internal.logic.trial_table import counted, cut, short_names, text_of
from shoal.tune.experiment.trial import ERROR, RUNNING, Trial

LONGEST_REASON = 400
WORDS = {"ERROR": "failed"}


@dataclass(frozen=True)
class Search:
    """What does not change while a search runs.

    Args:
        name: of the search.
        metric: what it goes by.
        mode: 'min' or 'max'.
        total: trials that there will be; None where nobody knows.
        capacity: what all machines have, by resource.
    """

    name: str = ""
    metric: str | None = None
    mode: str | None = None
    total: int | None = None
    capacity: Mapping[str, float] | None = None


def status_line(trials: Sequence[Trial], search: Search, seconds: float | None) -> str:
    """Returns how many trials there are of each status, how long it has taken, and what is in use."""
    counts = counted(trials)
    of = f" of {search.total}" if search.total is not None and search.total > len(trials) else ""
    states = ", ".join(f"{count} {WORDS.get(status, status.lower())}" for status, count in counts.items())
    parts = [f"{len(trials)}{of} trial{'s' * (len(trials) != 1 or bool(of))}" + (f": {states}" if states else "")]
    if seconds is not None:
        parts.append(duration(seconds))
    if search.capacity:
        parts.append(usage(trials, search.capacity))
    return " · ".join(part for part in parts if part)


def usage(trials: Sequence[Trial], capacity: Mapping[str, float]) -> str:
    """Returns what running trials have of what there is."""
    used: dict[str, float] = {}
    for trial in trials:
        if trial.status == RUNNING:
            for bundle in trial.resources:
                for name, amount in bundle.items():
                    used[name] = used.get(name, 0.0) + amount
    shown = [name for name in ("CPU", "GPU", *sorted(used.keys() - {"CPU", "GPU"})) if capacity.get(name)]
    return ", ".join(_of(used.get(name, 0.0), capacity[name], name) for name in shown)


def _of(used: float, there: float, name: str) -> str:
    if "memory" in name:  # bytes
        return f"{used / 2**30:.1f}/{there / 2**30:.1f} GiB {name}"
    return f"{used:g}/{there:g} {name}"


def best_line(trials: Sequence[Trial], search: Search) -> str:
    """Returns the best trial so far; empty where there is none."""
    metric, mode = search.metric, search.mode
    if not isinstance(metric, str) or mode not in ("min", "max"):
        return ""
    best = best_trial(trials, metric, mode)
    if best is None:
        return ""
    score = text_of(score_of(best, metric, mode))
    names = short_names(list(best.evaluated_params))
    values = best.evaluated_params.items()
    parameters = ", ".join(f"{names[name]}={cut(text_of(value), 20)}" for name, value in values)
    return f"best {metric} ({mode}): {score} by {best.trial_name}" + (
        f" with {cut(parameters, 120)}" if parameters else ""
    )


def failure_lines(trials: Sequence[Trial], most: int) -> list[str]:
    """Returns one line for each trial that failed, saying why; at most so many, and then how many more there are."""
    failed = [trial for trial in trials if trial.status == ERROR]
    lines = [failure_line(trial) for trial in failed[:most]]
    if len(failed) > most > 0:
        lines.append(f"… and {len(failed) - most} more failed trials")
    return lines


def failure_line(trial: Trial) -> str:
    """Returns why a trial failed."""
    where = f" ({trial.error_file})" if trial.error_file else ""
    times = f" after {trial.num_failures} failures" if trial.num_failures > 1 else ""
    return f"{trial.trial_name} failed{times}: {reason(trial.error)}{where}"


def reason(error: BaseException | None) -> str:
    """Returns an error on one line: what was at its bottom, where errors were wrapped on their way."""
    if error is None:
        return "the error is not known"
    inner = error
    seen: set[int] = set()
    while id(inner) not in seen:
        seen.add(id(inner))
        # An error of another process has what was raised there as an attribute.
        below = getattr(inner, "cause", None) or inner.__cause__
        if not isinstance(below, BaseException):
            break
        if id(below) not in seen:
            inner = below
    text = " ".join(str(inner).split())
    name = type(inner).__name__
    return cut(text if text.startswith(name) else f"{name}: {text}" if text else name, LONGEST_REASON)


def duration(seconds: float) -> str:
    """Returns seconds for people: '42 s', '3 min 5 s', '2 h 10 min'."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
