"""From a bound application to the deployments that it consists of, each with handles where others were bound to it."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable
from typing import Any

from shoal.serve._internal.schema.deployments import ApplicationSpec, DeploymentId, DeploymentSpec
from shoal.serve.config import DeploymentConfig
from shoal.serve.deployment import Application
from shoal.serve.exceptions import InvalidArgumentError

Pickle = Callable[[Any], bytes]
Adjust = Callable[[DeploymentConfig], DeploymentConfig]


def as_it_is(config: DeploymentConfig) -> DeploymentConfig:
    """Changes nothing."""
    return config


def application_spec(
    target: Application,
    name: str,
    route_prefix: str | None,
    handle: Callable[[DeploymentId], Any],
    pickle: Pickle,
    adjust: Adjust = as_it_is,
    code: str = "",
) -> ApplicationSpec:
    """Returns what is to run.

    Args:
        target: its ingress, bound.
        name: of the application.
        route_prefix: for HTTP; None for none.
        handle: makes a handle.
        pickle: makes bytes of classes, functions and arguments.
        adjust: changes the options of a deployment, which has its name by then.
        code: tells versions of the code apart that pickle to the same bytes.

    Raises:
        InvalidArgumentError: an argument is bound to itself.
    """
    graph = _Graph(name, handle, pickle, adjust, code)
    ingress = graph.add(target)
    return ApplicationSpec(name, route_prefix, ingress.name, tuple(graph.specs))


def _shortened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return reprlib.repr((*args, *kwargs.values()))


class _Graph:
    def __init__(
        self, app: str, handle: Callable[[DeploymentId], Any], pickle: Pickle, adjust: Adjust, code: str
    ) -> None:
        self.specs: list[DeploymentSpec] = []
        self._app = app
        self._handle = handle
        self._pickle = pickle
        self._adjust = adjust
        self._code = code
        self._ids: dict[int, DeploymentId | None] = {}
        self._names: dict[str, int] = {}

    def add(self, application: Application) -> DeploymentId:
        key = id(application)
        if key in self._ids:
            known = self._ids[key]
            if known is None:
                raise InvalidArgumentError(
                    f"the deployment {application.deployment.name} is bound to itself, directly or through others; "
                    f"deployments may not go in circles"
                )
            return known
        self._ids[key] = None
        args = self._resolved(application.args)
        kwargs = self._resolved(application.kwargs)
        own = self._ids[key] = DeploymentId(self._app, self._unique(application.deployment.name))
        config = self._adjust(application.deployment.config.model_copy(update={"name": own.name}))
        try:
            config = config.resolved()
        except ValueError as error:
            raise InvalidArgumentError(f"deployment {own.name}: {error}") from None
        kind = application.deployment.func_or_class
        if config.user_config is not None and not callable(getattr(kind, "reconfigure", None)):
            raise InvalidArgumentError(
                f"deployment {own.name}: user_config is {config.user_config!r}, and nothing takes it; "
                f"give the class a method reconfigure(self, user_config), or leave user_config out"
            )
        definition = self._pickled(kind, f"deployment {own.name}: {kind!r}")
        init = self._pickled((args, kwargs), f"deployment {own.name}: what it is bound to ({_shortened(args, kwargs)})")
        placement = (config.placement_group_bundles, config.placement_group_strategy)
        actor = repr((sorted(config.ray_actor_options.items()), *placement, config.version))
        parts = (definition, init, actor.encode(), self._code.encode())
        code_version = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
        self.specs.append(DeploymentSpec(own, definition, init, config, code_version))
        return own

    def _pickled(self, value: Any, what: str) -> bytes:
        try:
            return self._pickle(value)
        except Exception as error:
            # Anything may be raised: classes decide how they are pickled.
            raise InvalidArgumentError(
                f"{what} cannot be sent to another process: {type(error).__name__}: {error}; make such things in the constructor"
            ) from error

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Application):
            return self._handle(self.add(value))
        if type(value) in (list, tuple):
            return type(value)(self._resolved(item) for item in value)
        if type(value) is dict:
            return {name: self._resolved(item) for name, item in value.items()}
        return value

    def _unique(self, name: str) -> str:
        """Another deployment of a name that is taken gets a number, as in Ray."""
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if count == 0 else f"{name}_{count}"
