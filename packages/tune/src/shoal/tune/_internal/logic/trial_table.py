"""Trials as a table that fits: the columns that tell trials apart, the rows that matter most, values cut short."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shoal.tune._internal.logic.parameters import flattened
from shoal.tune._internal.logic.scores import score_of
from shoal.tune.experiment.trial import ERROR, PAUSED, PENDING, RUNNING, TERMINATED, Trial

Columns = Mapping[str, str]
"""What is shown of a result or a configuration ('a/b' where nested), and the heading of each."""

ORDER = (RUNNING, PAUSED, PENDING, TERMINATED, ERROR)
"""Of the rows."""
WIDEST = 20
"""Characters of a cell."""
MOST_COLUMNS = 6
"""Of metrics, and of parameters, where nobody says which."""

ADDED = frozenset(
    {
        "checkpoint_dir_name",
        "config",
        "date",
        "done",
        "experiment_tag",
        "hostname",
        "iterations_since_restore",
        "node_ip",
        "pid",
        "should_checkpoint",
        "time_since_restore",
        "time_this_iter_s",
        "time_total_s",
        "timestamp",
        "training_iteration",
        "trial_id",
    }
)
"""What the search adds to each result."""


@dataclass(frozen=True)
class TrialTable:
    """A table of texts.

    Args:
        headings: of the columns.
        rows: their cells.
        numbers: which columns stand at the right.
        more: trials that are left out, by status.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int]
    more: Mapping[str, int]


@dataclass(frozen=True)
class Selection:
    """What a table shows.

    Args:
        metrics: which; None for those that are reported, at most MOST_COLUMNS.
        parameters: which; None for those that differ between trials, at most MOST_COLUMNS.
        rows: at most.
        width: characters of a cell at most.
        by_score: rows go by the metric, the best first, and not by status.
        infer_limit: metrics at most where they are inferred.
    """

    metrics: Columns | None = None
    parameters: Columns | None = None
    rows: int = 20
    width: int = WIDEST
    by_score: bool = False
    infer_limit: int = MOST_COLUMNS


def trial_table(
    trials: Sequence[Trial],
    metric: str | None = None,
    mode: str | None = None,
    rows: int = 20,
    by_score: bool = False,
    selection: Selection | None = None,
) -> TrialTable:
    """Returns the table of some trials. What it costs beyond a look at each status is by the rows that are shown."""
    chosen = selection or Selection(rows=rows, by_score=by_score)
    shown, more = _shown(trials, chosen, metric, mode)
    metrics = chosen.metrics if chosen.metrics is not None else _reported(shown, metric, chosen.infer_limit)
    parameters = chosen.parameters if chosen.parameters is not None else _differing(shown)
    columns: list[tuple[str, Callable[[Trial, Mapping[str, Any], Mapping[str, Any]], Any]]] = [
        ("trial", lambda trial, config, result: trial.trial_name),
        ("status", lambda trial, config, result: trial.status),
    ]
    for name, heading in parameters.items():
        columns.append((heading, lambda trial, config, result, name=name: config.get(name)))  # type: ignore[misc]
    if any("training_iteration" in trial.last_result for trial in shown):
        columns.append(("iter", lambda trial, config, result: result.get("training_iteration")))
        columns.append(("time (s)", lambda trial, config, result: _seconds(result.get("time_total_s"))))
    for name, heading in metrics.items():
        columns.append((heading, lambda trial, config, result, name=name: result.get(name)))  # type: ignore[misc]
    values = []
    for trial in shown:
        config = {**flattened(trial.config), **trial.evaluated_params}
        result = flattened({name: value for name, value in trial.last_result.items() if name != "config"})
        values.append([column(trial, config, result) for _, column in columns])
    numbers = frozenset(
        place for place in range(len(columns)) if values and all(_is_number(row[place]) for row in values)
    )
    return TrialTable(
        tuple(cut(heading, chosen.width) for heading, _ in columns),
        tuple(tuple(cut(text_of(value), chosen.width) for value in row) for row in values),
        numbers,
        more,
    )


def counted(trials: Sequence[Trial]) -> dict[str, int]:
    """Returns how many trials there are of each status, in the order of a trial's life; what there is none of is not there."""
    counts = Counter(trial.status for trial in trials)
    return {status: counts[status] for status in (*ORDER, *sorted(counts.keys() - set(ORDER))) if counts[status]}


def text_of(value: Any) -> str:
    """Returns a value for people: numbers with five digits that matter, on one line."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    return " ".join(str(value).split())


def cut(text: str, width: int) -> str:
    """Returns a text of at most `width` characters: names keep their ends, which tell them apart."""
    if len(text) <= width:
        return text
    if width < 4:
        return text[:width]
    head = (width - 1) // 2
    return f"{text[:head]}…{text[head - width + 1 :]}"


def _shown(
    trials: Sequence[Trial], chosen: Selection, metric: str | None, mode: str | None
) -> tuple[list[Trial], dict[str, int]]:
    def badness(trial: Trial) -> float:
        score = score_of(trial, metric, mode) if metric is not None and mode in ("min", "max") else None
        if score is None or math.isnan(score):
            return math.inf
        return score if mode == "min" else -score

    if chosen.by_score:
        shown = sorted(trials, key=badness)[: chosen.rows]
    else:
        by_status: dict[str, list[Trial]] = {}
        for trial in trials:
            by_status.setdefault(trial.status, []).append(trial)
        shown = []
        for status in (*ORDER, *sorted(by_status.keys() - set(ORDER))):
            left = chosen.rows - len(shown)
            group = by_status.get(status, [])
            # Of those that are over, the best are worth seeing; of the others, the oldest.
            shown += sorted(group, key=badness)[:left] if status == TERMINATED and metric else group[:left]
    seen = set(shown)
    return shown, counted([trial for trial in trials if trial not in seen])


def _reported(trials: Sequence[Trial], metric: str | None, limit: int) -> dict[str, str]:
    found: dict[str, str] = {metric: metric} if metric is not None else {}
    for trial in trials:
        for name, value in flattened({k: v for k, v in trial.last_result.items() if k not in ADDED}).items():
            if _is_number(value) and value is not None and name not in found:
                if len(found) >= limit:
                    return found
                found[name] = name
    return found


def _differing(trials: Sequence[Trial]) -> dict[str, str]:
    names: dict[str, None] = {}
    for trial in trials:
        names.update(dict.fromkeys(trial.evaluated_params))
    varying = {
        name: name
        for name in names
        if len(trials) == 1 or len({text_of(trial.evaluated_params.get(name)) for trial in trials}) > 1
    }
    # Where nothing differs yet, all are as good.
    return short_names(list(varying or dict.fromkeys(names))[:MOST_COLUMNS])


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Returns the last parts of names like 'a/b', where that tells them apart."""
    short = [name.rpartition("/")[2] for name in names]
    return {name: last if short.count(last) == 1 else name for name, last in zip(names, short, strict=True)}


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _seconds(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) and math.isfinite(value) else value
