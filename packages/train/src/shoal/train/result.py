"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyarrow import fs

from shoal.train.checkpoint import Checkpoint

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Result:
    """What a run came to.

    Args:
        metrics: of rank 0's last report; None where there was none.
        checkpoint: the latest.
        error: what ended it, where it failed.
        path: the run's folder.
        filesystem: of that folder.
        best_checkpoints: those that were kept, with the metrics that came with them.
        return_value: what rank 0's loop returned.
        history: rank 0's reports, in order.
    """

    metrics: dict[str, Any] | None
    checkpoint: Checkpoint | None
    error: BaseException | None
    path: str
    filesystem: fs.FileSystem
    best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]] = field(default_factory=list)
    return_value: Any = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def metrics_dataframe(self) -> pd.DataFrame:
        """One row for each report of rank 0."""
        import pandas as pd

        return pd.DataFrame(self.history)

    def get_best_checkpoint(self, metric: str, mode: str) -> Checkpoint | None:
        """Returns the kept checkpoint whose metrics are best; None where none has the metric.

        Args:
            metric: by its name.
            mode: 'max' or 'min'.
        """
        scored = [(metrics[metric], checkpoint) for checkpoint, metrics in self.best_checkpoints if metric in metrics]
        if not scored:
            return None
        pick = max if mode == "max" else min
        return pick(scored, key=lambda pair: pair[0])[1]
