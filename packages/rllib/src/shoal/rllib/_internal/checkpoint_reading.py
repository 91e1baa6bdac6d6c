"""Reading a checkpoint's folder. What cannot be read is told by its path, with what is wrong and what to do."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from shoal.rllib._internal.version import __version__
from shoal.rllib.utils.error import CheckpointError

METADATA_FILE = "metadata.json"
CLASS_AND_CTOR_ARGS_FILE = "class_and_ctor_args.pkl"
CHECKPOINT_VERSION = "2.1"

_TRY_ANOTHER = "take an earlier checkpoint, or copy this one again"


def read_metadata(folder: Path) -> dict[str, Any]:
    """Returns what a checkpoint tells of itself. Raises CheckpointError."""
    file = folder / METADATA_FILE
    if folder.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it is a file, and a checkpoint is a folder")
    if not file.is_file():
        inside = _names_in(folder) if folder.is_dir() else None
        what = "there is no such folder" if inside is None else f"it has no {METADATA_FILE}; it has {inside}"
        raise CheckpointError(f"{folder} is no checkpoint: {what}")
    try:
        found = json.loads(_bytes_of(file))
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged, or was not written whole ({error}); {_TRY_ANOTHER}") from error
    if not isinstance(found, dict) or not isinstance(found.get("state_file"), str):
        raise CheckpointError(
            f"{file} names no state_file, so {folder} is no checkpoint of shoal.rllib's; {_TRY_ANOTHER}"
        )
    if "ray_version" in found and "rllib_version" not in found:
        raise CheckpointError(
            f"{folder} was written by Ray's RLlib {found['ray_version']}, whose files need Ray to be read. Where Ray is, keep what "
            "module.get_state() returns (arrays by name), and give it to module.set_state() here"
        )
    _check_version(folder, found)
    return found


def _check_version(folder: Path, metadata: dict[str, Any]) -> None:
    version = str(metadata.get("checkpoint_version"))
    try:
        parts = [int(part) for part in version.split(".")]
    except ValueError:
        raise CheckpointError(
            f"{folder / METADATA_FILE} has the checkpoint_version {version!r}, which is none; {_TRY_ANOTHER}"
        ) from None
    if parts > [int(part) for part in CHECKPOINT_VERSION.split(".")]:
        raise CheckpointError(
            f"{folder} has a checkpoint of version {version}, written by shoal-rllib {metadata.get('rllib_version')}. This is shoal-rllib "
            f"{__version__}, which reads versions up to {CHECKPOINT_VERSION}; install a newer one: pip install --upgrade shoal-rllib"
        )


def read_class_and_arguments(folder: Path) -> tuple[type[Any], tuple[Any, ...], dict[str, Any]]:
    """Returns what a checkpoint is of, and the arguments that make one. Raises CheckpointError."""
    file = folder / read_metadata(folder).get("class_and_ctor_args_file", CLASS_AND_CTOR_ARGS_FILE)
    found = _unpickled(file)
    try:
        kind, (args, kwargs) = found["class"], found["ctor_args_and_kwargs"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file} does not say what {folder} is a checkpoint of: it holds a {type(found).__name__}; {_TRY_ANOTHER}"
        ) from error
    return kind, args, kwargs


def read_state(folder: Path) -> dict[str, Any]:
    """Returns the state that a checkpoint has, with those of its parts. Raises CheckpointError."""
    metadata = read_metadata(folder)
    file = folder / metadata["state_file"]
    state = _unpickled(file)
    if not isinstance(state, dict):
        raise CheckpointError(f"{file} holds a {type(state).__name__}, and no state; {_TRY_ANOTHER}")
    for name in metadata.get("parts", ()):
        if not (folder / name).is_dir():
            raise CheckpointError(
                f"{folder} is not whole: its part {name!r} is missing; it has {_names_in(folder)}; {_TRY_ANOTHER}"
            )
    for part in sorted(folder.iterdir()):
        if part.name in metadata.get("parts", ()) or (part / METADATA_FILE).is_file():
            state[part.name] = read_state(part)
    return state


def _unpickled(file: Path) -> Any:
    data = _bytes_of(file)
    try:
        return pickle.loads(data)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"{file} needs code that is not here ({error}); have the modules that its classes are of where Python finds them, in the "
            "versions that it was written with"
        ) from error
    except Exception as error:  # whatever bytes that are no pickle raise
        raise CheckpointError(
            f"{file} ({len(data)} bytes) is damaged, or was not written whole ({type(error).__name__}: {error}); {_TRY_ANOTHER}"
        ) from error


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(
            f"{file.parent} is not whole: {file.name} is missing; it has {_names_in(file.parent)}; {_TRY_ANOTHER}"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error


def _names_in(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())
