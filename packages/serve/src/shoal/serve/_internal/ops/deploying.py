"""Makes what is served what a configuration says."""

from __future__ import annotations

import json
from collections.abc import Sequence

import shoal
from shoal.experimental import internal_kv
from shoal.serve._internal.ops.building import Builders, Order
from shoal.serve._internal.process.controller_link import NAMESPACE, find_controller
from shoal.serve.api import DEPLOYED, start
from shoal.serve.schema import ServeDeploySchema


def deploy_config(config: ServeDeploySchema, folders: Sequence[str], wait: bool, builders: Builders) -> None:
    """Builds all applications, then starts them, and ends those of the configuration before this one that are not in it.

    Args:
        config: all that configuration is to serve.
        folders: where modules are.
        wait: return when all of them run, rather than once they are started.
        builders: who builds.

    Raises:
        InvalidArgumentError: (a ValueError) something cannot be as it is wanted. Nothing has changed.
        DeployFailedError: code raised. Nothing has changed where that was while building; else the applications that failed go
            on as they were.
    """
    specs = builders.build_all([Order(one, tuple(folders), config.logging_config) for one in config.applications])
    start(
        proxy_location=config.proxy_location,
        http_options=config.http_options,
        grpc_options=config.grpc_options,
        logging_config=config.logging_config,
    )
    controller = find_controller()
    before = deployed_config()
    names = {one.name for one in specs}
    gone = [one.name for one in before.applications if one.name not in names] if before is not None else []
    _remember(config)
    # Those that go give up their routes before others take them: the controller takes calls in this order.
    calls = [controller.delete.remote(gone)] if gone else []
    calls += [controller.deploy.remote(spec, wait) for spec in specs]
    shoal.wait(calls, num_returns=len(calls))
    shoal.get(calls)


def deployed_config() -> ServeDeploySchema | None:
    """Returns the configuration that was deployed last; None where none was."""
    found = internal_kv._internal_kv_get(DEPLOYED, namespace=NAMESPACE)
    return ServeDeploySchema.model_validate(json.loads(found)) if found is not None else None


def _remember(config: ServeDeploySchema) -> None:
    text = json.dumps(config.model_dump(mode="json", exclude_unset=True))
    internal_kv._internal_kv_put(DEPLOYED, text.encode(), namespace=NAMESPACE)
