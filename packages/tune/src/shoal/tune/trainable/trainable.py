"""A trial as a class: set up once, then step after step."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shoal
from shoal.tune.exceptions import InvalidReportError
from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory

if TYPE_CHECKING:
    from shoal.train import Checkpoint

_DICT, _PROGRESS = "_dict_checkpoint.pkl", ".tune_metadata.json"


class Trainable:
    """A trial as a class. Derive from it, and define `setup` and `step`, not `__init__`.

    `save_checkpoint` and `load_checkpoint` let a trial be paused, tried again and exploited; `reset_config` lets one object run several
    trials.

    Args:
        config: the trial's parameters.

    Example:
        >>> from shoal import tune
        >>> class Train(tune.Trainable):
        ...     def setup(self, config):
        ...         self.x = config["x"]
        ...     def step(self):
        ...         self.x *= 0.5
        ...         return {"loss": self.x, "done": self.x < 1}
        >>> Train({"x": 4.0}).train()["loss"]
        2.0
    """

    def __init__(self, config: dict[str, Any] | None = None, logger_creator: Any = None, storage: Any = None) -> None:
        from shoal.tune._internal.process.current_trial import CURRENT

        self.config: dict[str, Any] = config or {}
        self._session = CURRENT.session
        self._iteration = 0
        self._time_total = 0.0
        self._iterations_since_restore = 0
        self._time_since_restore = 0.0
        self._timesteps_total: int | None = None
        self._own_folder: str | None = None
        self._start_time = time.time()
        self.setup(dict(self.config))

    # --- what a user defines ------------------------------------------------------------------------------------------------------

    def setup(self, config: dict[str, Any]) -> None:
        """Makes ready. Called once for a trial."""

    def step(self) -> dict[str, Any]:
        """Trains a bit, and returns metrics. `done=True` in them ends the trial, `should_checkpoint=True` has it save."""
        raise NotImplementedError(
            f"{type(self).__name__} has no step(); define it, and return a dict of metrics from it"
        )

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any] | str | None:
        """Writes the state into a folder, or returns it as a dict."""
        raise NotImplementedError(
            f"{type(self).__name__} has no save_checkpoint(checkpoint_dir); checkpoints, pauses and exploits need it"
        )

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Takes what `save_checkpoint` made: its dict, or the folder's path."""
        raise NotImplementedError(
            f"{type(self).__name__} has no load_checkpoint(checkpoint); checkpoints, pauses and exploits need it"
        )

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Becomes another trial. Returns whether it could; otherwise a new object is made."""
        return False

    def cleanup(self) -> None:
        """Lets go of what `setup` took."""

    def log_result(self, result: dict[str, Any]) -> None:
        """Is called with each result, in the trial's process."""

    def _export_model(self, export_formats: list[str], export_dir: str) -> dict[str, str]:
        return {}

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory | None:
        """Returns what a trial with this configuration needs; None for one CPU."""
        return None

    @classmethod
    def resource_help(cls, config: dict[str, Any]) -> str:
        """Returns a hint for trials that need more than there is."""
        return ""

    # --- what runs it -------------------------------------------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Makes a step. Returns its metrics with `training_iteration`, `time_total_s` and the like. Raises InvalidReportError."""
        began = time.perf_counter()
        result = self.make_step()
        for name, value in self.get_auto_filled_metrics(time_this_iter=time.perf_counter() - began).items():
            result.setdefault(name, value)
        result.setdefault("done", False)
        return result

    def make_step(self) -> dict[str, Any]:
        """Makes a step. Returns its metrics alone. Raises InvalidReportError."""
        began = time.perf_counter()
        result = self.step()
        if not isinstance(result, Mapping):
            raise InvalidReportError(f"{type(self).__name__}.step returned {result!r}; return a dict of metrics")
        seconds = time.perf_counter() - began
        self._iteration += 1
        self._iterations_since_restore += 1
        self._time_total += seconds
        self._time_since_restore += seconds
        made = dict(result)
        self.log_result(made)
        return made

    def continue_from(self, iteration: int, time_total: float) -> None:
        """Counts from here on."""
        self._iteration, self._time_total = iteration, time_total

    def train_buffered(self, buffer_time_s: float, max_buffer_length: int = 1000) -> list[dict[str, Any]]:
        """Makes steps for some time, and returns the metrics of each."""
        results: list[dict[str, Any]] = []
        until = time.perf_counter() + buffer_time_s
        while True:
            results.append(self.train())
            if results[-1].get("done") or len(results) >= max_buffer_length or time.perf_counter() >= until:
                return results

    def get_auto_filled_metrics(self, time_this_iter: float | None = None, **_: Any) -> dict[str, Any]:
        """Returns what is added to each result."""
        now = time.time()
        return {
            "trial_id": self.trial_id,
            "training_iteration": self._iteration,
            "time_this_iter_s": time_this_iter if time_this_iter is not None else 0.0,
            "time_total_s": self._time_total,
            "timestamp": int(now),
            "date": time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(now)),
            "pid": os.getpid(),
            "time_since_restore": self._time_since_restore,
            "iterations_since_restore": self._iterations_since_restore,
            "config": self.config,
        }

    def save(self, checkpoint_dir: str | None = None) -> Checkpoint:
        """Saves into a folder. Returns it as a checkpoint. Raises OSError."""
        from shoal.train import Checkpoint

        folder = checkpoint_dir or tempfile.mkdtemp(prefix="shoal-checkpoint-")
        os.makedirs(folder, exist_ok=True)
        state = self.save_checkpoint(folder)
        if isinstance(state, Mapping):
            with open(os.path.join(folder, _DICT), "wb") as file:
                shoal.cloudpickle.dump(dict(state), file)
        progress = {"iteration": self._iteration, "time_total": self._time_total}
        Path(folder, _PROGRESS).write_text(json.dumps(progress))
        return Checkpoint.from_directory(folder)

    def restore(self, checkpoint_path: str | Checkpoint) -> None:
        """Goes on from what `save` made. Raises OSError."""
        from shoal.train import Checkpoint

        checkpoint = checkpoint_path if isinstance(checkpoint_path, Checkpoint) else Checkpoint(checkpoint_path)
        with checkpoint.as_directory() as folder:
            progress = Path(folder, _PROGRESS)
            if progress.exists():
                known = json.loads(progress.read_text())
                self._iteration, self._time_total = known["iteration"], known["time_total"]
            self._iterations_since_restore, self._time_since_restore = 0, 0.0
            state = Path(folder, _DICT)
            if state.exists():
                self.load_checkpoint(pickle.loads(state.read_bytes()))
            else:
                self.load_checkpoint(folder)

    def reset(self, new_config: dict[str, Any], logger_creator: Any = None, storage: Any = None) -> bool:
        """Becomes another trial by `reset_config`. Returns whether it could."""
        if not self.reset_config(dict(new_config)):
            return False
        from shoal.tune._internal.process.current_trial import CURRENT

        self.config = new_config
        self._session = CURRENT.session
        self._iteration, self._time_total = 0, 0.0
        self._iterations_since_restore, self._time_since_restore = 0, 0.0
        return True

    def stop(self) -> None:
        """Ends it."""
        self.cleanup()

    def export_model(self, export_formats: list[str] | str, export_dir: str | None = None) -> dict[str, str]:
        """Returns what `_export_model` made, by format."""
        formats = [export_formats] if isinstance(export_formats, str) else export_formats
        return self._export_model(formats, export_dir or self.logdir)

    # --- what it may ask ----------------------------------------------------------------------------------------------------------

    @property
    def iteration(self) -> int:
        """Steps that were made, with those before its checkpoint."""
        return self._iteration

    @property
    def training_iteration(self) -> int:
        """The same."""
        return self._iteration

    @property
    def trial_id(self) -> str:
        """Of its trial; 'default' outside of a search."""
        return self._session.assignment.trial_id if self._session is not None else "default"

    @property
    def trial_name(self) -> str:
        """Of its trial; 'default' outside of a search."""
        return self._session.assignment.trial_name if self._session is not None else "default"

    @property
    def trial_resources(self) -> PlacementGroupFactory | None:
        """What its trial has; None outside of a search."""
        return PlacementGroupFactory(self._session.assignment.resources) if self._session is not None else None

    @property
    def logdir(self) -> str:
        """A folder for what it writes: its trial's."""
        if self._session is not None:
            return self._session.assignment.local_path
        if self._own_folder is None:
            self._own_folder = tempfile.mkdtemp(prefix="shoal-trainable-")
        return self._own_folder

    def get_config(self) -> dict[str, Any]:
        """Returns its parameters."""
        return self.config
