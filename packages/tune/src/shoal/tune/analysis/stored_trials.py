"""The trials of a search as their folders tell them: what loggers and storage wrote, without the program that ran."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyarrow import fs

from shoal.train import Checkpoint
from shoal.train.result import kept_checkpoints
from shoal.tune._internal.logic.metrics import MetricAnalysis, flat_result
from shoal.tune._internal.logic.parameters import flattened
from shoal.tune._internal.process.search_storage import TRIALS, read_trials
from shoal.tune.exceptions import RestoreError, TrialError
from shoal.tune.experiment.trial import ERROR, RUNNING, TERMINATED, Trial
from shoal.tune.result import history_in, parameters_in

logger = logging.getLogger(__name__)

FOLDER = re.compile(r"^(?P<name>.+?)_(?P<id>[0-9a-f]{5}_\d{5}|[0-9a-f]{8})(?:_(?P<number>\d+))?(?:_|$)")
"""How a trial's folder is named: the trainable's name, the id, the number, parameters and a date."""


def known_trials(path: str, filesystem: fs.FileSystem) -> list[Trial]:
    """Returns the trials of a search: as the search itself stored them, or as their folders tell. Raises FileNotFoundError."""
    if filesystem.get_file_info(f"{path}/{TRIALS}").type == fs.FileType.File:
        try:
            return read_trials(path, filesystem)[0]
        except RestoreError as error:
            logger.warning("%s: what the search stored cannot be read (%s); its trials' folders are", path, error)
    return trials_in(path, filesystem)


def trials_in(path: str, filesystem: fs.FileSystem) -> list[Trial]:
    """Returns the trials of a search, in the order in which they were made.

    What a trial failed with is unpickled: read searches of people that you trust.

    Args:
        path: the search's folder.
        filesystem: of that folder.

    Raises:
        FileNotFoundError: there is no such folder, or it has no trial in it.
    """
    try:
        entries = filesystem.get_file_info(fs.FileSelector(path))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no search in {path}: no such folder") from None
    folders = sorted(info.path for info in entries if info.type == fs.FileType.Directory)
    found = [trial for folder in folders if (trial := _trial_in(folder, filesystem, len(folders))) is not None]
    if not found:
        raise FileNotFoundError(f"there is no search in {path}: no folder in it has results or parameters of a trial")
    found.sort(key=lambda trial: (trial.number, trial.path))
    parameters = _differing([flattened(trial.config) for trial in found])
    for trial in found:
        flat = flattened(trial.config)
        trial.evaluated_params = {name: flat[name] for name in parameters if name in flat}
        trial.experiment_name = path.rstrip("/").rpartition("/")[2]
    return found


def _trial_in(folder: str, filesystem: fs.FileSystem, last: int) -> Trial | None:
    files = {info.base_name for info in filesystem.get_file_info(fs.FileSelector(folder))}
    if not files & {"result.json", "params.json"}:
        return None
    history = history_in(folder, filesystem)
    latest = history[-1] if history else {}
    name = FOLDER.match(folder.rpartition("/")[2])
    number = str(latest.get("experiment_tag", "")).partition("_")[0] or (name["number"] if name else "")
    trial = Trial(
        str(latest.get("trial_id") or (name["id"] if name else folder.rpartition("/")[2])),
        int(number) if number and number.isdigit() else last,
        parameters_in(folder, filesystem) or dict(latest.get("config") or {}),
        trainable_name=name["name"] if name else "trainable",
        experiment_tag=str(latest.get("experiment_tag", number)),
        last_result=latest,
        path=folder,
        local_path=folder if isinstance(filesystem, fs.LocalFileSystem) else "",
    )
    analysis = MetricAnalysis(trial.metric_analysis)
    for result in history:
        analysis.add(flat_result(result))
    trial.checkpoints = kept_checkpoints(trial.path, filesystem, history)
    checkpoints = sorted(file for file in files if file.startswith("checkpoint_") and "." not in file)
    if trial.checkpoints:
        trial.checkpoint = trial.checkpoints[-1][0]
    elif checkpoints:
        trial.checkpoint = Checkpoint(f"{folder}/{checkpoints[-1]}", filesystem)
    trial.error = _error_in(folder, files, filesystem)
    if trial.error is not None:
        trial.error_file = f"{folder}/error.txt"
    trial.status = ERROR if trial.error is not None else TERMINATED if latest.get("done") is True else RUNNING
    if trial.status == RUNNING and "done" not in latest and latest:
        trial.status = TERMINATED
    return trial


def _error_in(folder: str, files: set[str], filesystem: fs.FileSystem) -> BaseException | None:
    if "error.pkl" in files:
        try:
            with filesystem.open_input_stream(f"{folder}/error.pkl") as stream:
                error = pickle.loads(stream.read())
        except Exception as failure:  # its class may be gone: the text is still there
            error = failure
        if isinstance(error, BaseException) and "error.txt" not in files:
            return error
        if isinstance(error, BaseException) and not isinstance(
            error, ImportError | AttributeError | pickle.PickleError
        ):
            return error
    if "error.txt" in files:
        with filesystem.open_input_stream(f"{folder}/error.txt") as stream:
            lines = stream.read().decode("utf-8", "replace").strip().splitlines()
        return TrialError(lines[-1] if lines else "the trial failed")
    return None


def _differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for config in configs for name in config))
    if len(configs) == 1:
        return names
    return [name for name in names if len({repr(config.get(name)) for config in configs}) > 1]
