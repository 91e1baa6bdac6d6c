"""Packages on top of those of this interpreter: a virtual environment that sees everything that is installed here, and in
which pip or uv has put more.

The interpreter may itself be that of a virtual environment, so the layer does not rest on what Python calls system
packages: a `.pth` file in it names the folders that this process has its packages from.

A layer is made in a folder of its own and never moved, since programs in it name that folder; a link, put in place when
all is done, makes it the one to use. What was not finished, for whatever reason, has no link and is removed by the next
one who makes that layer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import site
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shoal._core.system.file_locks import file_lock
from shoal._core.system.folder_copies import digest_of_file
from shoal._core.system.installer_process import run_installer
from shoal._core.version import VERSION
from shoal.exceptions import RuntimeEnvSetupError

PIP = "pip"
UV = "uv"

_WORKING_DIR_VARIABLES = ("SHOAL_RUNTIME_ENV_CREATE_WORKING_DIR", "RAY_RUNTIME_ENV_CREATE_WORKING_DIR")
_PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[^\]]*\])?\s*==\s*[A-Za-z0-9._+!-]+(\s*;.*)?(\s--hash.*)?")
_MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", "VIRTUAL_ENV")


class Packages(NamedTuple):
    """What to install."""

    installer: str
    """PIP or UV."""
    lines: Sequence[str]
    """As in a requirements file; paths are absolute."""
    check: bool = False
    """Whether packages that do not fit together are an error."""
    version: str | None = None
    """Of the installer, as in '==24.0'; None for the one that is there."""
    options: Sequence[str] = ()
    """Further ones of `install`."""
    working_dir: str = ""
    """What `${SHOAL_RUNTIME_ENV_CREATE_WORKING_DIR}` in a line stands for."""

    @property
    def are_pinned(self) -> bool:
        """Whether installing them at another time would give the same, so that later sessions may use the layer too."""
        return all(_PINNED.fullmatch(line) or os.path.isfile(line) for line in self.lines)


class Layer(NamedTuple):
    """A finished layer."""

    folder: str
    python: str
    """Its interpreter."""
    site_packages: str
    """The folder that packages were installed to."""

    @classmethod
    def at(cls, folder: str) -> Layer:
        base = {"base": folder, "platbase": folder}
        return cls(folder, os.path.join(folder, "bin", "python"), sysconfig.get_path("purelib", "venv", base))


def install_packages(packages: Packages, store: str, environ: Mapping[str, str], deadline: float | None) -> Layer:
    """Returns a layer with the packages; makes it if it is not there yet. Blocks for as long as that takes.

    Args:
        packages: what to install.
        store: folder of the layers; several processes may use it at the same time.
        environ: environment variables of the installer.
        deadline: by `time.monotonic`; None for none.

    Raises:
        RuntimeEnvSetupError: it cannot be done, or not in time; with the installer's last lines.
    """
    os.makedirs(store, mode=0o700, exist_ok=True)
    key = _key(packages)
    link = os.path.join(store, key)
    if not os.path.exists(link):
        try:
            with file_lock(f"{link}.lock", deadline):
                if not os.path.exists(link):
                    _make(packages, link, environ, deadline)
        except TimeoutError as error:
            text = f"{packages.installer}: {error}, beyond runtime_env['config']['setup_timeout_seconds']"
            raise RuntimeEnvSetupError(text) from error
    return Layer.at(os.path.realpath(link))


def _make(packages: Packages, link: str, environ: Mapping[str, str], deadline: float | None) -> None:
    store, key = os.path.split(link)
    for name in os.listdir(store):
        if name.startswith(f"{key}-"):
            shutil.rmtree(os.path.join(store, name), ignore_errors=True)
    folder = f"{link}-{os.urandom(4).hex()}"
    layer = Layer.at(folder)
    try:
        _make_empty(layer)
        _Installation(packages, layer, store, environ, deadline).run()
        _refuse_another_shoal(layer)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    draft = f"{folder}/link"
    os.symlink(os.path.basename(folder), draft)
    os.replace(draft, link)


def _make_empty(layer: Layer) -> None:
    import venv

    venv.EnvBuilder(symlinks=True).create(layer.folder)
    # By `addsitedir`, so that .pth files there (packages in development) count too.
    calls = "".join(f"; site.addsitedir({folder!r})" for folder in _installed_here())
    with open(os.path.join(layer.site_packages, "_shoal_layer.pth"), "w", encoding="utf-8") as file:
        file.write(f"import site{calls}\n")


def _installed_here() -> list[str]:
    """Returns the folders that this interpreter has its packages from."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders = [*folders, site.getusersitepackages()]
    return [folder for folder in folders if os.path.isdir(folder)]


