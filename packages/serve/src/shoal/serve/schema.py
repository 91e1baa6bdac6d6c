"""The configuration file of `shoal serve deploy`, as checked objects: what is to be served, all of it."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from shoal.serve._internal.schema.absent_names import absence
from shoal.serve.config import (
    AutoscalingConfig,
    HTTPOptions,
    PlacementStrategy,
    ProxyLocation,
    RequestRouterConfig,
    gRPCOptions,
)
from shoal.serve.context import ReplicaRank as ReplicaRank
from shoal.serve.status import ApplicationStatus as ApplicationStatus
from shoal.serve.status import ApplicationStatusOverview as ApplicationStatusOverview
from shoal.serve.status import DeploymentStatus as DeploymentStatus
from shoal.serve.status import DeploymentStatusOverview as DeploymentStatusOverview
from shoal.serve.status import ProxyStatus as ProxyStatus
from shoal.serve.status import ServeStatus as ServeStatus


class EncodingType(StrEnum):
    """How lines of a log are written."""

    TEXT = "TEXT"
    JSON = "JSON"


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LoggingConfig(_Schema):
    """What deployments log, and how.

    Args:
        encoding: 'TEXT', or 'JSON' for an object a line.
        log_level: the least that is written: 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL', or a number.
        logs_dir: a folder for the files; None for the session's.
        enable_access_log: write a line for each request.
        additional_log_standard_attrs: more attributes of `logging.LogRecord`, for JSON.
    """

    encoding: EncodingType = EncodingType.TEXT
    log_level: str | int = "INFO"
    logs_dir: str | None = None
    enable_access_log: bool = True
    additional_log_standard_attrs: list[str] = Field(default_factory=list)

    @field_validator("encoding", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str | int) -> str | int:
        if isinstance(value, int):
            return value
        levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        level = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(value.upper(), value.upper())  # as in Python's logging
        if level not in levels:
            raise ValueError(f"give one of {', '.join(levels)}, or a number")
        return level


class RayActorOptionsSchema(_Schema):
    """What each replica takes, and what it runs in."""

    num_cpus: NonNegativeFloat | None = None
    num_gpus: NonNegativeFloat | None = None
    memory: NonNegativeFloat | None = None
    object_store_memory: NonNegativeFloat | None = None
    resources: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    accelerator_type: str | None = None
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    label_selector: dict[str, str] | None = None
    fallback_strategy: list[dict[str, Any]] | None = None


class DeploymentSchema(_Schema):
    """Options of one deployment. Those that are not given are those of the code.

    Args:
        name: of the deployment, as the code has it.
    """

    name: str
    num_replicas: PositiveInt | Literal["auto"] | None = None
    max_ongoing_requests: PositiveInt | None = None
    max_queued_requests: int | None = Field(default=None, ge=-1)
    ray_actor_options: RayActorOptionsSchema | None = None
    autoscaling_config: AutoscalingConfig | None = None
    user_config: Any = None
    health_check_period_s: PositiveFloat | None = None
    health_check_timeout_s: PositiveFloat | None = None
    graceful_shutdown_wait_loop_s: NonNegativeFloat | None = None
    graceful_shutdown_timeout_s: NonNegativeFloat | None = None
    placement_group_bundles: list[dict[str, float]] | None = None
    placement_group_strategy: PlacementStrategy | None = None
    max_replicas_per_node: PositiveInt | None = None
    logging_config: LoggingConfig | None = None
    request_router_config: RequestRouterConfig | None = None
    max_constructor_retry_count: PositiveInt | None = None
    rolling_update_percentage: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_number(self) -> DeploymentSchema:
        if self.autoscaling_config is not None and isinstance(self.num_replicas, int):
            raise ValueError(
                f"num_replicas is {self.num_replicas}, and there is an autoscaling_config; give one of them"
            )
        return self

    def options(self) -> dict[str, Any]:
        """Returns what is given, as `@serve.deployment` takes it. None gives the code's value back, as leaving out does."""
        return {
            name: value
            for name, value in self.model_dump(exclude_unset=True).items()
            if name != "name" and (value is not None or name == "user_config")
        }


class ServeApplicationSchema(_Schema):
    """One application.

    Args:
        import_path: 'module:name' of a bound deployment, or of a function that takes `args` and returns one.
        name: of the application.
        route_prefix: under which HTTP reaches it; null for not at all. Default: '/'.
        runtime_env: of its code and its deployments.
        args: of the function.
        deployments: options that differ from the code's.
        logging_config: of deployments that have none of their own.
    """

    import_path: str
    name: str = "default"
    route_prefix: str | None = "/"
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    args: dict[str, Any] = Field(default_factory=dict)
    deployments: list[DeploymentSchema] = Field(default_factory=list)
    logging_config: LoggingConfig | None = None
    external_scaler_enabled: Literal[False] = False
    host: str | None = None
    port: int | None = None

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        problem = name_problem(value)
        if problem:
            raise ValueError(problem)
        return value

    @field_validator("import_path")
    @classmethod
    def _names_something(cls, value: str) -> str:
        module, sign, name = value.partition(":")
        if not (module and name) if sign else "." not in value.strip("."):
            raise ValueError("give 'module:name', such as 'my_package.my_module:app'")
        return value

    @field_validator("route_prefix")
    @classmethod
    def _is_a_path(cls, value: str | None) -> str | None:
        problem = route_prefix_problem(value)
        if problem:
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _named_once(self) -> ServeApplicationSchema:
        twice = _first_duplicate([one.name for one in self.deployments])
        if twice is not None:
            raise ValueError(f"the deployment {twice!r} is there more than once; give each one entry")
        return self


