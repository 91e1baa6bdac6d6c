"""Files of runtime environments: copies named by their content, archives, and what is fetched."""

from __future__ import annotations

import functools
import http.server
import os
import socket
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shoal._core.schema.runtime_environment import Environment, parse_environment
from shoal._core.system import folder_copies
from shoal._core.system.environment_files import Files, materialize_files, pin_environment
from shoal._core.system.folder_copies import IgnoreFiles, keep_folder
from shoal.exceptions import RuntimeEnvSetupError


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(folder: str) -> dict[str, str]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return write(tmp_path / "code", {"main.py": "1", "package/__init__.py": "", "package/data.txt": "x"})


def materialize(store: str, **fields: Any) -> Files:
    return materialize_files(parse_environment(fields), store, None)


# --- copies of folders ------------------------------------------------------------------------------------------------


def test_a_copy_has_the_files_as_they_are_now(code: Path, store: str) -> None:
    (code / "run.sh").write_text("#!/bin/sh\n")
    (code / "run.sh").chmod(0o755)
    (code / "empty").mkdir()
    (code / "alias.py").symlink_to("main.py")
    (code / "dead").symlink_to("nowhere")
    (code / "up").symlink_to(".")
    os.mkfifo(code / "pipe")
    copy = keep_folder(str(code), store, IgnoreFiles())
    (code / "main.py").write_text("2")
    files = {
        "main.py": "1",
        "alias.py": "1",
        "run.sh": "#!/bin/sh\n",
        "package/__init__.py": "",
        "package/data.txt": "x",
    }
    assert read(copy) == files
    assert os.access(f"{copy}/run.sh", os.X_OK)
    assert not os.access(f"{copy}/main.py", os.X_OK)
    assert os.listdir(f"{copy}/empty") == []
    assert sorted(os.listdir(copy)) == ["alias.py", "empty", "main.py", "package", "run.sh"]


def test_equal_folders_have_one_copy(code: Path, store: str, tmp_path: Path) -> None:
    first = keep_folder(str(code), store, IgnoreFiles())
    twin = write(tmp_path / "twin", read(str(code)))
    assert keep_folder(str(twin), store, IgnoreFiles()) == first
    changes: list[dict[str, str]] = [{"main.py": "2"}, {"new.py": ""}, {"package/data.txt": "y"}]
    copies = {first} | {keep_folder(str(write(twin, change)), store, IgnoreFiles()) for change in changes}
    assert len(copies) == 4
    assert sorted(os.listdir(store)) == sorted(os.path.basename(copy) for copy in copies)


def test_what_differs_only_in_where_it_is_has_another_name(store: str, tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"ab": "", "c": "xy"})
    other = write(tmp_path / "other", {"a": "", "bc": "xy"})
    third = write(tmp_path / "third", {"ab": "x", "c": "y"})
    assert len({keep_folder(str(folder), store, IgnoreFiles()) for folder in (one, other, third)}) == 3


def test_ignore_files_hold_below_their_folder(store: str, tmp_path: Path) -> None:
    code = write(
        tmp_path / "code",
        {
            ".gitignore": "*.log\n/secret\nbuild/\n",
            "a.log": "", "secret": "", "build/x": "", "keep.py": "",
            "sub/.gitignore": "!important.log\n*.tmp\n",
            "sub/important.log": "", "sub/other.log": "", "sub/x.tmp": "", "sub/secret": "",
            ".rayignore": "*.big\n", "x.big": "",
        },
    )  # fmt: skip
    kept = {".gitignore", ".rayignore", "keep.py", "sub/.gitignore", "sub/important.log", "sub/secret"}
    assert set(read(keep_folder(str(code), store, IgnoreFiles()))) == kept
    only = IgnoreFiles(["sub", ".*"], names=())
    assert set(read(keep_folder(str(code), store, only))) == {"a.log", "secret", "build/x", "keep.py", "x.big"}


def test_a_store_inside_of_the_folder_is_not_copied(code: Path) -> None:
    store = str(code / "store")
    first = keep_folder(str(code), store, IgnoreFiles())
    assert keep_folder(str(code), store, IgnoreFiles()) == first
    assert "store" not in os.listdir(first)


