"""Results for Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal.air.callback import LoggerCallback
from shoal.air.exceptions import LoggerSetupError
from shoal.air.integrations import library
from shoal.air.results import NOT_METRICS, as_number, flattened
from shoal.air.whoami import whoami


class WandbLoggerCallback(LoggerCallback):
    """Makes a run of Weights & Biases of each trial. Needs wandb; with `WANDB_MODE=offline` no network and no key.

    Args:
        project: None for `WANDB_PROJECT_NAME`, or wandb's own default.
        group: None for `WANDB_GROUP_NAME`, or the search's name.
        api_key_file: a file with the key.
        api_key: None for `WANDB_API_KEY`, or who is logged in.
        excludes: names of metrics, and of the outermost of the configuration, that are left out.
        log_config: write the result's `config`, too, where it has one: for parameters that change.
        upload_checkpoints: store each checkpoint as an artifact.
        upload_timeout: seconds that the end of a trial may wait for uploads.
        video_kwargs: accepted for Ray's sake: give `wandb.Video` objects as metrics.
        image_kwargs: accepted for Ray's sake: give `wandb.Image` objects as metrics.
        kwargs: of `wandb.init`, such as `mode="offline"`.

    Raises:
        MissingLibraryError: (an ImportError) wandb is not installed.
        LoggerSetupError: (a ValueError) there is no key, or two of them.

    Example:
        >>> from shoal.air.integrations.wandb import WandbLoggerCallback
        >>> from shoal.train import RunConfig
        >>> config = RunConfig(callbacks=[WandbLoggerCallback("digits", mode="offline")])
    """

    def __init__(
        self,
        project: str | None = None,
        group: str | None = None,
        api_key_file: str | None = None,
        api_key: str | None = None,
        excludes: Sequence[str] | None = None,
        log_config: bool = False,
        upload_checkpoints: bool = False,
        save_checkpoints: bool = False,
        upload_timeout: int = 1800,
        video_kwargs: Mapping[str, Any] | None = None,
        image_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        library("wandb", "wandb")
        self._project = project or os.environ.get("WANDB_PROJECT_NAME")
        self._group = group or os.environ.get("WANDB_GROUP_NAME")
        _use_key(api_key, api_key_file)
        _check_access(kwargs.get("mode"))
        self._excludes = set(excludes or ())
        self._logs_config = log_config
        self._uploads = upload_checkpoints or save_checkpoints
        self._timeout = upload_timeout
        self._options = kwargs
        self._runs: dict[str, Any] = {}

    def log_trial_start(self, trial: Any) -> None:
        """Begins its run, or goes on with it."""
        if trial.trial_id in self._runs:
            return
        wandb = library("wandb", "wandb")
        options = {
            "id": _as_id(trial.trial_id),
            "name": trial.trial_name,
            "project": self._project,
            "group": self._group or trial.experiment_name,
            "dir": trial.local_path,
            "resume": "allow",
            # Other trials, and the user, may have runs in this process.
            "reinit": "create_new",
            "config": _shown(flattened({k: v for k, v in trial.config.items() if k not in self._excludes})),
            "settings": wandb.Settings(silent=True, console="off"),
        }
        self._runs[trial.trial_id] = wandb.init(**(options | self._options))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Writes what is a number, or one of wandb's media, or text."""
        if trial.trial_id not in self._runs:
            self.log_trial_start(trial)
        left_out = NOT_METRICS | self._excludes
        if self._logs_config:
            left_out -= {"config"}
        found = {name: _loggable(value) for name, value in flattened(result, left_out).items()}
        self._runs[trial.trial_id].log({name: value for name, value in found.items() if value is not None})

    def log_trial_save(self, trial: Any) -> None:
        """Stores the checkpoint, where asked for."""
        if not self._uploads or trial.checkpoint is None or trial.trial_id not in self._runs:
            return
        artifact = library("wandb", "wandb").Artifact(name=f"checkpoint_{_as_id(trial.trial_name)}", type="model")
        with trial.checkpoint.as_directory() as folder:
            # It copies the files into wandb's own folder.
            artifact.add_dir(folder)
        self._runs[trial.trial_id].log_artifact(artifact)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Ends its run."""
        run = self._runs.pop(trial.trial_id, None)
        if run is not None:
            run.finish(exit_code=int(failed))

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        """Ends runs of trials that did not end."""
        for run in self._runs.values():
            run.finish(exit_code=1)
        self._runs.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runs": {}}


def setup_wandb(
    config: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    api_key_file: str | None = None,
    rank_zero_only: bool = True,
    **kwargs: Any,
) -> Any:
    """Begins a run of Weights & Biases inside of a training loop or a trial, and returns it.

    Args:
        config: parameters to store.
        api_key: None for `WANDB_API_KEY`, or who is logged in.
        api_key_file: a file with the key.
        rank_zero_only: in other ranks than 0, return a run that stores nothing.
        kwargs: of `wandb.init`, such as `project=` or `mode="offline"`.

    Raises:
        MissingLibraryError: (an ImportError) wandb is not installed.
        LoggerSetupError: (a ValueError) there is no key, or two of them.
    """
    wandb = library("wandb", "wandb")
    who = whoami()
    if rank_zero_only and who.rank not in (None, 0):
        return wandb.init(mode="disabled", reinit="create_new")
    _use_key(api_key, api_key_file)
    _check_access(kwargs.get("mode"))
    options = {"name": who.trial, "group": who.experiment, "config": _shown(dict(config or {})), "resume": "allow"}
    if who.trial is not None:
        options["id"] = _as_id(who.trial)
    return wandb.init(**(options | kwargs))


def _use_key(api_key: str | None, api_key_file: str | None) -> None:
    if api_key is not None and api_key_file is not None:
        raise LoggerSetupError("api_key and api_key_file are both given; give one of them")
    if api_key_file is not None:
        try:
            api_key = Path(api_key_file).expanduser().read_text().strip()
        except OSError as error:
            raise LoggerSetupError(f"api_key_file is {api_key_file!r}, which cannot be read: {error}") from error
    if api_key is not None:
        os.environ["WANDB_API_KEY"] = api_key


def _check_access(mode: str | None) -> None:
    """A run without a key would ask for one, on a terminal that nobody looks at."""
    if (mode or os.environ.get("WANDB_MODE", "online")) not in ("online", "shared") or os.environ.get("WANDB_API_KEY"):
        return
    if library("wandb", "wandb").api.api_key is None:
        raise LoggerSetupError(
            "wandb has no API key; give api_key=, api_key_file= or WANDB_API_KEY, log in by `wandb login`, "
            'or write to files only: mode="offline", or WANDB_MODE=offline'
        )


def _as_id(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)[:120]


def _shown(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration in which what wandb does not take is text."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        plain = _shown(value) if isinstance(value, Mapping) else _loggable(value)
        found[str(name)] = plain if plain is not None else str(value)
    return found


def _loggable(value: Any) -> Any:
    """Returns what wandb takes; None for what it does not."""
    if isinstance(value, bool | str):
        return value
    number = as_number(value)
    if number is not None:
        return value if isinstance(value, int | float) else number
    if type(value).__module__.partition(".")[0] == "wandb":
        return value
    if isinstance(value, list | tuple) and all(_loggable(one) is not None for one in value):
        return list(value)
    if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):
        return value.tolist()
    return None
