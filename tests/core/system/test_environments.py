"""Runtime environments that are made: packages really installed, in processes that are killed, late, or many at once."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shoal._core.schema.runtime_environment import parse_environment
from shoal._core.system.children import children_of, watch_pid
from shoal._core.system.environment_files import pin_environment
from shoal._core.system.environment_process import PreparingProcess
from shoal._core.system.environments import PreparedEnvironment, environment_cache, prepare_environment, takes_long
from shoal._core.system.package_layers import PIP, UV, Layer, Packages
from shoal._core.system.setup_hooks import run_setup_hook
from shoal.exceptions import RuntimeEnvSetupError

OFFLINE = ["--no-index", "--no-cache-dir"]
DEADLINE_SECONDS = 30


def make_wheel(folder: Path, name: str, version: str = "1.0", code: str = "", requires: str = "") -> str:
    """Makes a wheel with one module, which says its version, and a command that does so too. Returns its path."""
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    module = name.replace("shoal_core", "another_shoal")
    files = {
        f"{module}.py": f"VERSION = {version!r}\ndef main(): print(VERSION)\n{code}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-version = {module}:main\n",
    }
    record = f"{info}/RECORD,,\n"
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            file.writestr(path, text)
    return str(wheel)


class Places:
    """Where environments are kept, and shorter calls."""

    def __init__(self, folder: Path) -> None:
        self.session_store = str(folder / "session")
        self.cache = str(folder / "cache")
        self.wheels = folder / "wheels"

    def prepare(self, environ: Mapping[str, str] = os.environ, **fields: Any) -> PreparedEnvironment:
        environment = parse_environment(fields)
        return prepare_environment(environment, session_store=self.session_store, cache=self.cache, environ=environ)

    def start(self, **fields: Any) -> PreparingProcess:
        return PreparingProcess.start(parse_environment(fields), session_store=self.session_store, cache=self.cache)

    def layers(self) -> list[str]:
        """Returns the names of finished layers, whichever store they are in."""
        stores = [Path(self.cache), Path(self.session_store, "packages")]
        return [path.name for store in stores if store.exists() for path in store.iterdir() if path.is_symlink()]

    def drafts(self) -> list[str]:
        """Returns the folders that are no finished layers."""
        stores = [Path(self.cache), Path(self.session_store, "packages")]
        finished = {os.path.realpath(store / name) for store in stores for name in self.layers()}
        folders = [str(path) for store in stores if store.exists() for path in store.iterdir() if path.is_dir()]
        return [folder for folder in folders if os.path.realpath(folder) not in finished]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def run(prepared: PreparedEnvironment, program: str) -> list[str]:
    """Returns the words that a program prints in the environment."""
    done = subprocess.run(
        [prepared.python_executable, "-c", program],
        env=prepared.environ(os.environ),
        cwd=prepared.cwd or None,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


# --- without packages -------------------------------------------------------------------------------------------------


def test_nothing_to_make(places: Places) -> None:
    prepared = places.prepare()
    assert prepared == PreparedEnvironment(key="", python_executable=sys.executable)
    assert prepared.environ({"A": "1"}) == {"A": "1"}
    assert prepared.sys_path(["/a", "/b"]) == ["/a", "/b"]
    assert not os.path.exists(places.session_store)


def test_files_and_variables(places: Places, tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "package").mkdir(parents=True)
    (code / "package/__init__.py").write_text("WHERE = 'module'")
    (code / "main.py").write_text("WHERE = 'working_dir'")
    variables = {"GREETING": "hello ${NAME}", "NAME": "you"}
    prepared = places.prepare(working_dir=str(code), py_modules=[str(code / "package")], env_vars=variables)
    assert prepared.needs_interpreter
    assert not places.prepare(working_dir=str(code)).needs_interpreter
    program = "import os, main, package; print(main.WHERE, package.WHERE, os.environ['GREETING'], os.getcwd())"
    assert run(prepared, program) == ["working_dir", "module", "hello", "you", os.path.realpath(prepared.cwd)]
    assert prepared.cwd != str(code)


def test_what_a_loop_may_do_itself(places: Places, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    folder = str(tmp_path / "code")
    pinned = pin_environment(
        parse_environment({"working_dir": folder, "py_modules": [folder]}), f"{places.session_store}/files"
    )
    quick = [
        parse_environment({}),
        parse_environment({"env_vars": {"A": "1"}, "worker_process_setup_hook": "a.b"}),
        parse_environment({"working_dir": f"local://{folder}"}),
        pinned,
    ]
    slow: list[dict[str, Any]] = [
        {"pip": ["six"]},
        {"uv": ["six"]},
        {"working_dir": folder},
        {"working_dir": "https://h/a.zip"},
        {"py_modules": [make_wheel(places.wheels, "some_thing")]},
    ]
    assert not any(takes_long(environment, places.session_store) for environment in quick)
    assert all(takes_long(parse_environment(fields), places.session_store) for fields in slow)
    wheel = pin_environment(parse_environment(slow[-1]), f"{places.session_store}/files")
    assert takes_long(wheel, places.session_store)


def test_the_modules_of_the_environment_come_first(places: Places, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    base = {"PYTHONPATH": "/theirs"}
    prepared = places.prepare(base, py_modules=[str(tmp_path / "code")])
    assert prepared.env_vars["PYTHONPATH"] == f"{prepared.import_paths[0]}:/theirs"
    prepared = places.prepare(base, py_modules=[str(tmp_path / "code")], env_vars={"PYTHONPATH": "/mine"})
    assert prepared.env_vars["PYTHONPATH"] == f"{prepared.import_paths[0]}:/mine"


def test_packages_of_a_layer_come_after_the_standard_library() -> None:
    prepared = PreparedEnvironment(
        key="k", python_executable="p", import_paths=["/code"], site_packages="/layer/site-packages"
    )
    base = ["", "/usr/lib/python311.zip", "/usr/lib/python3.11", "/venv/lib/python3.11/site-packages", "/more"]
    assert prepared.sys_path(base) == ["/code", *base[:3], "/layer/site-packages", *base[3:]]
    assert prepared.sys_path(["/code"]) == ["/code", "/layer/site-packages"]


def test_where_packages_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOAL_RUNTIME_ENV_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert environment_cache() == "/caches/shoal/environments"
    monkeypatch.setenv("SHOAL_RUNTIME_ENV_CACHE", "/else")
    assert environment_cache() == "/else"


# --- packages ---------------------------------------------------------------------------------------------------------


def test_packages_on_top_of_those_that_are_there(places: Places) -> None:
    wheel = make_wheel(places.wheels, "layered_thing", requires="msgspec")
    prepared = places.prepare(pip={"packages": [wheel], "pip_check": True, "pip_install_options": OFFLINE})
    assert prepared.needs_interpreter
    program = """
