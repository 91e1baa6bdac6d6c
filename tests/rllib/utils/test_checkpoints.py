"""Checkpoints that cannot be read are told by their path, with what is wrong and what to do."""

from __future__ import annotations

import json
import pickle
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from shoal.rllib.utils.checkpoints import Checkpointable, Components
from shoal.rllib.utils.error import CheckpointError


class Counter(Checkpointable):
    """Has a number, and perhaps a part."""

    def __init__(self, number: int = 0, part: Counter | None = None) -> None:
        self.number, self.part = number, part

    def get_state(
        self, components: Components = None, *, not_components: Components = None, **kwargs: Any
    ) -> dict[str, Any]:
        state: dict[str, Any] = {"number": self.number}
        return state if self.part is None else {**state, "part": self.part.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.number = state["number"]
        if self.part is not None:
            self.part.set_state(state["part"])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {"part": None if self.part is None else Counter()}

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        return [] if self.part is None else [("part", self.part)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = Path(Counter(3, Counter(4)).save_to_path(tmp_path / "saved"))
    again = Counter.from_checkpoint(path)
    assert (again.number, again.part.number if again.part else None) == (3, 4)
    return path


def metadata(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "metadata.json"
        kept = {name: value for name, value in {**json.loads(file.read_text()), **changes}.items() if value is not None}
        file.write_text(json.dumps(kept))

    return change


def cut(name: str, size: int = 20) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


def holding(name: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(pickle.dumps(value)) and None


def removed(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        if (folder / name).is_dir():
            (folder / name).rename(folder.parent / "elsewhere")
        else:
            (folder / name).unlink()

    return remove


def of_lost_code(folder: Path) -> None:
    module = types.ModuleType("lost_code")
    exec("class Lost: pass", module.__dict__)
    sys.modules["lost_code"] = module
    module.Lost.__module__ = "lost_code"
    (folder / "state.pkl").write_bytes(pickle.dumps(module.Lost()))
    del sys.modules["lost_code"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut("metadata.json"), r"saved/metadata\.json is damaged.*take an earlier"),
        (cut("metadata.json", 0), r"saved/metadata\.json is damaged"),
        (metadata(state_file=None), r"names no state_file.*no checkpoint of shoal\.rllib"),
        (lambda folder: (folder / "metadata.json").write_text("[]"), "names no state_file"),
        (metadata(rllib_version=None, ray_version="2.60.0"), r"by Ray's RLlib 2\.60\.0.*get_state\(\).*set_state\(\)"),
        (metadata(checkpoint_version="2.10", rllib_version="7.0"), r"2\.10, written by shoal-rllib 7\.0.*--upgrade"),
        (metadata(checkpoint_version="new"), "checkpoint_version 'new', which is none"),
        (cut("state.pkl"), r"saved/state\.pkl \(20 bytes\) is damaged, or was not written whole"),
        (cut("state.pkl", 0), r"saved/state\.pkl \(0 bytes\) is damaged.*EOFError"),
        (cut("part/state.pkl"), r"saved/part/state\.pkl \(20 bytes\) is damaged"),
        (holding("state.pkl", [1]), r"state\.pkl holds a list, and no state"),
        (holding("class_and_ctor_args.pkl", [1]), r"class_and_ctor_args\.pkl does not say what .* holds a list"),
        (removed("state.pkl"), r"saved is not whole: state\.pkl is missing; it has \['class_and_ctor_args\.pkl'"),
        (removed("class_and_ctor_args.pkl"), r"saved is not whole: class_and_ctor_args\.pkl is missing"),
        (removed("part"), "saved is not whole: its part 'part' is missing; it has"),
        (removed("part/metadata.json"), r"saved/part is no checkpoint: it has no metadata\.json"),
        (of_lost_code, r"state\.pkl needs code that is not here \(No module named 'lost_code'\).*where Python finds"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(saved: Path, damage: Callable[[Path], Any], told: str) -> None:
    damage(saved)
    with pytest.raises(CheckpointError, match=f"(?s){told}"):
        Counter.from_checkpoint(saved)


def test_files_and_folders_that_cannot_be_read_are_told(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"state\.pkl is no checkpoint: it is a file"):
        Counter().restore_from_path(saved / "state.pkl")
    (saved / "state.pkl").unlink()
    (saved / "state.pkl").mkdir()
    with pytest.raises(CheckpointError, match=r"state\.pkl cannot be read: .*Is a directory"):
        Counter().restore_from_path(saved)


def test_an_older_checkpoint_that_lists_no_parts_is_read(saved: Path) -> None:
    metadata(parts=None, checkpoint_version="1.1")(saved)
    assert Counter.from_checkpoint(saved).get_state() == {"number": 3, "part": {"number": 4}}
