"""Pictures of how algorithms learn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shoal.rllib.utils.error import ConfigError, MissingLibraryError, close_matches

RETURN = "env_runners/episode_return_mean"
STEPS = "num_env_steps_sampled_lifetime"
_POINTS = 200


def draw_learning_curves(
    runs: Mapping[str, Sequence[Any]] | Sequence[Any],
    path: str | os.PathLike[str],
    *,
    x: str = STEPS,
    y: str = RETURN,
    goal: float | None = None,
    title: str | None = None,
) -> Path:
    """Draws a metric over the steps that were sampled. Needs the extra `plot`.

    Args:
        runs: the results of a run, as `train()` returned them; or several runs: by name, or in a list. Where a name has a list of runs (one
            for each seed, say), their mean is drawn, and from the lowest to the highest. Frames of Tune's results
            (`result.metrics_dataframe`) are runs, too.
        path: the picture; what its name ends with is its format.
        x: what is to the right, a path of keys.
        y: what is upwards.
        goal: a level to mark.
        title: above the picture.

    Returns:
        The path.

    Raises:
        ConfigError: (a ValueError) no result has the metric.
        MissingLibraryError: (an ImportError) matplotlib is not installed.

    Example:
        >>> from shoal.rllib.utils.curves import draw_learning_curves
        >>> rows = [{"num_env_steps_sampled_lifetime": 100 * i, "env_runners": {"episode_return_mean": 20.0 * i}} for i in range(5)]
        >>> draw_learning_curves(rows, "/tmp/curve.png").name
        'curve.png'
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingLibraryError("curves need matplotlib: pip install 'shoal-rllib[plot]'") from error

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    named = _by_name(runs)
    for name, several in named.items():
        points = [_points(run, x, y) for run in several]
        grid, low, mean, high = band(points)
        (line,) = axes.plot(grid, mean, label=name)
        if len(points) > 1:
            axes.fill_between(grid, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    if goal is not None:
        axes.axhline(goal, color="gray", linestyle="--", linewidth=1)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title is not None:
        axes.set_title(title)
    if len(named) > 1:
        axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    return Path(path)


def band(points: Sequence[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]) -> tuple[Any, Any, Any, Any]:
    """Returns where curves are looked at, and their lowest, mean and highest values there: between points on straight lines.

    One curve keeps its own points. Several are looked at as far as all of them go.
    """
    if len(points) == 1:
        grid, values = points[0]
        return grid, values, values, values
    grid = np.linspace(max(xs[0] for xs, _ in points), min(xs[-1] for xs, _ in points), _POINTS)
    curves = np.stack([np.interp(grid, xs, values) for xs, values in points])
    return grid, curves.min(0), curves.mean(0), curves.max(0)


def _by_name(runs: Any) -> dict[str, list[Any]]:
    """Lists of runs by name, in whichever of the forms they were given."""
    if _is_run(runs):
        return {"": [runs]}
    if isinstance(runs, Mapping):
        return {str(name): [given] if _is_run(given) else list(given) for name, given in runs.items()}
    return {f"run {number}": [run] for number, run in enumerate(runs, 1)}


def _is_run(given: Any) -> bool:
    if hasattr(given, "columns"):  # a frame
        return True
    return isinstance(given, Sequence) and bool(given) and isinstance(given[0], Mapping)


def _points(run: Any, x: str, y: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if hasattr(run, "columns"):
        for name in (x, y):
            if name not in run.columns:
                raise ConfigError(f"no result has {name!r}.{close_matches(name, map(str, run.columns))}")
        pairs = np.asarray(run[[x, y]], np.float64)
    else:
        found = [(_at(result, x), _at(result, y)) for result in run]
        pairs = np.array([pair for pair in found if None not in pair], np.float64).reshape(-1, 2)
        if not len(pairs):
            missing = x if all(first is None for first, _ in found) else y
            raise ConfigError(f"no result has {missing!r}; the last has {sorted(map(str, run[-1]))}")
    pairs = pairs[~np.isnan(pairs).any(1)]
    return pairs[:, 0], pairs[:, 1]


def _at(result: Any, path: str) -> Any:
    """What nested results have at a path of keys, or flat ones under that key."""
    if path in result:
        return result[path]
    for key in path.split("/"):
        if not isinstance(result, Mapping) or key not in result:
            return None
        result = result[key]
    return result
