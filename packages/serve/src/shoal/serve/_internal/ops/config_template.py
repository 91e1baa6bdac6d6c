"""Writes a configuration that does what the code says, to be changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.serve._internal.logic.application_graph import application_spec
from shoal.serve._internal.ops.application_code import CodeError, imported_application
from shoal.serve.config import DeploymentConfig
from shoal.serve.exceptions import DeployFailedError
from shoal.serve.schema import DeploymentSchema

FIRST = ("name", "num_replicas", "autoscaling_config", "ray_actor_options", "user_config")


def config_template(import_paths: Sequence[str], folder: str) -> dict[str, Any]:
    """Returns a configuration of applications.

    Raises:
        InvalidArgumentError: (a ValueError) an import path names no application.
        DeployFailedError: the code raises.
    """
    applications = []
    for number, import_path in enumerate(import_paths, 1):
        try:
            application = imported_application(import_path, {}, [folder])
        except CodeError as error:
            raise DeployFailedError(str(error)) from None
        spec = application_spec(application, f"app{number}", None, lambda deployment: None, lambda value: b"")
        applications.append(
            {
                "name": f"app{number}",
                "route_prefix": "/" if len(import_paths) == 1 else f"/app{number}",
                "import_path": import_path,
                "runtime_env": {},
                "deployments": [_options(one.config) for one in spec.deployments],
            }
        )
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": 8000},
        "logging_config": {"encoding": "TEXT", "log_level": "INFO", "enable_access_log": True},
        "applications": applications,
    }


def _options(config: DeploymentConfig) -> dict[str, Any]:
    given = {"name": config.name, **config.model_dump(mode="json", exclude_unset=True)}
    options = {
        name: value for name, value in given.items() if name in DeploymentSchema.model_fields and value is not None
    }
    first = [name for name in FIRST if name in options]
    return {name: options[name] for name in (*first, *sorted(set(options) - set(first)))}
