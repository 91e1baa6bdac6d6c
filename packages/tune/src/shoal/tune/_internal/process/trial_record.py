"""A trial as it is stored: all that a restored search has to know of it."""

from __future__ import annotations

import pickle
from typing import Any

from pyarrow import fs

from shoal import cloudpickle
from shoal.train import Checkpoint
from shoal.tune._internal.logic.checkpoints import Stored
from shoal.tune._internal.logic.life import Life
from shoal.tune.exceptions import TrialError
from shoal.tune.experiment.trial import Trial

_FIELDS = (
    "trial_id",
    "number",
    "config",
    "trainable_name",
    "evaluated_params",
    "experiment_tag",
    "experiment_name",
    "resources",
    "status",
    "last_result",
    "metric_analysis",
    "num_failures",
    "start_time",
    "why_stopped",
    "custom_name",
)


def encoded(life: Life, folder: str) -> bytes:
    """Returns a trial as bytes. Paths are relative to the search's folder, which may be moved.

    Args:
        life: of the trial.
        folder: of the search.
    """
    trial = life.trial
    record: dict[str, Any] = {name: getattr(trial, name) for name in _FIELDS}
    record["path"] = _relative(trial.path, folder)
    record["error_file"] = trial.error_file is not None
    record["checkpoints"] = [_stored(one, folder) for one in life.kept.stored]
    record["latest"] = None if life.kept.latest is None else _stored(life.kept.latest, folder)
    record["error"] = None if trial.error is None else _error(trial.error)
    return _pickled(record)


def decoded(data: bytes, folder: str, local_folder: str, filesystem: fs.FileSystem) -> TrialRecord:
    """Returns what `encoded` was given. The search's folder may be another one now."""
    return TrialRecord(pickle.loads(data), folder, local_folder, filesystem)


class TrialRecord:
    """A trial, its checkpoints, and the one that it would go on from."""

    def __init__(self, record: dict[str, Any], folder: str, local_folder: str, filesystem: fs.FileSystem) -> None:
        error = record["error"]
        self.trial = Trial(**{name: record[name] for name in _FIELDS})
        self.trial.path = f"{folder}/{record['path']}"
        self.trial.local_path = f"{local_folder}/{record['path']}"
        self.trial.error = pickle.loads(error) if error is not None else None
        if record["error_file"]:
            self.trial.error_file = f"{self.trial.local_path}/error.txt"

        def stored(one: dict[str, Any]) -> Stored:
            return Stored(
                one["number"],
                Checkpoint(f"{folder}/{one['path']}", filesystem),
                one["result"],
                one["iteration"],
                one["time_total"],
            )

        self.stored = [stored(one) for one in record["checkpoints"]]
        self.latest: Stored | None = None
        if record["latest"] is not None:
            self.latest = stored(record["latest"])
            for one in self.stored:
                if one.checkpoint == self.latest.checkpoint:
                    self.latest = one
            self.trial.checkpoint = self.latest.checkpoint
        self.trial.checkpoints = [(one.checkpoint, one.result) for one in self.stored]


def _stored(one: Stored, folder: str) -> dict[str, Any]:
    return {
        "number": one.number,
        "path": _relative(one.checkpoint.path, folder),
        "result": one.result,
        "iteration": one.iteration,
        "time_total": one.time_total,
    }


def _relative(path: str, folder: str) -> str:
    return path[len(folder) + 1 :] if path.startswith(f"{folder}/") else path


def _error(error: BaseException) -> bytes:
    """An error that cannot be pickled, or not be read again, is told as text."""
    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)
    except Exception:  # errors of users fail in every way
        data = cloudpickle.dumps(TrialError(f"{type(error).__name__}: {error}"))
    return data


def _pickled(record: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps(record, protocol=5)
    except Exception:  # classes of __main__, functions, and what cannot be pickled at all
        data: bytes = cloudpickle.dumps({name: _storable(value) for name, value in record.items()})
        return data


def _storable(value: Any) -> Any:
    """What cannot be pickled is told as text: its trial has failed for that."""
    try:
        cloudpickle.dumps(value)
    except Exception:  # locks, connections, … say so in many ways
        if isinstance(value, dict):
            return {name: _storable(one) for name, one in value.items()}
        return repr(value)
    return value
