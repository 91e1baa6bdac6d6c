"""Writes episodes down: as rows of steps, or as rows of pickled episodes."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.rllib._internal.nested import leaves
from shoal.rllib._internal.offline.data_library import data_library, named_function
from shoal.rllib._internal.offline.recorded_steps import RecordedSteps
from shoal.rllib._internal.offline.values import flat_columns
from shoal.rllib._internal.sampling.action_scaling import scaling_for
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.registration import name_of
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError


class Recorder:
    """Gathers episodes, and writes them into files of the folder `<output>/<environment>/<kind>-<runner>-<number>`.

    Actions are written as the environment takes them.

    Args:
        config: of the algorithm, with `output`.
        action_space: the environment's.
        worker_index: the runner's.

    Raises:
        ConfigError: (a ValueError) there is no such method to write with.
        MissingLibraryError: (an ImportError) shoal-data is not installed.
    """

    def __init__(self, config: Any, action_space: Any, worker_index: int) -> None:
        self._config = config
        self._library = data_library("recording")
        named_function(self._library.Dataset, "output_write_method", config.output_write_method, "write_")
        self._scale = scaling_for(action_space, normalize=config.normalize_actions, clip=True)
        kind = "evaluation" if config.in_evaluation else "run"
        env = re.sub(r"[^A-Za-z0-9_.-]+", "_", name_of(config.env)).strip("_").lower() or "env"
        self._folder = f"{_absolute(config.output)}/{env}"
        self._prefix = f"{kind}-{worker_index:06d}"
        self._count: int | None = None
        self._waiting: list[Any] = []  # tables

    def add(self, episodes: Sequence[SingleAgentEpisode]) -> None:
        """Takes episodes (or chunks of them), and writes what fills a file."""
        kept = [episode for episode in episodes if len(episode)]
        if kept:
            by_episode = self._config.output_write_episodes
            self._waiting.append(self._table_of_episodes(kept) if by_episode else self._table_of_steps(kept))
        most = self._config.output_max_rows_per_file
        if most is None:
            self._write(self._taken())
            return
        rows = sum(table.num_rows for table in self._waiting)
        if rows < most:
            return
        whole = self._taken()
        at = 0
        while rows - at >= most:
            self._write(whole.slice(at, most))
            at += most
        if at < rows:
            self._waiting.append(whole.slice(at))

    def close(self) -> None:
        """Writes what is left, where that is wanted."""
        if self._config.output_write_remaining_data:
            self._write(self._taken())

    def _taken(self) -> Any:
        """What waits, as one table."""
        import pyarrow as pa

        tables, self._waiting = self._waiting, []
        return pa.concat_tables(tables) if tables else None

    def _write(self, table: Any) -> None:
        if table is None or table.num_rows == 0:
            return
        arguments = dict(self._config.output_write_method_kwargs)
        filesystem = _made(self._config.output_filesystem, self._config.output_filesystem_kwargs)
        if filesystem is not None:
            arguments.setdefault("filesystem", filesystem)
        if self._count is None:
            self._count = _first_free(self._folder, self._prefix, filesystem)
        dataset = self._library.from_arrow(table)
        write = named_function(dataset, "output_write_method", self._config.output_write_method, "write_")
        write(f"{self._folder}/{self._prefix}-{self._count:06d}", **arguments)
        self._count += 1

    def _for_env(self, actions: Any) -> Any:
        return actions if self._scale is None else self._scale(actions)

    def _table_of_episodes(self, episodes: Sequence[SingleAgentEpisode]) -> Any:
        import pyarrow as pa

        items = []
        for episode in episodes:
            written = SingleAgentEpisode(
                episode.id_,
                observations=episode.get_observations(),
                infos=list(episode.get_infos()),
                actions=self._for_env(episode.get_actions()),
                rewards=np.asarray(episode.get_rewards(), np.float32),
                terminated=episode.is_terminated,
                truncated=episode.is_truncated,
                extra_model_outputs={key: episode.get_extra_model_outputs(key) for key in episode.extra_model_outputs},
                t_started=episode.t_started,
                len_lookback_buffer=0,
                agent_id=episode.agent_id,
                module_id=episode.module_id,
            )
            items.append(pickle.dumps(written.get_state(), protocol=5))
        return pa.table({"item": pa.array(items, pa.large_binary())})

    def _table_of_steps(self, episodes: Sequence[SingleAgentEpisode]) -> Any:
        import pyarrow as pa

        steps = RecordedSteps.of_episodes(episodes)
        every = np.arange(len(steps))
        lengths = steps.lengths
        columns = steps.transitions(every)
        truncateds = np.zeros(len(steps), bool)
        truncateds[steps.starts + lengths - 1] = steps.truncated
        t = every - np.repeat(steps.starts, lengths) + np.repeat(steps.t_started, lengths)
        ids = pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(np.arange(len(lengths)), lengths)), pa.array(steps.ids, pa.string())
        ).cast(pa.string())
        found: dict[str, Any] = {
            Columns.EPS_ID: ids,
            Columns.T: t,
            **flat_columns(Columns.OBS, columns[Columns.OBS]),
            **flat_columns(Columns.ACTIONS, self._for_env(columns[Columns.ACTIONS])),
            Columns.REWARDS: columns[Columns.REWARDS],
            Columns.TERMINATEDS: columns[Columns.TERMINATEDS],
            Columns.TRUNCATEDS: truncateds,
            **flat_columns(Columns.NEXT_OBS, columns[Columns.NEXT_OBS]),
        }
        for name, column in steps.extras.items():
            if all(isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf" for leaf in leaves(column)):
                found.update(flat_columns(name, column))
        return pa.table({name: _arrow(column) for name, column in found.items()})


def _arrow(column: Any) -> Any:
    import pyarrow as pa

    if not isinstance(column, np.ndarray):
        return column
    if column.ndim == 1:
        return pa.array(column)
    if column.dtype == bool:
        column = column.astype(np.int8)  # Arrow's bits are no tensor of numpy
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(column))


def _absolute(output: Any) -> str:
    """Returns the folder as a path that means the same in every process, or as the URI that it is."""
    if not isinstance(output, str | os.PathLike):
        raise ConfigError(f"output is {output!r}; give the path of a folder")
    path = os.fspath(output)
    return path.rstrip("/") if "://" in path else os.path.abspath(path)


def _made(given: Any, arguments: dict[str, Any]) -> Any:
    return given(**arguments) if isinstance(given, type) else given


def _first_free(folder: str, prefix: str, filesystem: Any) -> int:
    """Returns the number after those that earlier recordings have used."""
    from pyarrow import fs

    path = folder
    if filesystem is None:
        filesystem, path = fs.FileSystem.from_uri(folder) if "://" in folder else (fs.LocalFileSystem(), folder)
    elif not isinstance(filesystem, fs.FileSystem):
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
    found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    numbers = [match[1] for info in found if (match := re.fullmatch(rf"{re.escape(prefix)}-(\d+)", info.base_name))]
    return 1 + max(map(int, numbers), default=-1)
