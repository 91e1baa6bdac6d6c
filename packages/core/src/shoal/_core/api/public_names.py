"""Where each name of the package `shoal` is defined, and importing it when it is first used.

`shoal/__init__.py` repeats the names for type checkers; a test compares the two.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_API = "shoal._core.api."

NAMES: dict[str, str] = {
    "init": _API + "runtime",
    "shutdown": _API + "runtime",
    "is_initialized": _API + "runtime",
    "remote": _API + "remote_decorator",
    "method": _API + "method_decorator",
    "get": _API + "object_api",
    "put": _API + "object_api",
    "wait": _API + "object_api",
    "cancel": _API + "object_api",
    "kill": _API + "named_actors",
    "get_actor": _API + "named_actors",
    "nodes": _API + "cluster_info",
    "cluster_resources": _API + "cluster_info",
    "available_resources": _API + "cluster_info",
    "timeline": _API + "cluster_info",
    "get_gpu_ids": _API + "cluster_info",
    "get_runtime_context": _API + "runtime_context",
    "ObjectRef": "shoal._core.process.object_ref",
    "ObjectRefGenerator": _API + "generator",
    "DynamicObjectRefGenerator": "shoal._core.process.dynamic_refs",
    "LoggingConfig": _API + "logging_config",
    "ActorClassID": _API + "ids",
    "ActorID": _API + "ids",
    "ClusterID": _API + "ids",
    "FunctionID": _API + "ids",
    "JobID": _API + "ids",
    "NodeID": _API + "ids",
    "ObjectID": _API + "ids",
    "PlacementGroupID": _API + "ids",
    "TaskID": _API + "ids",
    "UniqueID": _API + "ids",
    "WorkerID": _API + "ids",
    "client": _API + "client_builder",
    "ClientBuilder": _API + "client_builder",
    "Language": "shoal.cross_language",
    "java_function": "shoal.cross_language",
    "java_actor_class": "shoal.cross_language",
    "cpp_function": "shoal.cross_language",
    "SCRIPT_MODE": _API + "worker_modes",
    "WORKER_MODE": _API + "worker_modes",
    "LOCAL_MODE": _API + "worker_modes",
    "SPILL_WORKER_MODE": _API + "worker_modes",
    "RESTORE_WORKER_MODE": _API + "worker_modes",
}

SUBMODULES = (
    "_common",
    "_private",
    "actor",
    "cloudpickle",
    "cross_language",
    "dag",
    "engines",
    "exceptions",
    "experimental",
    "job_config",
    "remote_function",
    "runtime_context",
    "runtime_env",
    "testing",
    "types",
    "util",
)
"""Modules that come with the core."""

ABSENT = ("autoscaler", "cluster_utils", "job_submission")
"""Modules of Ray's that say, when they are imported, what to use instead."""

LIBRARIES = {
    "air": "shoal-train",
    "data": "shoal-data",
    "rllib": "shoal-rllib",
    "serve": "shoal-serve",
    "train": "shoal-train",
    "tune": "shoal-tune",
}
"""Modules of other distributions, and what to install for them."""


def load(name: str) -> Any:
    """Returns what a public name stands for.

    Raises:
        AttributeError: there is no such name.
        ModuleNotFoundError: it is a library that is not installed.
        UnsupportedModuleError: (an ImportError) it is a module of Ray's that shoal does not have.
    """
    home = NAMES.get(name)
    if home is not None:
        return getattr(import_module(home), name)
    if name == "__all__":
        return sorted(NAMES)
    if name in LIBRARIES:
        return _library(name)
    if name in ABSENT or (name in SUBMODULES and _exists(f"shoal.{name}")):
        return import_module(f"shoal.{name}")
    hint = ""
    if not name.startswith("_"):
        from difflib import get_close_matches

        matches = get_close_matches(name, public_names(), n=3)
        hint = f". Did you mean {' or '.join(matches)}?" if matches else ""
    raise AttributeError(f"module 'shoal' has no attribute {name!r}{hint}")


def _library(name: str) -> Any:
    module = f"shoal.{name}"
    if not _exists(module):
        distribution = LIBRARIES[name]
        raise ModuleNotFoundError(
            f"{module} is not installed. It comes with the distribution {distribution}: pip install {distribution}",
            name=module,
        )
    return import_module(module)


def _exists(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def public_names() -> list[str]:
    """Returns all names of the package, libraries where they are installed."""
    modules = [name for name in (*SUBMODULES, *LIBRARIES) if _exists(f"shoal.{name}")]
    return sorted([*NAMES, *modules, "__commit__", "__version__"])
