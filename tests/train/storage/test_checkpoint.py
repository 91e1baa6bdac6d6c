"""Checkpoints: folders here and elsewhere."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from pyarrow import fs

from shoal.train import Checkpoint, _checkpoint
from shoal.train.exceptions import InvalidArgumentError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "inside").mkdir(parents=True)
    (made / "a").write_text("1")
    (made / "inside" / "b").write_text("2")
    return made


def files(path: str | os.PathLike[str]) -> dict[str, str]:
    base = Path(path)
    return {str(file.relative_to(base)): file.read_text() for file in base.rglob("*") if file.is_file()}


BOTH = {"a": "1", "inside/b": "2"}


@pytest.mark.parametrize("form", [str, Path, lambda path: f"file://{path}"])
def test_a_local_folder_is_given_as_it_is(folder: Path, form: type) -> None:
    with Checkpoint(form(folder)).as_directory() as path:
        assert path == str(folder)


def test_a_copy_is_the_callers(folder: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.from_directory(folder)
    assert files(checkpoint.to_directory(tmp_path / "copy")) == BOTH
    assert files(checkpoint.to_directory()) == BOTH


def test_a_remote_one_is_copied_and_the_copy_goes(folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/bucket/one", recursive=True)
    for checkpoint in (Checkpoint("/bucket/one", memory), Checkpoint("memory://bucket/one")):
        with checkpoint.as_directory() as path, checkpoint.as_directory() as again:
            assert path == again
            assert files(path) == BOTH
        assert not os.path.exists(path)
    memory.rm("/bucket", recursive=True)


def test_processes_share_one_copy(folder: Path, tmp_path: Path) -> None:
    """A second process finds the first one's copy, and the last one that reads it removes it, even if another was killed."""
    program = (
        "import os, sys; from shoal.train import Checkpoint; from pyarrow import fs\n"
        f"checkpoint = Checkpoint({str(folder)!r}, fs.SubTreeFileSystem('/', fs.LocalFileSystem()))\n"
        "with checkpoint.as_directory() as path:\n"
        "    print(path, flush=True); sys.stdin.readline()\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        paths = {process.stdout.readline().strip() for process in processes if process.stdout is not None}
        assert len(paths) == 1
        (path,) = paths
        assert files(path) == BOTH
        processes[0].kill()
        processes[0].wait()
        processes[1].communicate("\n")
        assert files(path) == BOTH
        processes[2].communicate("\n")
        assert not os.path.exists(path)
        assert not os.path.exists(f"{path}.lock")
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_metadata(folder: Path) -> None:
    checkpoint = Checkpoint.from_directory(folder)
    assert checkpoint.get_metadata() == {}
    checkpoint.set_metadata({"epoch": 1})
    checkpoint.update_metadata({"loss": 0.5})
    assert checkpoint.get_metadata() == {"epoch": 1, "loss": 0.5}


def test_it_is_a_place(folder: Path) -> None:
    checkpoint = Checkpoint.from_directory(folder)
    assert pickle.loads(pickle.dumps(checkpoint)) == checkpoint
    assert len({checkpoint, Checkpoint(folder)}) == 1
    assert isinstance(checkpoint.filesystem, fs.LocalFileSystem)


def test_wrong_places(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="path is None"):
        Checkpoint(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="nowhere://x"):
        Checkpoint("nowhere://x")
    with pytest.raises(InvalidArgumentError, match="give one of pyarrow or fsspec"):
        Checkpoint("x", 3)
    with pytest.raises(FileNotFoundError, match="is not there"):
        Checkpoint(tmp_path / "missing").to_directory()


def test_pages_of_rays_import_it_from_here() -> None:
    assert _checkpoint.Checkpoint is Checkpoint