import layered_thing, msgspec, shutil, subprocess, sys
print(layered_thing.VERSION, layered_thing.__file__, msgspec.__file__, sys.executable)
print(subprocess.run(["layered_thing-version"], capture_output=True, text=True).stdout)
print(subprocess.run(["python", "-c", "import layered_thing; print('child')"], capture_output=True, text=True).stdout)
"""
    version, file, base_file, executable, command, child = run(prepared, program)
    import msgspec

    assert (version, command, child) == ("1.0", "1.0", "child")
    assert os.path.dirname(file) == prepared.site_packages
    assert base_file == msgspec.__file__, "what is there already is not installed again"
    assert executable == prepared.python_executable
    assert places.drafts() == []
    # In a layer on this layer the packages of both are there.
    nested = make_wheel(places.wheels, "nested_thing", requires="layered_thing")
    fields = repr({"pip": {"packages": [nested], "pip_install_options": OFFLINE}})
    program = f"""
from shoal._core.system.environments import prepare_environment
from shoal._core.schema.runtime_environment import parse_environment
prepared = prepare_environment(parse_environment({fields}), session_store={places.session_store!r}, cache={places.cache!r})
print(prepared.python_executable)
"""
    environ = {**prepared.environ(os.environ), "PYTHONPATH": ":".join(filter(None, sys.path))}
    command_line = [prepared.python_executable, "-c", program]
    done = subprocess.run(command_line, env=environ, capture_output=True, text=True, check=True)
    program = "import layered_thing, nested_thing, msgspec; print(nested_thing.VERSION)"
    assert run(PreparedEnvironment(key="", python_executable=done.stdout.strip()), program) == ["1.0"]


def test_a_layer_is_made_once(places: Places) -> None:
    wheel = make_wheel(places.wheels, "once_thing")
    fields = {"pip": {"packages": [wheel], "pip_install_options": OFFLINE}}
    preparing = [places.start(**fields) for _ in range(3)]
    results = [process.result() for process in preparing]
    assert results[0] == results[1] == results[2]
    assert len(places.layers()) == 1
    assert places.drafts() == []
    assert places.prepare(**fields) == results[0]
    # The same wheel elsewhere is the same layer; another one at the same path is not.
    moved = make_wheel(places.wheels / "elsewhere", "once_thing")
    os.replace(wheel, moved)
    fields["pip"]["packages"] = [moved]
    assert places.prepare(**fields).python_executable == results[0].python_executable
    make_wheel(places.wheels / "elsewhere", "once_thing", code="MORE = 1")
    assert run(places.prepare(**fields), "import once_thing; print(once_thing.MORE)") == ["1"]


def test_wheels_among_the_modules(places: Places) -> None:
    wheel = make_wheel(places.wheels, "module_thing")
    prepared = places.prepare(py_modules=[wheel])
    assert run(prepared, "import module_thing; print(module_thing.VERSION)") == ["1.0"]


def test_what_cannot_be_installed(places: Places) -> None:
    with pytest.raises(RuntimeEnvSetupError) as caught:
        places.prepare(pip={"packages": ["no-such-thing-at-all==1"], "pip_install_options": OFFLINE})
    text = str(caught.value)
    assert "installing no-such-thing-at-all==1 failed with exit code 1. Its output ends with:" in text
    assert "No matching distribution found" in text
    assert (places.layers(), places.drafts()) == ([], [])


@pytest.mark.slow
def test_packages_that_do_not_fit_together(places: Places) -> None:
    wheel = make_wheel(places.wheels, "unfit_thing", requires="msgspec<0.1")
    fields: dict[str, Any] = {"packages": [wheel], "pip_install_options": [*OFFLINE, "--no-deps"]}
    assert places.prepare(pip=fields).site_packages
    with pytest.raises(RuntimeEnvSetupError, match=r"`pip check` failed with exit code 1[\s\S]*unfit.thing"):
        places.prepare(pip={**fields, "pip_check": True})


@pytest.mark.slow
def test_another_version_of_shoal_is_refused(places: Places) -> None:
    wheel = make_wheel(places.wheels, "shoal_core", version="0.0.1")
    with pytest.raises(RuntimeEnvSetupError, match=r"bring shoal-core 0\.0\.1 along"):
        places.prepare(pip={"packages": [wheel], "pip_install_options": [*OFFLINE, "--no-deps"]})
    assert (places.layers(), places.drafts()) == ([], [])


@pytest.mark.slow
def test_requirements_in_the_working_dir(places: Places, tmp_path: Path) -> None:
    wheel = make_wheel(places.wheels, "listed_thing")
    code = tmp_path / "code"
    code.mkdir()
    (code / "requirements.txt").write_text(wheel)
    line = "-r ${SHOAL_RUNTIME_ENV_CREATE_WORKING_DIR}/requirements.txt"
    fields = {"working_dir": str(code), "pip": {"packages": [line], "pip_install_options": OFFLINE}}
    prepared = places.prepare(**fields)
    assert run(prepared, "import listed_thing; print(listed_thing.VERSION)") == ["1.0"]
    (code / "requirements.txt").write_text(make_wheel(places.wheels, "listed_thing", version="2.0"))
    assert run(places.prepare(**fields), "import listed_thing; print(listed_thing.VERSION)") == ["2.0"]


@pytest.mark.parametrize(
    ("line", "pinned"),
    [
        ("six==1.16.0", True),
        ("torch[cuda]==2.1+cu12 ; python_version > '3.8'", True),
        ("a==1 --hash=sha256:00", True),
        ("six", False),
        ("six>=1", False),
        ("six==1.*", False),
        ("git+https://host/repository@main", False),
        ("-r /tmp/requirements.txt", False),
        ("./folder", False),
    ],
)
def test_only_exact_versions_outlive_the_session(line: str, pinned: bool) -> None:
    assert Packages(PIP, [line]).are_pinned is pinned


def test_where_layers_are_kept(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def install(packages: Packages, store: str, environ: Mapping[str, str], deadline: float | None) -> Layer:
        asked.append((packages, store, environ["TOKEN"]))
        return Layer("/layer", "/layer/bin/python", "/layer/site-packages")

    monkeypatch.setattr("shoal._core.system.package_layers.install_packages", install)
    exact = places.prepare(pip=["six==1.16.0"], env_vars={"TOKEN": "abc"})
    assert (exact.env_vars["VIRTUAL_ENV"], exact.env_vars["PATH"].split(":")[0]) == ("/layer", "/layer/bin")
    newest = {"packages": ["six"], "uv_check": True, "uv_version": "==0.5", "uv_pip_install_options": ["-q"]}
    places.prepare(uv=newest, env_vars={"TOKEN": "abc"})
    assert asked == [
        (Packages(PIP, ["six==1.16.0"]), places.cache, "abc"),
        (Packages(UV, ["six"], True, "==0.5", ("-q",)), f"{places.session_store}/packages", "abc"),
    ]


@pytest.mark.slow
def test_from_the_package_index(places: Places) -> None:
    prepared = places.prepare(pip=["six==1.15.0"])
    assert run(prepared, "import six; print(six.__version__)") == ["1.15.0"]


@pytest.mark.slow
def test_by_uv(places: Places) -> None:
    wheel = make_wheel(places.wheels, "uv_thing")
    options = ["--no-index", "--no-cache", "--offline"]
    prepared = places.prepare(uv={"packages": [wheel], "uv_check": False, "uv_pip_install_options": options})
    program = "import uv_thing, msgspec; print(uv_thing.VERSION, uv_thing.__file__)"
    assert run(prepared, program) == ["1.0", f"{prepared.site_packages}/uv_thing.py"]


# --- interruptions ----------------------------------------------------------------------------------------------------


class SlowIndex:
    """A package index that answers when it is told to."""

    def __init__(self, wheel: str) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.set()
                index.may_answer.wait(DEADLINE_SECONDS)
                name = os.path.basename(wheel)
                is_wheel = self.path.endswith(name)
                page = f'<!DOCTYPE html><html><body><a href="/{name}">{name}</a></body></html>'.encode()
                content = Path(wheel).read_bytes() if is_wheel else page
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/octet-stream" if is_wheel else "text/html")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    return  # Whoever asked is gone.

            def log_message(self, *arguments: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.options = ["--no-cache-dir", "--index-url", f"http://127.0.0.1:{self._server.server_port}/simple"]

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def slow_index(places: Places, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowIndex]:
    # Else pip would also ask the indexes of the machine.
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    index = SlowIndex(make_wheel(places.wheels, "slow_thing"))
    yield index
    index.close()


def wait_until_ended(pid: int) -> None:
    try:
        fd = watch_pid(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(DEADLINE_SECONDS * 1000)
    os.close(fd)


def test_killed_while_it_installs(places: Places, slow_index: SlowIndex) -> None:
    fields = {"pip": {"packages": ["slow-thing==1.0"], "pip_install_options": slow_index.options}}
    process = places.start(**fields)
    assert slow_index.asked.wait(DEADLINE_SECONDS)
    (installer,) = children_of(process.pid)
    process.kill()
    with pytest.raises(RuntimeEnvSetupError, match="was killed by signal 9"):
        process.result()
    wait_until_ended(installer)
    assert places.layers() == []
    assert len(places.drafts()) == 1
    slow_index.may_answer.set()
    prepared = places.prepare(**fields)
    assert run(prepared, "import slow_thing; print(slow_thing.VERSION)") == ["1.0"]
    assert places.drafts() == [], "the next one removes what was left"


def test_too_slow(places: Places, slow_index: SlowIndex) -> None:
    before = children_of(os.getpid())
    config = {"setup_timeout_seconds": 1}
    fields = {"pip": {"packages": ["slow-thing==1.0"], "pip_install_options": slow_index.options}, "config": config}
    with pytest.raises(RuntimeEnvSetupError, match=r"was not done within .*setup_timeout_seconds"):
        places.prepare(**fields)
    assert children_of(os.getpid()) == before
    assert (places.layers(), places.drafts()) == ([], [])


@pytest.mark.slow
def test_waiting_too_long_for_another_one(places: Places, slow_index: SlowIndex) -> None:
    fields: dict[str, Any] = {"pip": {"packages": ["slow-thing==1.0"], "pip_install_options": slow_index.options}}
    process = places.start(**fields)
    assert slow_index.asked.wait(DEADLINE_SECONDS)
    with pytest.raises(RuntimeEnvSetupError, match="another process has held"):
        places.prepare(**fields, config={"setup_timeout_seconds": 1})
    slow_index.may_answer.set()
    assert process.result() == places.prepare(**fields)


def test_a_process_tells_what_went_wrong(places: Places) -> None:
    process = places.start(working_dir="local:///no/such/folder")
    with pytest.raises(RuntimeEnvSetupError) as caught:
        process.result()
    assert (
        caught.value.error_message
        == "working_dir: there is no folder /no/such/folder on this machine, for local:///no/such/folder."
    )


def test_a_process_is_watched_by_a_descriptor(places: Places) -> None:
    process = places.start(env_vars={"A": "1"})
    poll = select.poll()
    poll.register(process.fileno(), select.POLLIN)
    assert poll.poll(DEADLINE_SECONDS * 1000)
    assert process.result().env_vars == {"A": "1"}


def test_a_process_ends_with_the_one_that_started_it(places: Places, slow_index: SlowIndex) -> None:
    fields = {"pip": {"packages": ["slow-thing==1.0"], "pip_install_options": slow_index.options}}
    program = f"""
