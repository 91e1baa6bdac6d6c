"""What a trial came to. What it reported lies in its folder, and is read when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from pyarrow import fs

from shoal.air.constants import TIME_THIS_ITER_S as TIME_THIS_ITER_S
from shoal.air.constants import TIMESTAMP as TIMESTAMP
from shoal.air.constants import TRAINING_ITERATION as TRAINING_ITERATION
from shoal.train import Checkpoint, Result
from shoal.train.result import kept_checkpoints
from shoal.tune._internal.logic.parameters import flattened
from shoal.tune._internal.logic.trial_table import ADDED
from shoal.tune.experiment.trial import Trial
from shoal.tune.logger.encoding import parsed_line
from shoal.tune.logger.json import RESULTS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "TrialResult", "frame_of", "read_history"]

T = TypeVar("T")

TIME_TOTAL_S = "time_total_s"
TRIAL_ID = "trial_id"
DONE = "done"
"""More names of what each report has besides its own metrics."""
SHOULD_CHECKPOINT = "should_checkpoint"
"""With it, what `Trainable.step` returns has the trial saved."""


class TrialResult(Result):
    """The result of one trial: a `shoal.train.Result` whose history is read from the trial's folder when it is needed. Its metrics have the
    trial's id also where there was no report.

    Args:
        trial: which.
        filesystem: of its folder.
    """

    def __init__(self, trial: Trial, filesystem: fs.FileSystem) -> None:
        def history() -> list[dict[str, Any]]:
            return read_history(trial, filesystem)

        def checkpoints() -> list[tuple[Checkpoint, dict[str, Any]]]:
            return list(trial.checkpoints) or kept_checkpoints(trial.path, filesystem, self.history)

        super().__init__(
            metrics=trial.last_result or {"trial_id": trial.trial_id},
            checkpoint=trial.checkpoint,
            error=trial.error,
            path=trial.path,
            filesystem=filesystem,
            best_checkpoints=cast("list[tuple[Checkpoint, dict[str, Any]]]", LazyList(checkpoints)),
            history=cast("list[dict[str, Any]]", LazyList(history)),
            config=trial.config,
        )

    @property
    def metrics_dataframe(self) -> pd.DataFrame:
        """One row for each report; nested metrics and the configuration as 'a/b', 'config/a'."""
        return frame_of(self.history)

    def __repr__(self) -> str:
        outcome = f"error={self.error!r}" if self.error is not None else f"checkpoint={self.checkpoint!r}"
        shown = {name: value for name, value in (self.metrics or {}).items() if name not in UNSAID}
        return f"Result(metrics={shown!r}, {outcome}, path={self.path!r})"


UNSAID = ADDED - {"training_iteration", "time_total_s"}
"""What a search adds to results that says little to people."""


class LazyList(Sequence[T], Generic[T]):
    """A list that is made when it is first looked at."""

    def __init__(self, make: Callable[[], list[T]]) -> None:
        self._make = make
        self._made: list[T] | None = None

    def _items(self) -> list[T]:
        if self._made is None:
            self._made = self._make()
        return self._made

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items()[index]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    def __eq__(self, other: object) -> bool:
        return self._items() == (other._items() if isinstance(other, LazyList) else other)

    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __repr__(self) -> str:
        return repr(self._items())

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._items(),)


def read_history(trial: Trial, filesystem: fs.FileSystem) -> list[dict[str, Any]]:
    """Returns a trial's reports as its folder has them, in order; the last alone where nothing was written."""
    found = history_in(trial.path, filesystem)
    return found or ([trial.last_result] if trial.last_result else [])


def history_in(path: str, filesystem: fs.FileSystem) -> list[dict[str, Any]]:
    """Returns the reports in a trial's folder; none where there is no file of them."""
    try:
        with filesystem.open_input_stream(f"{path}/{RESULTS}") as stream:
            data: bytes = stream.read()
    except FileNotFoundError:
        return []
    # A line without its end was being written when the program died.
    return [parsed_line(line) for line in data.split(b"\n")[:-1] if line]


def frame_of(history: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Returns one row for each report, flat."""
    import pandas as pd

    return pd.DataFrame([flattened(result) for result in history])


def parameters_in(path: str, filesystem: fs.FileSystem) -> dict[str, Any]:
    """Returns the configuration in a trial's folder; empty where there is none."""
    try:
        with filesystem.open_input_stream(f"{path}/params.json") as stream:
            found: dict[str, Any] = json.loads(stream.read())
    except FileNotFoundError:
        return {}
    return found
