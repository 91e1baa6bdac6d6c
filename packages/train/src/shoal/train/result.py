"""What a run came to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyarrow import fs

from shoal.train._internal.logic.metric_lookup import looked_up
from shoal.train.checkpoint import Checkpoint, as_arrow, located
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import pandas as pd

REPORTS = "result.json"
"""The file of a run, or of a trial, with a line for each report."""
ERROR = "error.pkl"


@dataclass
class Result:
    """What a run came to.

    Args:
        metrics: of rank 0's last report; None where there was none.
        checkpoint: the latest.
        error: what ended it, where it failed.
        path: the run's folder.
        filesystem: of that folder.
        best_checkpoints: those that were kept, with the metrics that came with them, oldest first.
        return_value: what rank 0's loop returned.
        history: rank 0's reports, in order.
        config: of the loop.

    Example:
        >>> from shoal.train import Checkpoint, Result
        >>> kept = [(Checkpoint("/tmp/a"), {"loss": 0.5}), (Checkpoint("/tmp/b"), {"loss": 0.7})]
        >>> Result({"loss": 0.7}, kept[1][0], None, "/tmp", best_checkpoints=kept).get_best_checkpoint("loss", "min").path
        '/tmp/a'
    """

    metrics: dict[str, Any] | None
    checkpoint: Checkpoint | None
    error: BaseException | None
    path: str
    filesystem: fs.FileSystem = field(default_factory=fs.LocalFileSystem)
    best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]] = field(default_factory=list)
    return_value: Any = None
    history: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] | None = None

    @property
    def metrics_dataframe(self) -> pd.DataFrame:
        """One row for each report of rank 0, whether it had a checkpoint or not. Imports pandas."""
        import pandas as pd

        return pd.DataFrame(self.history)

    def get_best_checkpoint(self, metric: str, mode: str) -> Checkpoint | None:
        """Returns the kept checkpoint whose metrics are best; None where none has the metric.

        Args:
            metric: by its name; 'a/b' for one inside of another.
            mode: 'max' or 'min'.

        Raises:
            InvalidArgumentError: (a ValueError) the mode is another one.
        """
        if mode not in ("max", "min"):
            raise InvalidArgumentError(f"mode is {mode!r}; give 'max' or 'min'")
        scored = [(looked_up(metrics, metric), checkpoint) for checkpoint, metrics in self.best_checkpoints]
        # NaN is no score: it differs from itself.
        usable = [pair for pair in scored if isinstance(pair[0], int | float) and pair[0] == pair[0]]
        if not usable:
            return None
        pick = max if mode == "max" else min
        return pick(usable, key=lambda pair: pair[0])[1]

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> Result:
        """Returns what a run in a folder has come to so far: its reports, the checkpoints that are kept, its error.

        Args:
            path: of the run's folder, or its URI.
            storage_filesystem: of pyarrow or fsspec; None to find it by the path.

        Raises:
            FileNotFoundError: there is no run.
        """
        from shoal import cloudpickle
        from shoal.train._internal.process.run_storage import CheckpointList, RunStorage
        from shoal.train.configuration import CheckpointConfig

        filesystem, inside = (
            (storage_filesystem, os.fspath(path)) if storage_filesystem is not None else located(os.fspath(path))
        )
        storage = RunStorage(inside.rstrip("/"), as_arrow(filesystem))
        checkpoints = CheckpointList(storage, CheckpointConfig())
        lines = storage.read(REPORTS)
        if lines is None and checkpoints.latest is None:
            raise FileNotFoundError(f"there is no run in {inside!r}: neither {REPORTS} nor checkpoints")
        # A run that was killed may have written half of its last line.
        history = [json.loads(line) for line in (lines or b"").split(b"\n")[:-1]]
        error = storage.read(ERROR)
        # The trials of a search keep no list: their reports name the folders of their checkpoints.
        kept = checkpoints.all() or kept_checkpoints(storage.path, storage.filesystem, history)
        return cls(
            metrics=history[-1] if history else checkpoints.latest_metrics,
            checkpoint=checkpoints.latest or (kept[-1][0] if kept else None),
            error=cloudpickle.loads(error) if error is not None else None,
            path=storage.path,
            filesystem=storage.filesystem,
            best_checkpoints=kept,
            history=history,
            config=history[-1].get("config") if history else None,
        )

    def __repr__(self) -> str:
        shown = {
            "metrics": self.metrics,
            "error": self.error,
            "path": self.path,
            "filesystem": self.filesystem.type_name,
            "checkpoint": self.checkpoint,
        }
        return f"Result({', '.join(f'{name}={value!r}' for name, value in shown.items() if value is not None)})"


def kept_checkpoints(
    path: str, filesystem: fs.FileSystem, history: Sequence[Mapping[str, Any]]
) -> list[tuple[Checkpoint, dict[str, Any]]]:
    """Returns the checkpoints that lie in a folder, with the reports that name them (`checkpoint_dir_name`)."""
    named = {name: dict(result) for result in history if (name := result.get("checkpoint_dir_name"))}
    there = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    folders = {info.base_name for info in there if info.type == fs.FileType.Directory}
    return [(Checkpoint(f"{path}/{name}", filesystem), result) for name, result in named.items() if name in folders]
