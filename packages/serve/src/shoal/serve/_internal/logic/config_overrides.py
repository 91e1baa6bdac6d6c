"""What a configuration file changes of the options that the code gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.serve.config import DeploymentConfig
from shoal.serve.deployment import checked_config
from shoal.serve.exceptions import InvalidArgumentError
from shoal.serve.schema import LoggingConfig, ServeApplicationSchema


class Overrides:
    """For one application.

    Args:
        schema: of the application.
        logging: of deployments without their own, where the application has none.
    """

    def __init__(self, schema: ServeApplicationSchema, logging: LoggingConfig | None = None) -> None:
        self._options = {one.name: one.options() for one in schema.deployments}
        self._runtime_env = schema.runtime_env
        self._logging = schema.logging_config or logging
        self._seen: set[str] = set()

    def adjust(self, config: DeploymentConfig) -> DeploymentConfig:
        """Returns the options of a deployment with what the file says. Raises InvalidArgumentError."""
        self._seen.add(config.name)
        return adjusted(config, self._options.get(config.name, {}), self._runtime_env, self._logging)

    def check_names(self, application: str) -> None:
        """Raises InvalidArgumentError for deployments that the code does not have."""
        unknown = sorted(set(self._options) - self._seen)
        if unknown:
            raise InvalidArgumentError(
                f"application {application}: deployments has {', '.join(map(repr, unknown))}, and the code has no such deployment; "
                f"it has: {', '.join(sorted(self._seen))}"
            )


def adjusted(
    config: DeploymentConfig,
    options: Mapping[str, Any],
    runtime_env: Mapping[str, Any],
    logging: LoggingConfig | None,
) -> DeploymentConfig:
    """Returns options with others instead: those named in `options` come from there, the others stay."""
    own = config.model_dump(exclude_unset=True)
    # One of both says how many there are: the one given last.
    if "num_replicas" in options:
        own.pop("autoscaling_config", None)
    if options.get("autoscaling_config") is not None:
        own.pop("num_replicas", None)
    if own.get("autoscaling_config") is not None:
        own.pop("num_replicas", None)
    merged = {**own, **options}
    if runtime_env:
        actor = dict(merged.get("ray_actor_options") or {})
        deployments_own = actor.get("runtime_env") or {}
        variables = {**runtime_env.get("env_vars", {}), **deployments_own.get("env_vars", {})}
        actor["runtime_env"] = {**runtime_env, **deployments_own, **({"env_vars": variables} if variables else {})}
        merged["ray_actor_options"] = actor
    if logging is not None and merged.get("logging_config") is None:
        merged["logging_config"] = logging.model_dump(exclude_unset=True)
    return checked_config(config.name, merged)
