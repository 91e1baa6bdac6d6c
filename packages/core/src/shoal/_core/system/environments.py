"""Making a runtime environment on this machine: what a worker needs to be started in it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from shoal._core.schema.runtime_environment import Environment, expanded_variables
from shoal._core.schema.runtime_environment_fields import WHEEL
from shoal._core.system.environment_files import Files, files_are_there, materialize_files
from shoal.exceptions import RuntimeEnvSetupError

if TYPE_CHECKING:
    from shoal._core.system.package_layers import Layer

_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


class PreparedEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """An environment that is there: its files are in place and its packages installed."""

    key: str
    """Of the environment; '' for none."""
    python_executable: str
    env_vars: dict[str, str] = {}
    """Variables that workers have besides the usual ones, or instead of them."""
    cwd: str = ""
    """Folder that workers are in; '' for the usual one."""
    import_paths: list[str] = []
    """Folders to import from, before all others."""
    site_packages: str = ""
    """Folder of the packages that were installed for it; '' for none."""
    setup_hook: str = ""
    """For `setup_hooks.run_setup_hook`, before the worker's first task."""
    needs_interpreter: bool = False
    """Whether workers must have been started in it from their first instruction on: it has packages, or variables of the
    user's. Where not, a fork that takes over `env_vars`, changes to `cwd` and puts `import_paths` first will do."""

    def sys_path(self, base: Sequence[str]) -> list[str]:
        """Returns what `sys.path` is to be.

        Args:
            base: what it would be without the environment: the driver's.
        """
        packages_from = next(
            (place for place, path in enumerate(base) if os.path.basename(path) in _PACKAGE_FOLDERS), len(base)
        )
        layer = [self.site_packages] if self.site_packages else []
        # Before other packages, but behind the standard library.
        return list(dict.fromkeys([*self.import_paths, *base[:packages_from], *layer, *base[packages_from:]]))

    def environ(self, base: Mapping[str, str]) -> dict[str, str]:
        """Returns all variables of a worker, given those that it would have without the environment."""
        return {**base, **self.env_vars}


def environment_cache() -> str:
    """Returns the folder of packages that later sessions may use again: $SHOAL_RUNTIME_ENV_CACHE, or shoal/environments in
    the user's cache folder."""
    chosen = os.environ.get("SHOAL_RUNTIME_ENV_CACHE")
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.abspath(chosen or os.path.join(root, "shoal", "environments"))


def takes_long(environment: Environment, session_store: str) -> bool:
    """Returns whether `prepare_environment` may have to wait: for an installer, a disk or a network. Where not, it takes
    less than a millisecond, and a loop may call it.

    Args:
        environment: what to make.
        session_store: as for `prepare_environment`.
    """
    wheels = any(path.endswith(WHEEL) for path in environment.py_modules)
    packages = environment.pip or environment.uv or wheels
    return bool(packages) or not files_are_there(environment, _files_in(session_store))


def _files_in(session_store: str) -> str:
    return os.path.join(session_store, "files")


def prepare_environment(
    environment: Environment, *, session_store: str, cache: str, environ: Mapping[str, str] = os.environ
) -> PreparedEnvironment:
    """Makes an environment, as far as it is not there yet. It takes minutes where packages are installed, so it is for a
    process or a thread of its own; several may make the same one at the same time. Killed at any moment, it leaves
    nothing that a later call would take for finished.

    Args:
        environment: what to make; pinned (`environment_files.pin_environment`) or not.
        session_store: folder, removed with the session, of files that tasks may write to, and of packages of which another
            version may be there tomorrow.
        cache: folder of packages that are named by their exact versions; may outlive the session.
        environ: variables that workers would have without it, and the installer has.

    Raises:
        RuntimeEnvSetupError: it cannot be made, or not within `config['setup_timeout_seconds']`.
    """
    timeout = environment.setup.setup_timeout_seconds
    deadline = None if timeout == -1 else time.monotonic() + timeout
    variables = expanded_variables(environment.env_vars, environ)
    try:
        files = materialize_files(environment, _files_in(session_store), deadline)
        layer = _layer(environment, files, session_store, cache, {**environ, **variables}, deadline)
    except OSError as error:
        raise RuntimeEnvSetupError(f"{error.strerror or error}: {error.filename}") from error
    return PreparedEnvironment(
        key=environment.key,
        python_executable=sys.executable if layer is None else layer.python,
        env_vars=variables | _derived_variables(files, layer, {**environ, **variables}),
        cwd=files.working_dir,
        import_paths=files.import_paths,
        site_packages="" if layer is None else layer.site_packages,
        setup_hook=environment.worker_process_setup_hook,
        needs_interpreter=bool(layer is not None or variables),
    )


def _layer(
    environment: Environment,
    files: Files,
    session_store: str,
    cache: str,
    environ: Mapping[str, str],
    deadline: float | None,
) -> Layer | None:
    """Installs what is to be installed. Wheels among the modules are packages too: they need what they depend on."""
    pip, uv = environment.pip, environment.uv
    if pip is None and uv is None and not files.wheels:
        return None
    from shoal._core.system.package_layers import PIP, UV, Packages, install_packages

    if uv is not None:
        lines, options = [*uv.packages, *files.wheels], uv.uv_pip_install_options or ()
        packages = Packages(UV, lines, uv.uv_check, uv.uv_version, options, files.working_dir)
    elif pip is not None:
        lines, options = [*pip.packages, *files.wheels], pip.pip_install_options or ()
        packages = Packages(PIP, lines, pip.pip_check, pip.pip_version, options, files.working_dir)
    else:
        packages = Packages(PIP, files.wheels)
    store = cache if packages.are_pinned else os.path.join(session_store, "packages")
    return install_packages(packages, store, environ, deadline)


def _derived_variables(files: Files, layer: Layer | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables by which programs that tasks start are in the environment too."""
    derived = {}
    if files.import_paths:
        derived["PYTHONPATH"] = os.pathsep.join([*files.import_paths, *filter(None, [environ.get("PYTHONPATH")])])
    if layer is not None:
        derived["VIRTUAL_ENV"] = layer.folder
        derived["PATH"] = os.pathsep.join([f"{layer.folder}/bin", *filter(None, [environ.get("PATH")])])
    return derived
