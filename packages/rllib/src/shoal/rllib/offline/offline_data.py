"""Recorded data, as an algorithm learns from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shoal.rllib._internal.learning.chance import BUFFER, derived_seed
from shoal.rllib._internal.nested import concatenate
from shoal.rllib._internal.offline.data_library import data_library, named_function
from shoal.rllib._internal.offline.passes import Deal
from shoal.rllib._internal.offline.recorded_steps import RecordedSteps
from shoal.rllib._internal.offline.spaces import recorded_spaces
from shoal.rllib._internal.offline.values import joined
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.offline.offline_prelearner import OfflinePreLearner
from shoal.rllib.utils.error import ConfigError, OfflineDataError

_WINDOW = 10_000


class OfflineData:
    """Reads what `config.offline_data(input_=...)` names, and deals it out in batches: all of it once in each pass, in an order of its own.

    `input_` is a path, or several; a Dataset of shoal.data; a list of episodes; or a dict of columns. The first two take shoal-data. All
    steps are held in memory, in columns; with `materialize_mapped_data=False` those of `input_read_batch_size` rows at a time (10,000 where
    that is None): then batches are of neighbouring rows.

    Args:
        config: of the algorithm.
        spaces: of the recorded observations and actions; None for those that `config` tells.

    Raises:
        ConfigError: (a ValueError) there are no spaces, or nothing to read.
        OfflineDataError: (a ValueError) columns are missing, or values are not in their spaces.
        MissingLibraryError: (an ImportError) shoal-data is not installed.

    Example:
        >>> import numpy as np
        >>> from shoal.rllib.algorithms.bc import BCConfig
        >>> rows = {"obs": np.zeros((3, 4)), "actions": np.array([0, 1, 1])}
        >>> data = OfflineData(BCConfig().environment("CartPole-v1").offline_data(input_=rows, ignore_final_observation=True))
        >>> batch = data.sample(num_samples=2)
        >>> batch["default_policy"]["obs"].shape
        (2, 4)
    """

    def __init__(self, config: Any, *, spaces: Any = None) -> None:
        self.config = config
        self.spaces = recorded_spaces(config) if spaces is None else spaces
        kind = config.prelearner_class or OfflinePreLearner
        self.prelearner: OfflinePreLearner = kind(config=config, spaces=self.spaces)
        self.data: Any = None
        self.steps: RecordedSteps | None = None
        self._batches: _BatchesInOrder | None = None
        self._count = 0
        windows: Callable[[], Iterator[RecordedSteps]] = self._in_memory
        if isinstance(config.input_, Mapping):
            self.steps = self.prelearner.steps_of(config.input_)
        elif _are_episodes(config.input_):
            self.steps = RecordedSteps.of_episodes(list(config.input_))
        else:
            self.data = self._read()
            if self.prelearner.makes_batches:
                self._batches = _BatchesInOrder(self.data, self.prelearner, self._read_arguments())
            elif config.materialize_mapped_data:
                self.steps = self.prelearner.steps_of(self._table())
            else:
                windows = self._in_windows
                if self.prelearner.are_steps(self.data.schema().names):
                    self._count = int(self.data.count())
        if self.steps is not None:
            self._count = len(self.steps)
        self._deal = Deal(windows, derived_seed(config.seed, BUFFER))

    # --- reading ------------------------------------------------------------------------------------------------------------------

    def _read(self) -> Any:
        config = self.config
        if hasattr(config.input_, "iter_batches"):
            return config.input_
        if not config.is_offline or not isinstance(config.input_, str | os.PathLike | list | tuple):
            raise ConfigError(
                f"input_ is {config.input_!r}; give a path of recorded data, several, a Dataset, a list of episodes, or a dict of columns: "
                'offline_data(input_="/tmp/cartpole")'
            )
        library = data_library("reading recorded data")
        read = named_function(library, "input_read_method", config.input_read_method, "read_")
        arguments = dict(config.input_read_method_kwargs)
        if config.input_filesystem is not None:
            arguments.setdefault("filesystem", _filesystem(config.input_filesystem, config.input_filesystem_kwargs))
        paths = config.input_
        plain = os.fspath(paths) if isinstance(paths, str | os.PathLike) else [os.fspath(path) for path in paths]
        data = read(plain, **arguments)
        return data.materialize() if config.materialize_data else data

    def _read_arguments(self) -> dict[str, Any]:
        size = self.config.input_read_batch_size or self.config.map_batches_kwargs.get("batch_size")
        return {"prefetch_batches": 1, **self.config.iter_batches_kwargs, "batch_size": size, "batch_format": "numpy"}

    def _in_memory(self) -> Iterator[RecordedSteps]:
        assert self.steps is not None
        yield self.steps

    def _in_windows(self) -> Iterator[RecordedSteps]:
        arguments = self._read_arguments()
        for rows in self.data.iter_batches(**{**arguments, "batch_size": arguments["batch_size"] or _WINDOW}):
            yield self.prelearner.steps_of(rows)

    def _table(self) -> dict[str, Any]:
        """All rows, by column."""
        parts = list(self.data.iter_batches(**self._read_arguments()))
        if not parts:
            raise OfflineDataError(f"there is no row in {self.config.input_!r}")
        names = set(parts[0])
        for part in parts:
            if set(part) != names:
                raise OfflineDataError(
                    f"files differ in their columns: {sorted(names)} and {sorted(part)}; read files of one kind"
                )
        return joined(parts)

    # --- dealing out --------------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many steps there are; 0 where nobody knows."""
        return self._count

    def sample(
        self,
        num_samples: int,
        return_iterator: bool = False,
        num_shards: int = 1,
        module_state: Any = None,
        *,
        n_step: int = 1,
        whole: bool = True,
    ) -> Any:
        """Returns the next steps: columns by module.

        Args:
            num_samples: how many.
            return_iterator: whether endless iterators of such batches come instead, one for each shard.
            num_shards: how many iterators.
            module_state: accepted for RLlib's sake.
            n_step: over how many steps rewards are added up.
            whole: whether rewards, next observations and ends come, besides observations and actions.

        Raises:
            OfflineDataError: (a ValueError) a prelearner of one's own made no batch.
        """
        if return_iterator:
            return [self._endless(num_samples, n_step, whole) for _ in range(num_shards)]
        if self._batches is not None:
            return self._batches.next()
        parts = [
            steps.transitions(numbers, n_step=n_step, gamma=self.config.gamma) if whole else steps.pairs(numbers)
            for steps, numbers in self._deal.next_steps(num_samples)
        ]
        return {DEFAULT_MODULE_ID: concatenate(parts)}

    def _endless(self, num_samples: int, n_step: int, whole: bool) -> Iterator[Any]:
        while True:
            yield self.sample(num_samples, n_step=n_step, whole=whole)

    def sample_steps_as_episodes(self, num_samples: int) -> list[Any]:
        """Returns the next steps, each as an episode of its own with what came before it: for connectors."""
        found = []
        for steps, numbers in self._deal.next_steps(num_samples):
            chunks = steps.chunk_of(numbers)
            for chunk, at in zip(chunks.tolist(), (numbers - steps.starts[chunks]).tolist(), strict=True):
                found.append(self._episode(steps, chunk, at, at + 1))
        return found

    def sample_episodes(self, num_steps: int) -> list[Any]:
        """Returns episodes of so many steps together; the last is cut, and the next call goes on with its rest."""
        return [self._episode(*part) for part in self._deal.next_chunks(num_steps)]

    def _episode(self, steps: RecordedSteps, chunk: int, start: int, stop: int) -> Any:
        lookback = int(self.config.episode_lookback_horizon)
        own = self.config.learner_connector is not None  # connectors change episodes in place
        return steps.episode(chunk, start, stop, lookback=lookback, spaces=self.spaces, own=own)

    @property
    def makes_batches(self) -> bool:
        """Whether batches come from a prelearner of one's own, as they are."""
        return self._batches is not None

    @property
    def default_map_batches_kwargs(self) -> dict[str, Any]:
        """For RLlib's sake: rows are mapped in this process."""
        return {}

    @property
    def default_iter_batches_kwargs(self) -> dict[str, Any]:
        """How rows are iterated over."""
        return {"prefetch_batches": 1}

    # --- state --------------------------------------------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Returns how far it is."""
        return {"batches": self._batches.taken} if self._batches is not None else self._deal.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Has the next batches be those that would have come there, on the same data."""
        if self._batches is not None:
            self._batches.skip_to(int(state["batches"]))
        else:
            self._deal.set_state(state)


class _BatchesInOrder:
    """What a prelearner of one's own makes of the data, batch after batch, from the start again at its end."""

    def __init__(self, data: Any, prelearner: OfflinePreLearner, arguments: Mapping[str, Any]) -> None:
        self._data, self._prelearner, self._arguments = data, prelearner, arguments
        self._iterator: Iterator[Any] = iter(())
        self.taken = 0

    def next(self) -> Any:
        self.taken += 1
        for _ in range(2):
            for one in self._iterator:
                return one
            self._iterator = self._pass()
        raise OfflineDataError(f"{type(self._prelearner).__name__} made no batch of the data")

    def _pass(self) -> Iterator[Any]:
        for rows in self._data.iter_batches(**self._arguments):
            yield from self._prelearner(rows)["batch"]

    def skip_to(self, count: int) -> None:
        """Has `count` batches be taken."""
        self._iterator, self.taken = iter(()), 0
        while self.taken < count:
            self.next()


def _are_episodes(given: Any) -> bool:
    is_list = isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 0
    return is_list and all(isinstance(one, SingleAgentEpisode) for one in given)


def _filesystem(given: Any, arguments: Mapping[str, Any]) -> Any:
    """Returns a file system: as given, or of its name ("gcs", "s3", "abfs", "hdfs") and arguments."""
    if not isinstance(given, str):
        return given(**arguments) if isinstance(given, type) else given
    from pyarrow import fs

    names = {"gcs": "GcsFileSystem", "s3": "S3FileSystem", "abfs": "AzureFileSystem", "hdfs": "HadoopFileSystem"}
    if given not in names:
        raise ConfigError(f"input_filesystem is {given!r}; give a file system, or one of {', '.join(names)}")
    return getattr(fs, names[given])(**arguments)
