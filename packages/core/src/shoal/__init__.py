"""shoal runs Python functions and classes in parallel: as tasks and actors, in processes that share memory.

    import shoal

    @shoal.remote
    def square(x):
        return x * x

    print(shoal.get([square.remote(n) for n in range(4)]))

Programs for Ray run on shoal with their import lines changed. What is here is imported when it is first used.
"""

from __future__ import annotations

import sys

from shoal._core.package_path import extended_path
from shoal._core.version import COMMIT, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shoal import _common as _common
    from shoal import _private as _private
    from shoal import actor as actor
    from shoal import air as air  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    from shoal import cloudpickle as cloudpickle
    from shoal import cross_language as cross_language
    from shoal import dag as dag
    from shoal import data as data  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    from shoal import engines as engines
    from shoal import exceptions as exceptions
    from shoal import experimental as experimental
    from shoal import job_config as job_config
    from shoal import remote_function as remote_function
    from shoal import rllib as rllib  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    from shoal import runtime_context as runtime_context
    from shoal import runtime_env as runtime_env
    from shoal import serve as serve  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    from shoal import testing as testing  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    from shoal import train as train  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    from shoal import tune as tune  # type: ignore[attr-defined,unused-ignore]  # pyright: ignore[reportAttributeAccessIssue]
    from shoal import types as types
    from shoal import util as util
    from shoal._core.api.client_builder import ClientBuilder as ClientBuilder
    from shoal._core.api.client_builder import client as client
    from shoal._core.api.cluster_info import available_resources as available_resources
    from shoal._core.api.cluster_info import cluster_resources as cluster_resources
    from shoal._core.api.cluster_info import get_gpu_ids as get_gpu_ids
    from shoal._core.api.cluster_info import nodes as nodes
    from shoal._core.api.cluster_info import timeline as timeline
    from shoal._core.api.generator import ObjectRefGenerator as ObjectRefGenerator
    from shoal._core.api.ids import ActorClassID as ActorClassID
    from shoal._core.api.ids import ActorID as ActorID
    from shoal._core.api.ids import ClusterID as ClusterID
    from shoal._core.api.ids import FunctionID as FunctionID
    from shoal._core.api.ids import JobID as JobID
    from shoal._core.api.ids import NodeID as NodeID
    from shoal._core.api.ids import ObjectID as ObjectID
    from shoal._core.api.ids import PlacementGroupID as PlacementGroupID
    from shoal._core.api.ids import TaskID as TaskID
    from shoal._core.api.ids import UniqueID as UniqueID
    from shoal._core.api.ids import WorkerID as WorkerID
    from shoal._core.api.logging_config import LoggingConfig as LoggingConfig
    from shoal._core.api.method_decorator import method as method
    from shoal._core.api.named_actors import get_actor as get_actor
    from shoal._core.api.named_actors import kill as kill
    from shoal._core.api.object_api import cancel as cancel
    from shoal._core.api.object_api import get as get
    from shoal._core.api.object_api import put as put
    from shoal._core.api.object_api import wait as wait
    from shoal._core.api.remote_decorator import remote as remote
    from shoal._core.api.runtime import init as init
    from shoal._core.api.runtime import is_initialized as is_initialized
    from shoal._core.api.runtime import shutdown as shutdown
    from shoal._core.api.runtime_context import get_runtime_context as get_runtime_context
    from shoal._core.api.worker_modes import LOCAL_MODE as LOCAL_MODE
    from shoal._core.api.worker_modes import RESTORE_WORKER_MODE as RESTORE_WORKER_MODE
    from shoal._core.api.worker_modes import SCRIPT_MODE as SCRIPT_MODE
    from shoal._core.api.worker_modes import SPILL_WORKER_MODE as SPILL_WORKER_MODE
    from shoal._core.api.worker_modes import WORKER_MODE as WORKER_MODE
    from shoal._core.process.dynamic_refs import DynamicObjectRefGenerator as DynamicObjectRefGenerator
    from shoal._core.process.object_ref import ObjectRef as ObjectRef
    from shoal.cross_language import Language as Language
    from shoal.cross_language import cpp_function as cpp_function
    from shoal.cross_language import java_actor_class as java_actor_class
    from shoal.cross_language import java_function as java_function
else:
    from shoal._core.api.public_names import load, public_names

    def __getattr__(name: str) -> Any:
        value = globals()[name] = load(name)
        return value

    def __dir__() -> list[str]:
        return public_names()


__version__ = VERSION
__commit__ = COMMIT
__path__ = extended_path(list(__path__), __name__, sys.path)
# Last, so that modules which another distribution brings come before those that only say what to use instead.
__path__.append(__path__[0] + "/_absent")
