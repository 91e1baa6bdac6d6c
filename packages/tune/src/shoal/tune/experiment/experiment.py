"""A search as one object, for `tune.run` and `tune.run_experiments`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shoal.train import CheckpointConfig, RunConfig
from shoal.tune.exceptions import InvalidArgumentError


class Experiment:
    """A search as one object.

    Args:
        name: of the search; None to make one.
        run: what runs: a function, a class, a trainer, or a registered name.
        stop: as RunConfig's.
        time_budget_s: seconds.
        config: the space of parameters.
        resources_per_trial: as for `tune.with_resources`.
        num_samples: how often the space is drawn from.
        storage_path: folder or URI under which the search's folder is made.
        storage_filesystem: of pyarrow or fsspec.
        checkpoint_config: which checkpoints are kept.
        **others: `max_failures`, `log_to_file`, `trial_name_creator`, `trial_dirname_creator`, `sync_config`; others of Ray's are ignored.

    Raises:
        InvalidArgumentError: (a ValueError) there is nothing to run.

    Example:
        >>> from shoal import tune
        >>> experiment = tune.Experiment("squares", lambda config: {"y": config["x"] ** 2}, config={"x": tune.uniform(0, 1)})
    """

    def __init__(
        self,
        name: str | None,
        run: Any,
        *,
        stop: Any = None,
        time_budget_s: float | None = None,
        config: Mapping[str, Any] | None = None,
        resources_per_trial: Any = None,
        num_samples: int = 1,
        storage_path: str | os.PathLike[str] | None = None,
        storage_filesystem: Any = None,
        checkpoint_config: CheckpointConfig | None = None,
        **others: Any,
    ) -> None:
        if run is None:
            raise InvalidArgumentError("run is None; give a function, a class, or a registered name")
        self.name = name
        self.run = run
        self.config = dict(config or {})
        self.resources_per_trial = resources_per_trial
        self.num_samples = num_samples
        self.time_budget_s = time_budget_s
        self.run_config = RunConfig(
            name=name,
            storage_path=storage_path,
            storage_filesystem=storage_filesystem,
            checkpoint_config=checkpoint_config,
            stop=stop,
        )
        self.others = others

    @classmethod
    def from_json(cls, name: str, spec: Mapping[str, Any]) -> Experiment:
        """Returns the experiment that a dict of arguments says.

        Args:
            name: of the search.
            spec: arguments by name; `run` among them.
        """
        arguments = dict(spec)
        if "run" not in arguments:
            raise InvalidArgumentError(f"spec has no 'run'; it has {', '.join(map(repr, arguments)) or 'nothing'}")
        return cls(name, arguments.pop("run"), **arguments)