def _refuse_another_shoal(layer: Layer) -> None:
    for name in os.listdir(layer.site_packages):
        match = re.fullmatch(r"shoal_core-(.+)\.dist-info", name)
        if match and match[1] != VERSION:
            raise RuntimeEnvSetupError(
                f"the packages bring shoal-core {match[1]} along, but the session runs {VERSION}, and workers need the same. "
                "Leave shoal-core and what asks for another version of it out, or install that version everywhere."
            )


class _Installation:
    """One run of an installer into an empty layer."""

    def __init__(
        self, packages: Packages, layer: Layer, store: str, environ: Mapping[str, str], deadline: float | None
    ) -> None:
        self._packages = packages
        self._layer = layer
        self._store = store
        self._deadline = deadline
        self._environ = {name: value for name, value in environ.items() if name not in _MISLEADING}
        # Nobody is there to answer questions.
        self._environ |= {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "GIT_TERMINAL_PROMPT": "0"}
        self._environ |= {"PIP_USER": "0", "UV_NO_PROGRESS": "1"}
        if packages.working_dir:
            self._environ |= dict.fromkeys(_WORKING_DIR_VARIABLES, packages.working_dir)

    def run(self) -> None:
        requirements = os.path.join(self._layer.folder, "requirements.txt")
        with open(requirements, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self._packages.lines)
        install, check = self._pip() if self._packages.installer == PIP else self._uv()
        self._call(
            [*install, "-r", requirements, *self._packages.options], f"installing {_names(self._packages.lines)}"
        )
        if self._packages.check:
            self._call(check, f"`{self._packages.installer} check`")

    def _pip(self) -> tuple[list[str], list[str]]:
        """Returns the commands that install and check."""
        pip = [self._layer.python, "-m", "pip"]
        if importlib.util.find_spec("pip") is None:
            self._call(
                [self._layer.python, "-m", "ensurepip"], "putting pip, which this Python lacks, into the environment"
            )
        if self._packages.version:
            wanted = f"pip{self._packages.version}"
            self._call([*pip, "install", wanted], f"installing {wanted}")
        return [*pip, "install"], [*pip, "check"]

    def _uv(self) -> tuple[list[str], list[str]]:
        uv = self._find_uv()
        here = ["--python", self._layer.python]
        return [uv, "pip", "install", *here], [uv, "pip", "check", *here]

    def _find_uv(self) -> str:
        if not self._packages.version:
            found = shutil.which("uv", path=self._environ.get("PATH")) or os.path.join(
                os.path.dirname(sys.executable), "uv"
            )
            if os.access(found, os.X_OK):
                return found
        tool = Packages(PIP, [f"uv{self._packages.version or ''}"])
        return os.path.join(install_packages(tool, self._store, self._environ, self._deadline).folder, "bin", "uv")

    def _call(self, command: Sequence[str], what: str) -> None:
        run_installer(
            command,
            environ=self._environ,
            log=os.path.join(self._layer.folder, "install.log"),
            cwd=self._layer.folder,
            deadline=self._deadline,
            what=what,
        )


def _names(lines: Sequence[str]) -> str:
    text = ", ".join(lines)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _key(packages: Packages) -> str:
    """Returns a name for what the layer will be: of the packages, and of the interpreter and packages under it."""
    from hashlib import blake2b

    needs_folder = any(f"${{{name}}}" in line for line in packages.lines for name in _WORKING_DIR_VARIABLES)
    content = [
        packages._replace(
            lines=[_by_content(line) for line in packages.lines],
            working_dir=packages.working_dir if needs_folder else "",
        ),
        [sys.version, sys.base_prefix, platform.machine()],
        # What is installed into a folder of packages, or removed, changes the folder's own time.
        [(folder, os.stat(folder).st_mtime_ns) for folder in _installed_here()],
    ]
    return blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _by_content(line: str) -> str:
    """Local wheels and requirements files may change, and the same ones may lie elsewhere tomorrow."""
    if os.path.isfile(line):
        return digest_of_file(line)
    return " ".join(
        digest_of_file(word) if os.path.isabs(word) and os.path.isfile(word) else word for word in line.split()
    )