def test_too_much(code: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_copies, "LARGEST_COPY", 1000)
    write(code, {"data/a": "x" * 900, "data/b": "x" * 400, "c": "x" * 100})
    with pytest.raises(RuntimeEnvSetupError) as caught:
        keep_folder(str(code), store, IgnoreFiles())
    assert "Largest in it: data (0.0 MiB), c" in str(caught.value)
    assert "excludes" in str(caught.value)
    keep_folder(str(code), store, IgnoreFiles(["data/a"]))


def test_a_copy_that_fails_leaves_nothing(code: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, target: str) -> None:
        raise PermissionError(13, "Permission denied", source)

    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(RuntimeEnvSetupError, match=r"main.py cannot be copied \(Permission denied\)"):
        keep_folder(str(code), store, IgnoreFiles())
    assert os.listdir(store) == []


def test_copies_made_at_the_same_time(code: Path, store: str) -> None:
    copies: list[str] = []
    threads = [
        threading.Thread(target=lambda: copies.append(keep_folder(str(code), store, IgnoreFiles()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copies) == 4
    assert os.listdir(store) == [os.path.basename(copies[0])]


# --- pinning ----------------------------------------------------------------------------------------------------------


def test_a_pinned_environment_does_not_change_with_the_folder(code: Path, store: str) -> None:
    environment = parse_environment({"working_dir": str(code), "py_modules": [str(code / "package")]})
    pinned = pin_environment(environment, store)
    assert pin_environment(pinned, store) == pinned
    assert pinned.key != environment.key
    (code / "main.py").write_text("2")
    later = pin_environment(environment, store)
    assert later.key != pinned.key
    assert later.py_modules == pinned.py_modules
    assert read(pinned.working_dir)["main.py"] == "1"
    assert read(later.working_dir)["main.py"] == "2"


def test_nothing_to_pin(store: str) -> None:
    environment = parse_environment({"pip": ["six"], "py_modules": ["https://h/a.zip"]})
    assert pin_environment(environment, store) == environment
    assert not os.path.exists(store)


def test_excludes_of_the_environment_and_usual_ones(code: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        code,
        {".git/config": "", "__pycache__/x.pyc": "", "venv/x": "", "data.bin": "", "package/__pycache__/y.pyc": ""},
    )
    fields = {"working_dir": str(code), "py_modules": [str(code / "package")], "excludes": ["*.bin", "data.txt"]}
    files = materialize(store, **fields)
    assert set(read(files.working_dir)) == {"main.py", "package/__init__.py"}
    assert set(read(files.import_paths[1])) == {"package/__init__.py"}
    monkeypatch.setenv("SHOAL_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "")
    assert "venv/x" in read(materialize(store, **fields).working_dir)


def test_gitignore_files_may_be_ignored(code: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(code, {".gitignore": "main.py"})
    assert "main.py" not in read(materialize(store, working_dir=str(code)).working_dir)
    monkeypatch.setenv("SHOAL_RUNTIME_ENV_IGNORE_GITIGNORE", "1")
    assert "main.py" in read(materialize(store, working_dir=str(code)).working_dir)


# --- what can be named ------------------------------------------------------------------------------------------------


def test_modules(code: Path, store: str) -> None:
    write(code, {"tool-1-py3-none-any.whl": "wheel"})
    modules = [code / "package", code / "main.py", code / "tool-1-py3-none-any.whl"]
    files = materialize(store, working_dir=str(code), py_modules=modules)
    top, package, module = files.import_paths
    assert top == files.working_dir
    assert set(read(package)) == {"package/__init__.py", "package/data.txt"}
    assert read(module) == {"main.py": "1"}
    assert [os.path.basename(wheel) for wheel in files.wheels] == ["tool-1-py3-none-any.whl"]


def test_a_folder_in_place(code: Path, store: str) -> None:
    files = materialize(store, working_dir=f"local://{code}", py_modules=[f"local://{code}"])
    assert files == Files(str(code), [str(code), str(code)], [])
    with pytest.raises(RuntimeEnvSetupError, match="no folder /no/such on this machine"):
        materialize(store, working_dir="local:///no/such")


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """Archives, of a folder 'top' with two files."""
    write(tmp_path / "packed/top", {"main.py": "1", "sub/run.sh": "2"})
    (tmp_path / "packed/top/sub/run.sh").chmod(0o755)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in sorted((tmp_path / "packed").rglob("*")):
            file.write(path, path.relative_to(tmp_path / "packed"))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "packed/top", "top")
    return tmp_path


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_local_archives_are_unpacked_as_they_are(archives: Path, store: str, name: str) -> None:
    files = materialize(store, working_dir=str(archives / name))
    assert read(files.working_dir) == {"top/main.py": "1", "top/sub/run.sh": "2"}
    assert os.access(f"{files.working_dir}/top/sub/run.sh", os.X_OK)
    assert len(os.listdir(store)) == 1


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_archives_by_uri_lose_their_only_folder(archives: Path, store: str, name: str) -> None:
    files = materialize(store, working_dir=f"file://{archives}/{name}", py_modules=[f"file://{archives}/{name}"])
    assert read(files.working_dir) == {"main.py": "1", "sub/run.sh": "2"}
    assert files.import_paths == [files.working_dir] * 2
    assert len(os.listdir(store)) == 1


def test_archives_that_want_out(store: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        file.writestr("../../outside", "x")
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("../../outside")
        tar.addfile(member)
    assert read(materialize(store, working_dir=str(tmp_path / "bad.zip")).working_dir) == {"outside": "x"}
    with pytest.raises(RuntimeEnvSetupError, match="cannot be unpacked"):
        materialize(store, working_dir=str(tmp_path / "bad.tar.gz"))
    assert not list(tmp_path.parent.glob("outside"))


def test_damaged_archives(store: str, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04nonsense")
    for working_dir in (str(tmp_path / "bad.zip"), f"file://{tmp_path}/bad.zip"):
        with pytest.raises(RuntimeEnvSetupError, match=r"bad.zip cannot be unpacked: .*Give a zip or tar"):
            materialize(store, working_dir=working_dir)
    assert os.listdir(store) == []


# --- fetching ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(archives: Path) -> Iterator[str]:
    """Address of a server of the archives."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            return

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(archives))
    ) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_by_http(server: str, archives: Path, store: str) -> None:
    (archives / "tool-1-py3-none-any.whl").write_text("wheel")
    fields = {"working_dir": f"{server}/a.zip?token=1", "py_modules": [f"{server}/tool-1-py3-none-any.whl"]}
    files = materialize(store, **fields)
    assert read(files.working_dir) == {"main.py": "1", "sub/run.sh": "2"}
    assert Path(files.wheels[0]).name == "tool-1-py3-none-any.whl"
    (archives / "a.zip").unlink()
    assert materialize(store, **fields) == files, "what is here is not fetched again"
    with pytest.raises(RuntimeEnvSetupError, match=r"b\.zip cannot be fetched: HTTPError: HTTP Error 404"):
        materialize(store, working_dir=f"{server}/b.zip")
    assert len(os.listdir(store)) == 2


def test_a_server_that_does_not_answer_in_time(store: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = Environment(working_dir=f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip")
        with pytest.raises(RuntimeEnvSetupError, match="cannot be fetched: TimeoutError"):
            materialize_files(environment, store, time.monotonic() + 0.2)
        with pytest.raises(RuntimeEnvSetupError, match="setup_timeout_seconds"):
            materialize_files(environment, store, time.monotonic() - 1)


def test_without_fsspec(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(RuntimeEnvSetupError, match="pip install fsspec s3fs"):
        materialize(store, working_dir="s3://bucket/a.zip")


def test_by_fsspec(store: str, archives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_file(uri: str, mode: str) -> SimpleNamespace:
        assert (uri, mode) == ("gs://bucket/a.zip", "rb")
        return SimpleNamespace(open=lambda: open(archives / "a.zip", "rb"))

    monkeypatch.setitem(sys.modules, "fsspec", SimpleNamespace(open=open_file))
    assert "main.py" in read(materialize(store, working_dir="gs://bucket/a.zip").working_dir)