import signal, sys
from shoal._core.schema.runtime_environment import parse_environment
from shoal._core.system.environment_process import PreparingProcess
process = PreparingProcess.start(parse_environment({fields!r}), session_store={places.session_store!r}, cache={places.cache!r})
print(process.pid, flush=True)
signal.pause()
"""
    environ = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert slow_index.asked.wait(DEADLINE_SECONDS)
        installers = children_of(pid)
        parent.send_signal(signal.SIGKILL)
    for process in (pid, *installers):
        wait_until_ended(process)
    assert places.layers() == []


# --- setup hooks ------------------------------------------------------------------------------------------------------


def test_hooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hook_module.py").write_text("import os\ndef good(): os.environ['HOOK'] = 'ran'\ndef bad(): 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HOOK", "")
    run_setup_hook("")
    run_setup_hook("hook_module.good")
    assert os.environ["HOOK"] == "ran"
    with pytest.raises(RuntimeEnvSetupError, match=r"bad failed in a worker:[\s\S]*ZeroDivisionError"):
        run_setup_hook("hook_module.bad")
    with pytest.raises(RuntimeEnvSetupError, match=r"no_module.hook failed in a worker:[\s\S]*ModuleNotFoundError"):
        run_setup_hook("no_module.hook")


def test_pickled_hooks(capsys: pytest.CaptureFixture[str]) -> None:
    environment = parse_environment({"worker_process_setup_hook": _hook}, lambda function: pickle.dumps(print))
    run_setup_hook(environment.worker_process_setup_hook)
    assert capsys.readouterr().out == "\n"


def _hook() -> None:
    """Travels as another function in the test, since this module cannot be imported by its name."""