class HTTPOptionsSchema(HTTPOptions):
    """Where HTTP is served. The same as `HTTPOptions`: on this machine only, unless `host` says otherwise."""


class gRPCOptionsSchema(gRPCOptions):
    """Where gRPC is served. The same as `gRPCOptions`, with functions named by import paths."""


class ServeDeploySchema(_Schema):
    """All that is to be served from configuration: applications that are not in it are deleted.

    Args:
        applications: what to serve.
        proxy_location: which machines answer from outside.
        http_options: where HTTP is served. What serving was started with holds.
        grpc_options: where gRPC is served.
        logging_config: of applications that have none of their own.

    Raises:
        pydantic.ValidationError: (a ValueError) a value cannot be, or names or prefixes are there twice.
    """

    applications: list[ServeApplicationSchema]
    proxy_location: ProxyLocation = ProxyLocation.EveryNode
    http_options: HTTPOptionsSchema = Field(default_factory=HTTPOptionsSchema)
    grpc_options: gRPCOptionsSchema | None = None
    logging_config: LoggingConfig | None = None
    target_capacity: None = None
    tracing_config: None = None
    controller_options: None = None

    @model_validator(mode="after")
    def _all_different(self) -> ServeDeploySchema:
        twice = _first_duplicate([one.name for one in self.applications])
        if twice is not None:
            raise ValueError(f"the application {twice!r} is there more than once; give each a name of its own")
        twice = _first_duplicate([one.route_prefix for one in self.applications if one.route_prefix is not None])
        if twice is not None:
            having = ", ".join(one.name for one in self.applications if one.route_prefix == twice)
            raise ValueError(f"the route_prefix {twice!r} is that of {having}; give each application one of its own")
        return self


class ReplicaDetails(_Schema):
    """One replica, as REST tells it."""

    replica_id: str
    actor_name: str
    actor_id: str | None
    node_id: str | None
    state: str


class DeploymentDetails(_Schema):
    """One deployment, as REST tells it."""

    name: str
    status: str
    status_trigger: str
    message: str
    deployment_config: dict[str, Any]
    target_num_replicas: int
    replicas: list[ReplicaDetails]


class ApplicationDetails(_Schema):
    """One application, as REST tells it.

    Args:
        deployed_app_config: the part of the configuration that it comes from; None for one that a program deployed.
        source: 'declarative' for configuration, 'imperative' for a program.
    """

    name: str
    route_prefix: str | None
    status: str
    message: str
    last_deployed_time_s: float
    deployments: dict[str, DeploymentDetails]
    deployed_app_config: ServeApplicationSchema | None = None
    source: str = "imperative"


class ProxyDetails(_Schema):
    """What answers from outside, as REST tells it."""

    node_id: str
    status: str


class ServeInstanceDetails(_Schema):
    """All that is served, as REST tells it. What is None or empty is not there.

    Args:
        http_options: where HTTP is answered: host and port.
        grpc_options: where gRPC is.
    """

    proxy_location: ProxyLocation | None = None
    http_options: dict[str, Any] | None = None
    grpc_options: dict[str, Any] | None = None
    proxies: dict[str, ProxyDetails] = Field(default_factory=dict)
    deploy_mode: Literal["MULTI_APP"] = "MULTI_APP"
    applications: dict[str, ApplicationDetails] = Field(default_factory=dict)
    target_capacity: float | None = None


def name_problem(name: object) -> str:
    """Returns what is wrong with the name of an application or deployment; empty where nothing is."""
    if not isinstance(name, str) or not name:
        return "give it a name, which is not empty"
    return "it may not have '#', which parts names of replicas" if "#" in name else ""


def route_prefix_problem(prefix: Any) -> str:
    """Returns what is wrong with a prefix; empty where nothing is."""
    if prefix is None:
        return ""
    if not isinstance(prefix, str):
        return "give a path, such as '/', or null (None) for no HTTP"
    if not prefix.startswith("/"):
        return f"it has to begin with '/': give '/{prefix}', or null (None) for no HTTP"
    if prefix != "/" and prefix.endswith("/"):
        return f"it may not end with '/': give {prefix.rstrip('/') or '/'!r}"
    if "{" in prefix or "}" in prefix:
        return "it is a plain path, without {parameters}: these belong into the application's routes"
    return ""


def _first_duplicate(values: list[str]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


if not TYPE_CHECKING:  # What is not here stays an error for type checkers.

    def __getattr__(name: str) -> Any:
        raise absence(__name__, name)
