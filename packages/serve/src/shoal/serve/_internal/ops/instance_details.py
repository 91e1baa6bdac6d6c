"""What is served, with all its details, as Ray's REST tells it."""

from __future__ import annotations

import shoal
from shoal.serve._internal.process.controller_link import find_controller
from shoal.serve.schema import ServeDeploySchema, ServeInstanceDetails


def instance_details(config: ServeDeploySchema | None) -> ServeInstanceDetails:
    """Returns what the controller knows, with the configuration that was deployed last. Raises ServeError where nothing is served."""
    found: ServeInstanceDetails = shoal.get(find_controller().details.remote())
    if config is None:
        return found
    deployed = {one.name: one for one in config.applications}
    applications = {
        name: one.model_copy(
            update={
                "deployed_app_config": deployed.get(name),
                "source": "declarative" if name in deployed else "imperative",
            }
        )
        for name, one in found.applications.items()
    }
    return found.model_copy(update={"applications": applications, "proxy_location": config.proxy_location})
