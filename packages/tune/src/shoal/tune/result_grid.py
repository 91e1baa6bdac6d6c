"""What a search came to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pyarrow import fs

from shoal.tune._internal.logic.parameters import flattened
from shoal.tune._internal.logic.scores import best_trial, checked_mode, checked_scope, why_there_is_no_best
from shoal.tune.exceptions import InvalidArgumentError, NoBestResultError
from shoal.tune.experiment.trial import ERROR, TERMINATED, Trial
from shoal.tune.result import Result, TrialResult, read_history

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

SHOWN = 20


class ResultGrid:
    """The results of a search, one for each trial, in the order in which trials were made. `Tuner.fit` returns it.

    Args:
        trials: of the search.
        path: the search's folder.
        filesystem: of that folder.
        metric: what the search went by, where it said so: the default of methods.
        mode: 'min' or 'max', likewise.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.experiment import Trial
        >>> trial = Trial("00000000", 0, {"x": 1}, metric_analysis={"loss": {"last": 0.5}}, last_result={"loss": 0.5})
        >>> grid = tune.ResultGrid([trial], "/tmp/search")
        >>> grid.get_best_result("loss", "min").config
        {'x': 1}
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        path: str,
        filesystem: fs.FileSystem | None = None,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        self._trials = list(trials)
        self._path = path
        self._filesystem = filesystem if filesystem is not None else fs.LocalFileSystem()
        self._metric = metric
        self._mode = mode
        self._results: dict[int, TrialResult] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, index: int) -> Result:
        number = range(len(self._trials))[index]
        if number not in self._results:
            self._results[number] = TrialResult(self._trials[number], self._filesystem)
        return self._results[number]

    def __iter__(self) -> Iterator[Result]:
        return (self[number] for number in range(len(self)))

    @property
    def experiment_path(self) -> str:
        """The search's folder."""
        return self._path

    @property
    def filesystem(self) -> fs.FileSystem:
        """Of that folder."""
        return self._filesystem

    @property
    def trials(self) -> list[Trial]:
        """What the results are made of."""
        return list(self._trials)

    @property
    def errors(self) -> list[BaseException]:
        """What ended the trials that failed."""
        return [trial.error for trial in self._trials if trial.error is not None]

    @property
    def num_errors(self) -> int:
        """How many trials failed."""
        return sum(trial.status == ERROR for trial in self._trials)

    @property
    def num_terminated(self) -> int:
        """How many trials ended as they should, or were stopped."""
        return sum(trial.status == TERMINATED for trial in self._trials)

    def get_best_result(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Result:
        """Returns the best trial's result.

        Args:
            metric: by its name, 'a/b' where nested; None for the search's. Of a single trial neither this nor `mode` needs to be said.
            mode: 'min' or 'max'; None for the search's.
            scope: which of a trial's values counts: its 'last', the average of all ('avg') or of the last ones ('last-5-avg',
                'last-10-avg'), or the best that it ever had ('all').
            filter_nan_and_inf: pass over trials whose value is no finite number.

        Raises:
            InvalidArgumentError: (a ValueError) there is no metric or mode, or one that cannot be.
            NoBestResultError: (a RuntimeError) no trial has such a value. The text names metrics with similar names.

        Example:
            >>> from shoal import tune
            >>> results = tune.Tuner(lambda config: {"loss": config["x"] ** 2}, param_space={"x": tune.grid_search([-1, 0, 2])}).fit()
            >>> results.get_best_result("loss", "min").config
            {'x': 0}
        """
        if len(self._trials) == 1 and None in (metric or self._metric, mode or self._mode):
            return self[0]  # whatever would be asked for
        metric, mode = self._chosen(metric, mode)
        best = best_trial(self._trials, metric, mode, checked_scope(scope), filter_nan_and_inf)
        if best is None:
            raise NoBestResultError(why_there_is_no_best(self._trials, metric))
        return self[self._trials.index(best)]

    def get_dataframe(self, filter_metric: str | None = None, filter_mode: str | None = None) -> pd.DataFrame:
        """Returns one row for each trial that reported: its last report, or the one where a metric was at its best.

        Columns are what was reported, nested as 'a/b', 'config/…' for the configuration, and `logdir` for the trial's folder.

        Args:
            filter_metric: takes each trial's row in which this is best.
            filter_mode: 'min' or 'max': what best is.

        Raises:
            InvalidArgumentError: (a ValueError) one of the two is missing, or the mode cannot be.
        """
        return dataframe_of(self._trials, self._filesystem, filter_metric, filter_mode)

    def plot(
        self,
        metric: str | None = None,
        mode: str | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        x: str = "training_iteration",
    ) -> Figure:
        """Draws the trials' learning curves, and how much each parameter mattered. Needs the extra `shoal-tune[plot]`.

        Args:
            metric: what is drawn; None for the search's.
            mode: 'min' or 'max'; None for the search's.
            path: a file to write the picture to, of the kind that its name says (.png, .svg, .pdf, …); None for none.
            x: what the curves run along.

        Returns:
            A figure of matplotlib, which notebooks show.

        Raises:
            InvalidArgumentError: (a ValueError) there is no metric or mode, or one that cannot be.
            NoBestResultError: (a RuntimeError) no trial reported the metric.
            ImportError: matplotlib is not installed.
        """
        from shoal.tune.plots import search_figure

        metric, mode = self._chosen(metric, mode)
        best = best_trial(self._trials, metric, mode)
        if best is None:
            raise NoBestResultError(why_there_is_no_best(self._trials, metric))
        histories = {trial: read_history(trial, self._filesystem) for trial in self._trials}
        figure = search_figure(histories, best, metric, mode, x)
        if path is not None:
            figure.savefig(path)
        return figure

    def _chosen(self, metric: str | None, mode: str | None) -> tuple[str, str]:
        metric, mode = metric or self._metric, mode or self._mode
        for name, value in (("metric", metric), ("mode", mode)):
            if value is None:
                raise InvalidArgumentError(f"{name} is None, and the search had none: give one here, or in TuneConfig")
        if not isinstance(metric, str):
            raise InvalidArgumentError(f"metric is {metric!r}: give one of them by its name")
        return metric, checked_mode(mode)

    def _best_by_default(self) -> Trial | None:
        if not isinstance(self._metric, str) or self._mode not in ("min", "max"):
            return None
        return best_trial(self._trials, self._metric, self._mode)

    def _table(self) -> Table:
        from shoal.tune._internal.logic.trial_table import trial_table
        from shoal.tune._internal.process.rendering import rich_table

        metric = self._metric if isinstance(self._metric, str) else None
        table = trial_table(self._trials, metric=metric, mode=self._mode, rows=SHOWN, by_score=True)
        return rich_table(table, title=self._summary())

    def _summary(self) -> str:
        others = len(self._trials) - self.num_errors - self.num_terminated
        counts = [f"{self.num_terminated} terminated", f"{self.num_errors} failed" * bool(self.num_errors)]
        counts.append(f"{others} unfinished" * bool(others))
        text = f"{len(self._trials)} trial{'s' * (len(self._trials) != 1)}: {', '.join(count for count in counts if count)}"
        best = self._best_by_default()
        if best is not None and self._metric is not None:
            text += f"; best {self._metric} {best.metric_analysis[self._metric]['last']:.6g} by {best.trial_name}"
        return text

    def __repr__(self) -> str:
        return f"ResultGrid({self._summary()}; {self._path})"

    def __rich__(self) -> Any:
        return self._table()

    def _repr_html_(self) -> str:
        from shoal.tune._internal.process.rendering import as_html

        return as_html(self._table())


def dataframe_of(
    trials: Sequence[Trial], filesystem: fs.FileSystem, metric: str | None, mode: str | None
) -> pd.DataFrame:
    """Returns one row for each trial that reported: its last, or its best by a metric. Raises InvalidArgumentError."""
    import pandas as pd

    if (metric is None) != (mode is None):
        missing = "mode" if mode is None else "metric"
        raise InvalidArgumentError(f"filter_{missing} is None; give both a metric and a mode, or neither")
    rows = []
    for trial in trials:
        result = trial.last_result or None
        if metric is not None:
            result = _best_report(read_history(trial, filesystem), metric, checked_mode(mode))
        if result is not None:
            rows.append(flattened({**result, "config": trial.config}) | {"logdir": trial.path})
    return pd.DataFrame(rows)


def _best_report(history: Sequence[dict[str, Any]], metric: str, mode: str) -> dict[str, Any] | None:
    scored = []
    for result in history:
        value = flattened(result).get(metric)
        if isinstance(value, int | float) and value == value:
            scored.append((value, result))
    if not scored:
        return None
    pick = max if mode == "max" else min
    return pick(scored, key=lambda pair: pair[0])[1]
