"""What can be saved into a folder and made again of it, part by part."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from shoal import cloudpickle
from shoal.rllib._internal.checkpoint_reading import (
    CHECKPOINT_VERSION,
    CLASS_AND_CTOR_ARGS_FILE,
    METADATA_FILE,
    read_class_and_arguments,
    read_metadata,
    read_state,
)
from shoal.rllib._internal.version import __version__
from shoal.rllib.utils.error import CheckpointError, NotSerializable, close_matches

Components = str | Collection[str] | None


class Checkpointable:
    """A thing with a state, made of parts that have states of their own.

    A checkpoint is a folder: `class_and_ctor_args.pkl` says what it is, `<STATE_FILE_NAME>.pkl` has its own state,
    `metadata.json` is written
    last, and each part has a folder of its own, from which it can be made alone.
    """

    STATE_FILE_NAME = "state"

    # --- what a class defines -----------------------------------------------------------------------------------------------------

    def get_state(
        self, components: Components = None, *, not_components: Components = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Returns the state: by name, and each part's under the part's name.

        Args:
            components: the parts that are wanted, as `part` or `part/of/part`; None for all.
            not_components: parts that are not.
            **kwargs: for the parts.
        """
        raise NotImplementedError(f"{type(self).__name__} has no get_state()")

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` gave. Parts that are not in it stay as they are."""
        raise NotImplementedError(f"{type(self).__name__} has no set_state()")

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments that make another one."""
        raise NotImplementedError(f"{type(self).__name__} has no get_ctor_args_and_kwargs()")

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        """Returns the parts, by name."""
        return []

    def get_metadata(self, **kwargs: Any) -> dict[str, Any]:
        """Returns what `metadata.json` tells of it."""
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "state_file": f"{self.STATE_FILE_NAME}.pkl",
            "class_and_ctor_args_file": CLASS_AND_CTOR_ARGS_FILE,
            "checkpoint_version": CHECKPOINT_VERSION,
            "rllib_version": __version__,
        }

    # --- what it has --------------------------------------------------------------------------------------------------------------

    def save_to_path(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        state: Mapping[str, Any] | None = None,
        filesystem: Any = None,
        use_msgpack: bool = False,
    ) -> str:
        """Saves into a folder. A folder that is there is replaced once the new one is whole.

        Args:
            path: the folder; None for a new temporary one.
            state: what `get_state` returned; None to ask now.
            filesystem: of `path`, a `pyarrow.fs.FileSystem`; None for the local one.
            use_msgpack: accepted for Ray's sake.

        Returns:
            The path.

        Raises:
            OSError: it could not be written.
            NotSerializable: (a TypeError) something in it cannot be pickled; the message says what.
        """
        if filesystem is not None:
            import pyarrow.fs

            with tempfile.TemporaryDirectory(prefix="shoal-checkpoint-") as staged:
                self._write(Path(staged), self.get_state() if state is None else state)
                pyarrow.fs.copy_files(staged, os.fspath(path or ""), destination_filesystem=filesystem)
            return os.fspath(path or "")
        target = Path(os.path.abspath(path or tempfile.mkdtemp(prefix="shoal-checkpoint-")))
        target.parent.mkdir(parents=True, exist_ok=True)
        staged_path = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            self._write(staged_path, self.get_state() if state is None else state)
            staged_path.chmod(0o755)
            if target.exists():
                _keep_strangers(target, staged_path)
                shutil.rmtree(target)
            staged_path.replace(target)
        finally:
            shutil.rmtree(staged_path, ignore_errors=True)
        return str(target)

    def _write(self, folder: Path, state: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        own, parts = dict(state), []
        for name, part in self.get_checkpointable_components():
            if name in own:
                part._write(folder / name, own.pop(name))
                parts.append(name)
        made_of = {"class": type(self), "ctor_args_and_kwargs": self.get_ctor_args_and_kwargs()}
        (folder / CLASS_AND_CTOR_ARGS_FILE).write_bytes(_pickled(made_of, f"what a {type(self).__name__} is made of"))
        (folder / f"{self.STATE_FILE_NAME}.pkl").write_bytes(_pickled(own, f"the state of a {type(self).__name__}"))
        metadata = {**self.get_metadata(), "parts": parts}
        (folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2, default=str))

    def restore_from_path(
        self, path: str | os.PathLike[str], *, component: str | None = None, filesystem: Any = None, **kwargs: Any
    ) -> None:
        """Takes the state that a folder has.

        Args:
            path: the folder of a checkpoint of this, or of the part that `component` names.
            component: a part, as `part` or `part/of/part`; None for the whole.
            filesystem: of `path`, a `pyarrow.fs.FileSystem`; None for the local one.
            **kwargs: for the parts.

        Raises:
            CheckpointError: (a ValueError) it is no checkpoint, is damaged, or is one of something else or of a newer version.
        """
        with _local(path, filesystem) as folder:
            self._check_kind(folder, component)
            self._check_component(component)
            state = read_state(folder)
            for name in reversed(component.split("/")) if component else ():
                state = {name: state}
            self.set_state(state)

    def _check_component(self, component: str | None) -> None:
        """Raises CheckpointError where there is no such part."""
        part: Checkpointable = self
        for name in component.split("/") if component else ():
            parts = dict(part.get_checkpointable_components())
            if name not in parts:
                raise CheckpointError(
                    f"component is {component!r}, and {type(part).__name__} has no part {name!r}.{close_matches(name, parts)} It has: "
                    f"{sorted(parts)}"
                )
            part = parts[name]

    def _check_kind(self, folder: Path, component: str | None) -> None:
        """Raises CheckpointError where the folder has something that this cannot take."""
        read_metadata(folder)

    @classmethod
    def from_checkpoint(cls, path: str | os.PathLike[str], filesystem: Any = None, **kwargs: Any) -> Self:
        """Makes what was saved into a folder.

        Args:
            path: the folder.
            filesystem: of `path`, a `pyarrow.fs.FileSystem`; None for the local one.
            **kwargs: arguments of the constructor that differ.

        Raises:
            CheckpointError: (a ValueError) it is no checkpoint, is damaged, or is one of something else or of a newer version.
        """
        with _local(path, filesystem) as folder:
            kind, args, own = read_class_and_arguments(folder)
            if not issubclass(kind, cls):
                raise CheckpointError(
                    f"{folder} has a checkpoint of {kind.__name__}, which is no {cls.__name__}; use {kind.__name__}.from_checkpoint"
                )
            made: Self = kind(*args, **{**own, **kwargs})
            made.restore_from_path(folder)
            return made


def wants(component: str, components: Components, not_components: Components) -> bool:
    """Whether a part belongs to what `get_state` was asked for."""

    def listed(names: Components) -> list[str]:
        return [names] if isinstance(names, str) else list(names or ())

    if component in listed(not_components):
        return False
    return components is None or any(
        name == component or name.startswith(f"{component}/") for name in listed(components)
    )


def _pickled(value: Any, what: str) -> bytes:
    try:
        pickled: bytes = cloudpickle.dumps(value)
    except Exception as error:  # whatever pickling of a user's objects raises
        from shoal.util import inspect_serializability

        _, failures = inspect_serializability(value, what, depth=6, print_file=io.StringIO())
        parts = ", ".join(sorted({failure.path for failure in failures})) or what
        raise NotSerializable(
            f"it cannot be saved: {parts} cannot be pickled ({error}). Make such a thing where it is used, of what can be pickled, or "
            "leave it out in __getstate__"
        ) from error
    return pickled


def _keep_strangers(old: Path, new: Path) -> None:
    """Moves what is in the old folder and no checkpoint's into the new one."""
    for item in old.iterdir():
        ours = (item / METADATA_FILE).exists() or item.suffix in (".pkl", ".json")
        if not ours and not (new / item.name).exists():
            item.replace(new / item.name)


class _local:
    """A folder on this machine: the path itself, or a copy of it that is gone afterwards."""

    def __init__(self, path: str | os.PathLike[str], filesystem: Any) -> None:
        self._path, self._filesystem = path, filesystem
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Path:
        path = self._path
        if self._filesystem is None:
            inner = getattr(path, "path", path)  # Train's Checkpoint
            return Path(os.path.abspath(inner))
        import pyarrow.fs

        self._copy = tempfile.TemporaryDirectory(prefix="shoal-checkpoint-")
        pyarrow.fs.copy_files(os.fspath(path), self._copy.name, source_filesystem=self._filesystem)
        return Path(self._copy.name)

    def __exit__(self, *_: object) -> None:
        if self._copy is not None:
            self._copy.cleanup()
