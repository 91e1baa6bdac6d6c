"""Pictures of a search: how trials learned, and which parameters mattered. With matplotlib, which is loaded when something is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.tune._internal.logic.parameters import flattened
from shoal.tune._internal.logic.scores import score_of
from shoal.tune.experiment.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 4
"""Trials from which something can be said about parameters."""
TREES = 100
MOST_BARS = 12

History = Sequence[Mapping[str, Any]]


def parameter_importances(trials: Sequence[Trial], metric: str, mode: str) -> dict[str, float]:
    """Returns how much of the differences between trials each parameter explains, the most first; together they are 1.

    A forest of trees (scikit-learn) learns the trials' last values from their parameters; what its trees split by counts. The same trials
    give the same answer. Empty where fewer than four trials have a value, or nothing differs.

    Args:
        trials: of one search.
        metric: by its name.
        mode: 'min' or 'max'.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    scored = [
        (trial, score)
        for trial in trials
        if (score := score_of(trial, metric, mode)) is not None and math.isfinite(score)
    ]
    names = sorted({name for trial, _ in scored for name in trial.evaluated_params})
    columns = {name: _as_numbers([trial.evaluated_params.get(name) for trial, _ in scored]) for name in names}
    columns = {name: column for name, column in columns.items() if len(set(column)) > 1}
    scores = [score for _, score in scored]
    if len(scored) < FEWEST or not columns or len(set(scores)) == 1:
        return {}
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError as error:
        raise ImportError("the importance of parameters needs scikit-learn: pip install 'shoal-tune[plot]'") from error
    forest = RandomForestRegressor(n_estimators=TREES, random_state=0)
    forest.fit(list(zip(*columns.values(), strict=True)), scores)
    shares = zip(columns, forest.feature_importances_.tolist(), strict=True)
    return dict(sorted(shares, key=lambda pair: -pair[1]))


def search_figure(
    histories: Mapping[Trial, History], best: Trial, metric: str, mode: str, x: str = "training_iteration"
) -> Figure:
    """Returns a picture of a search: learning curves, the best trial's on top, and beside them how much each parameter mattered.

    Args:
        histories: what each trial reported.
        best: of the trials.
        metric: what is drawn.
        mode: 'min' or 'max'.
        x: what the curves run along.

    Raises:
        ImportError: matplotlib or scikit-learn is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plot() needs matplotlib: pip install 'shoal-tune[plot]'") from error
    # Not by pyplot: a figure of its own opens no window, and nothing has to be closed.
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_curves(curves, histories, best, metric, x)
    _draw_importances(bars, parameter_importances(list(histories), metric, mode), metric)
    return figure


def _draw_curves(axes: Axes, histories: Mapping[Trial, History], best: Trial, metric: str, x: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for trial, history in histories.items():
        flat = [flattened(result) for result in history]
        points = [(one[x], one[metric]) for one in flat if _is_finite(one.get(x)) and _is_finite(one.get(metric))]
        if not points:
            continue
        along, values = zip(*points, strict=True)
        is_best = trial is best
        (line,) = axes.plot(along, values, marker="o" if len(points) == 1 else None, markersize=3)
        if is_best:
            line.set(color="tab:red", linewidth=2.0, zorder=3, label=f"best: {trial.trial_name}")
        else:
            line.set(color="tab:blue", linewidth=1.0, alpha=0.35)
    if x == "training_iteration":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=x, ylabel=metric, title=f"{metric} of {len(histories)} trials")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize="small")


def _draw_importances(axes: Axes, importances: Mapping[str, float], metric: str) -> None:
    axes.set(title="Importance of parameters", xlabel=f"share of the differences in {metric}")
    if not importances:
        axes.text(0.5, 0.5, f"needs {FEWEST} trials that differ", ha="center", va="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return
    shown = dict(reversed(list(importances.items())[:MOST_BARS]))
    axes.barh(list(shown), list(shown.values()), color="tab:blue")


def _as_numbers(values: Sequence[Any]) -> list[float]:
    """Numbers stay; other values are numbered in the order of their texts; what a trial lacks is below all."""
    if all(value is None or _is_finite(value) for value in values):
        known = [float(value) for value in values if value is not None]
        least = min(known, default=0.0) - 1.0
        return [least if value is None else float(value) for value in values]
    places = {text: float(place) for place, text in enumerate(sorted({str(value) for value in values}))}
    return [places[str(value)] for value in values]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
