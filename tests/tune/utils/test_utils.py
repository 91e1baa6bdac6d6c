"""Small helpers with Ray's names."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from shoal.tune.exceptions import TuneError
from shoal.tune.trainable.trainable import Trainable
from shoal.tune.utils import (
    date_str,
    deep_update,
    diagnose_serialization,
    flatten_dict,
    merge_dicts,
    unflatten_dict,
    unflattened_lookup,
    validate_save_restore,
    wait_for_gpu,
    warn_if_slow,
)


class Counts(Trainable):
    """Goes on where it was."""

    def setup(self, config: dict[str, Any]) -> None:
        self.count = config["start"]

    def step(self) -> dict[str, Any]:
        self.count += 1
        return {"count": self.count}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"count": self.count}

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.count = checkpoint["count"]


class Forgets(Counts):
    """Begins anew."""

    def restore(self, checkpoint_path: Any) -> None:
        pass


def test_what_saves_and_restores_is_found_good() -> None:
    assert validate_save_restore(Counts, {"start": 1})


def test_what_forgets_is_found_out() -> None:
    with pytest.raises(TuneError, match="is iteration 1 instead of 4"):
        validate_save_restore(Forgets, {"start": 1})


def test_what_cannot_be_sent_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    lock = threading.Lock()

    def trains(config: dict[str, Any]) -> dict[str, Any]:
        return {"locked": lock.locked()}

    found = diagnose_serialization(trains)
    assert found is not True
    assert "lock" in capsys.readouterr().out
    assert diagnose_serialization(lambda config: {}) is True


def test_dicts_in_dicts() -> None:
    tree = {"a": {"b": 1, "c": {}}, "d": [{"e": 2}]}
    flat = flatten_dict(tree)
    assert flat == {"a/b": 1, "a/c": {}, "d": [{"e": 2}]}
    assert unflatten_dict(flat) == tree
    assert unflattened_lookup("a/b", tree) == 1
    assert unflattened_lookup("d/0/e", tree) == 2
    with pytest.raises(ValueError, match="'a/b'"):
        flatten_dict({"a/b": 1}, prevent_delimiter=True)


def test_dicts_are_merged() -> None:
    first = {"a": {"b": 1}, "c": 2}
    assert merge_dicts(first, {"a": {"x": 3}}) == {"a": {"b": 1, "x": 3}, "c": 2}
    assert first == {"a": {"b": 1}, "c": 2}
    with pytest.raises(ValueError, match="'x'; there are 'b'"):
        deep_update({"a": {"b": 1}}, {"a": {"x": 3}})
    assert deep_update({"a": {"b": 1}}, {"a": {"x": 3}}, allow_new_subkey_list=["a"]) == {"a": {"b": 1, "x": 3}}
    replaced = deep_update({"a": {"type": 1, "b": 1}}, {"a": {"type": 2}}, override_all_if_type_changes=["a"])
    assert replaced == {"a": {"type": 2}}


def test_what_is_slow_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with warn_if_slow("nothing", threshold=1000):
        pass
    assert not caplog.records
    with warn_if_slow("reading", threshold=-1):
        pass
    assert "reading took" in caplog.text


def test_dates_are_names() -> None:
    assert len(date_str()) == len("2026-01-02_03-04-05")


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that says what nvidia-smi would; each call takes a line of a file."""
    program = tmp_path / "nvidia-smi"
    answers = tmp_path / "answers"
    program.write_text(f'#!/bin/sh\nhead -1 "{answers}"\nsed -i 1d "{answers}"\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return answers


def test_a_gpu_becomes_free(gpu: Path) -> None:
    gpu.write_text("0, GPU-x, 900, 1000\n0, GPU-x, 5, 1000\n")
    assert wait_for_gpu(0, delay_s=0)
    gpu.write_text("0, GPU-x, 5, 1000\n" * 2)
    with pytest.raises(RuntimeError, match="still has 5 of 1000 MiB"):
        wait_for_gpu("GPU-x", delay_s=0, retry=1, gpu_memory_limit=2**20)
    with pytest.raises(ValueError, match="there are 0"):
        wait_for_gpu(7)
