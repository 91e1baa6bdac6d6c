"""Builds applications in processes of their own: each has the modules as they are now, and its own environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shoal
from shoal.serve._internal.logic.application_graph import application_spec
from shoal.serve._internal.logic.config_overrides import Overrides
from shoal.serve._internal.ops.application_code import CodeError, code_below, imported_application
from shoal.serve._internal.process import definition_pickling
from shoal.serve._internal.process.search_path import with_search_path
from shoal.serve._internal.schema.deployments import ApplicationSpec
from shoal.serve.exceptions import DeployFailedError, InvalidArgumentError
from shoal.serve.handle import DeploymentHandle
from shoal.serve.schema import LoggingConfig, ServeApplicationSchema


@dataclass(frozen=True)
class Order:
    """One application to build.

    Args:
        schema: what is wanted.
        folders: where its modules are, besides its environment's.
        logging: of deployments that have no logging_config.
    """

    schema: ServeApplicationSchema
    folders: tuple[str, ...]
    logging: LoggingConfig | None = None


@dataclass(frozen=True)
class Refusal:
    """Why an application cannot be built: the caller's mistake, or an error of its code."""

    text: str
    is_argument: bool


def build(order: Order) -> ApplicationSpec | Refusal:
    """Returns what is to run, as this process sees the code."""
    schema = order.schema
    overrides = Overrides(schema, order.logging)
    try:
        application = imported_application(schema.import_path, schema.args, order.folders)

        def pickle(value: Any) -> bytes:
            return with_search_path(order.folders, definition_pickling.dumps(value))

        spec = application_spec(
            application,
            schema.name,
            schema.route_prefix,
            DeploymentHandle,
            pickle,
            overrides.adjust,
            code_below(order.folders),
        )
        overrides.check_names(schema.name)
    except InvalidArgumentError as error:
        return Refusal(str(error), True)
    except CodeError as error:
        return Refusal(str(error), False)
    return spec


class Builder:
    """An actor that builds one application, and is not used again: modules stay imported."""

    def build(self, order: Order) -> ApplicationSpec | Refusal:
        """Returns what is to run."""
        return build(order)


class Builders:
    """Starts builders, one ahead where that is wanted: the next build then need not wait for a process.

    Args:
        ahead: have one ready, in no special environment.
    """

    def __init__(self, ahead: bool = False) -> None:
        self._ahead = ahead
        self._ready: Any = self._start({}) if ahead else None

    def _start(self, runtime_env: Mapping[str, Any]) -> Any:
        options: dict[str, Any] = {"runtime_env": dict(runtime_env)} if runtime_env else {}
        return shoal.remote(Builder).options(num_cpus=0, **options).remote()

    def build_all(self, orders: Sequence[Order]) -> list[ApplicationSpec]:
        """Returns what is to run, of all of them.

        Raises:
            InvalidArgumentError: (a ValueError) of the first that cannot be as it is wanted.
            DeployFailedError: its code raises; with the traceback.
        """
        builders = [self._one_for(order) for order in orders]
        try:
            built = shoal.get([one.build.remote(order) for one, order in zip(builders, orders, strict=True)])
        finally:
            for one in builders:
                shoal.kill(one)
            if self._ahead and self._ready is None:
                self._ready = self._start({})
        for order, outcome in zip(orders, built, strict=True):
            if isinstance(outcome, Refusal):
                if outcome.is_argument:
                    raise InvalidArgumentError(outcome.text)
                raise DeployFailedError(f"application {order.schema.name} cannot be built: {outcome.text}")
        return list(built)

    def _one_for(self, order: Order) -> Any:
        if not order.schema.runtime_env and self._ready is not None:
            ready, self._ready = self._ready, None
            return ready
        return self._start(order.schema.runtime_env)
