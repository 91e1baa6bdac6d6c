"""Finds shoal's modules under Ray's names."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import shoal
from shoal.as_ray.internal_names import INTERNAL_NAMES, InternalModule

WORKER_HOOK = "shoal.as_ray.install"
"""What each worker calls before anything else."""


class AliasFinder(importlib.abc.MetaPathFinder):
    """Finds `ray` and what is below it, and says that the distribution `ray` is installed.

    Args:
        version: of that distribution.
    """

    def __init__(self, version: str) -> None:
        self._version = version

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "ray":
            return importlib.machinery.ModuleSpec(fullname, _RootLoader(self._version), is_package=True)
        if fullname in INTERNAL_NAMES:
            is_package = any(name.startswith(fullname + ".") for name in INTERNAL_NAMES)
            return importlib.machinery.ModuleSpec(fullname, _InternalLoader(), is_package=is_package)
        if fullname.startswith("ray."):
            return importlib.machinery.ModuleSpec(fullname, _AliasLoader())
        return None

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterator[importlib.metadata.Distribution]:
        """What importlib.metadata asks every finder."""
        if context is not None and context.name == "ray":
            yield _RayDistribution(self._version)


class _Ray(types.ModuleType):
    """The module `ray`."""

    def init(self, *args: Any, runtime_env: Any = None, **kwargs: Any) -> Any:
        """Does what `shoal.init` does, and has workers know Ray's names, too."""
        if not args and "address" not in kwargs:
            runtime_env = {"worker_process_setup_hook": WORKER_HOOK, **(runtime_env or {})}
        return shoal.init(*args, runtime_env=runtime_env, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if f"ray.{name}" in INTERNAL_NAMES:
            return importlib.import_module(f"ray.{name}")
        try:
            return getattr(shoal, name)
        except AttributeError as error:
            raise AttributeError(f"shoal, which stands in for Ray here, has no `{name}`") from error

    def __dir__(self) -> list[str]:
        return dir(shoal)


class _RootLoader(importlib.abc.Loader):
    def __init__(self, version: str) -> None:
        self._version = version

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = _Ray("ray", shoal.__doc__)
        module.__version__ = self._version  # type: ignore[attr-defined]
        module.__file__ = shoal.__file__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _InternalLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return InternalModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _AliasLoader(importlib.abc.Loader):
    """Gives shoal's own module, which goes by both names then: what it defines is the same under both."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        ours = "shoal" + spec.name.removeprefix("ray")
        try:
            module = importlib.import_module(ours)
        except ModuleNotFoundError as error:
            if error.name is None or not (ours + ".").startswith(error.name + "."):
                raise
            raise ModuleNotFoundError(
                f"shoal, which stands in for Ray here, has no module {ours!r}{_where_from(ours)}", name=spec.name
            ) from error
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        # The import system has just named the alias in the module.
        spec = module.__spec__
        if spec is not None and spec.loader_state is not None:
            module.__spec__ = spec.loader_state
            sys.modules[spec.name] = module


def _where_from(module: str) -> str:
    """Returns what shoal itself says of a library that is not installed, for the end of a sentence."""
    try:
        getattr(shoal, module.split(".")[1], None)
    except ModuleNotFoundError as error:
        return f": {error}"
    return ""


class _RayDistribution(importlib.metadata.Distribution):
    def __init__(self, version: str) -> None:
        self._version = version

    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: ray\nVersion: {self._version}\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return path
