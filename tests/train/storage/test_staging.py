"""What a process that was killed has left of checkpoints on their way is found, and goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.train._internal.process.staging import Staging


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def folder_of(path: Path) -> str:
    path.mkdir()
    (path / "weights").write_text("1")
    return str(path)


def test_what_is_taken_or_copied_goes_when_it_is_done(tmp_path: Path, temporary: Path) -> None:
    staging = Staging("run")
    given, kept = folder_of(tmp_path / "given"), folder_of(tmp_path / "kept")
    taken, copied = staging.taken(given), staging.copied(kept)
    assert taken is not None
    assert not os.path.exists(given)
    assert os.path.exists(kept)
    for one in (taken, copied):
        assert Path(one, "weights").read_text() == "1"
        staging.done(one)
    assert [*temporary.iterdir()] == [Path(staging.path)]
    assert not [*Path(staging.path).iterdir()]


def test_what_lies_elsewhere_is_taken_beside_where_it_is(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def of_other_file_systems(source: str, target: str) -> None:
        if str(target).startswith(str(temporary)):
            raise OSError(18, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", of_other_file_systems)
    staging = Staging("run")
    done, left = (staging.taken(folder_of(tmp_path / name)) for name in ("done", "left"))
    assert done is not None
    assert left is not None
    assert {Path(done).parent, Path(left).parent} == {tmp_path}
    staging.done(done)
    Staging("another").clear()
    assert Path(left, "weights").exists()
    Staging("run").clear()
    assert [one.name for one in tmp_path.iterdir()] == ["temporary"]
    assert not [*temporary.iterdir()]


def test_what_a_killed_process_has_left_goes_with_the_next_run_of_that_name(tmp_path: Path, temporary: Path) -> None:
    given = folder_of(tmp_path / "given")
    program = (
        "import os, signal, sys; from shoal.train._internal.process.staging import Staging;"
        "Staging('run').taken(sys.argv[1]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, given], env=os.environ | {"TMPDIR": str(temporary)})
    assert ended.returncode == -signal.SIGKILL
    assert not os.path.exists(given)
    assert [*temporary.iterdir()] == [Path(Staging("run").path)]
    Staging("run").clear()
    assert not [*temporary.iterdir()]


def test_nobody_elses_folder_is_touched(temporary: Path, tmp_path: Path) -> None:
    staging = Staging("run")
    (tmp_path / "precious").mkdir()
    os.symlink(tmp_path / "precious", staging.path)
    with pytest.raises(PermissionError, match="belongs to another user; set TMPDIR"):
        staging.copied(folder_of(tmp_path / "given"))
    staging.clear()
    assert (tmp_path / "precious").exists()
