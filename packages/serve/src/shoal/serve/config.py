"""How deployments, their scaling and the servers in front of them are set up. Checked when made; frozen."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    field_serializer,
    field_validator,
    model_validator,
)

import shoal
from shoal.exceptions import ShoalError
from shoal.serve._internal.process.portable_code import as_bytes, code_at, from_bytes, path_of
from shoal.serve._internal.schema.absent_names import absence

Port = Annotated[int, Field(ge=0, le=65535)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass(frozen=True)
class AutoscalingContext:
    """What an autoscaling policy may know of its deployment.

    Args:
        deployment_id: of the deployment.
        deployment_name: its name.
        app_name: of its application.
        current_num_replicas: that there are to be now.
        target_num_replicas: the same.
        total_num_requests: that are worked on and wait, averaged over the look-back period.
        total_queued_requests: those of them that are more than the replicas work on at a time.
        capacity_adjusted_min_replicas: fewer there cannot be.
        capacity_adjusted_max_replicas: more there cannot be.
        policy_state: what the policy returned the last time; empty at first.
        last_scale_up_time: when there were to be more, last; None for never.
        last_scale_down_time: when there were to be fewer, last; None for never.
        current_time: now, in seconds, on the clock of the other times.
        config: of the deployment's autoscaling.
        aggregated_metrics: of what `record_autoscaling_stats` of the replicas returned in the look-back period, by name and replica, one
            number each.
        raw_metrics: the same, all numbers.
    """

    deployment_id: Any
    deployment_name: str
    app_name: str
    current_num_replicas: int
    target_num_replicas: int
    total_num_requests: float
    total_queued_requests: float
    capacity_adjusted_min_replicas: int
    capacity_adjusted_max_replicas: int
    policy_state: Mapping[str, Any]
    last_scale_up_time: float | None
    last_scale_down_time: float | None
    current_time: float
    config: AutoscalingConfig
    aggregated_metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    raw_metrics: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)


class AutoscalingPolicy(_Frozen):
    """A function of its own decides how many replicas a deployment should have. Limits and delays of the `AutoscalingConfig` hold for it.

    Args:
        policy_function: takes an `AutoscalingContext`, and returns (replicas, state); or its import path, 'module:name'. It runs in the
            controller, on its event loop, and should return at once. One that raises changes nothing. A class is made an object of once,
            in the controller, and that is called.
        policy_kwargs: more arguments of the function, or those of the class.

    Raises:
        pydantic.ValidationError: (a ValueError) it is neither a function nor a path.

    Example:
        >>> from shoal import serve
        >>> from shoal.serve.config import AutoscalingPolicy
        >>> def one_for_ten(context):
        ...     return context.total_num_requests / 10, {}
        >>> @serve.deployment(autoscaling_config={"max_replicas": 5, "policy": AutoscalingPolicy(policy_function=one_for_ten)})
        ... class Model:
        ...     pass
    """

    policy_function: str | Callable[..., Any]
    policy_kwargs: dict[str, Any] = Field(default_factory=dict)

    @field_validator("policy_function")
    @classmethod
    def _may_be_a_path(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.rpartition(":" if ":" in value else ".")[0]:
            raise ValueError("give a function, or its import path: 'module:name'")
        return value

    @field_serializer("policy_function", when_used="json")
    def _as_path(self, value: Any) -> str:
        return value if isinstance(value, str) else path_of(value)

    def __reduce__(self) -> str | tuple[Any, ...]:
        if isinstance(self.policy_function, str):
            return super().__reduce__()
        return _policy_from, (as_bytes(self.policy_function), self.policy_kwargs)

    def resolved(self) -> AutoscalingPolicy:
        """Returns the same with the function itself in place of its path. Raises ValueError where there is none."""
        function = self.policy_function
        found = code_at(function) if isinstance(function, str) else function
        if not callable(found):
            raise ValueError(f"policy_function is {function!r}, which is {found!r}; give a function")
        return AutoscalingPolicy(policy_function=found, policy_kwargs=self.policy_kwargs)

    def made(self) -> Callable[[AutoscalingContext], tuple[float, Mapping[str, Any]]]:
        """Returns what decides: the function with its arguments, or an object of the class. Raises what its constructor raises."""
        decider: Any = self.policy_function
        assert not isinstance(decider, str)
        with_arguments: Callable[..., Any] = functools.partial(decider, **self.policy_kwargs)
        if not inspect.isclass(decider):
            return with_arguments
        instance: Callable[..., Any] = with_arguments()
        return instance


def _policy_from(function: bytes, kwargs: dict[str, Any]) -> AutoscalingPolicy:
    return AutoscalingPolicy(policy_function=from_bytes(function), policy_kwargs=kwargs)


class AggregationFunction(StrEnum):
    """How the requests of a period become one number."""

    MEAN = "mean"
    MAX = "max"
    MIN = "min"


class AutoscalingConfig(_Frozen):
    """How many replicas a deployment has, by how much there is to do.

    Args:
        min_replicas: at least so many; 0 to have none while nobody asks.
        initial_replicas: at first; None for `min_replicas`.
        max_replicas: at most so many.
        target_ongoing_requests: requests that one replica should have at a time, on average.
        metrics_interval_s: seconds between two looks at them.
        look_back_period_s: seconds over which they are averaged.
        upscale_delay_s: seconds for which more replicas must have been wanted.
        downscale_delay_s: seconds for which fewer must have been wanted.
        downscale_to_zero_delay_s: the same for the last one; None for `downscale_delay_s`.
        upscaling_factor: of a step up, relative to what is wanted; None for 1.
        downscaling_factor: of a step down; None for 1.
        aggregation_function: 'mean', 'max' or 'min' over the period.
        policy: a function of its own instead (`AutoscalingPolicy`); None for the rule above.

    Raises:
        pydantic.ValidationError: (a ValueError) a value cannot be.
    """

    min_replicas: NonNegativeInt = 1
    initial_replicas: NonNegativeInt | None = None
    max_replicas: PositiveInt = 1
    target_ongoing_requests: PositiveFloat = 2
    metrics_interval_s: PositiveFloat = 10
    look_back_period_s: PositiveFloat = 30
    upscale_delay_s: NonNegativeFloat = 30
    downscale_delay_s: NonNegativeFloat = 600
    downscale_to_zero_delay_s: NonNegativeFloat | None = None
    upscaling_factor: PositiveFloat | None = None
    downscaling_factor: PositiveFloat | None = None
    aggregation_function: AggregationFunction = AggregationFunction.MEAN
    policy: AutoscalingPolicy | None = None

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, given: Any) -> Any:
        """Files that Ray has written have the factors under the names that they had, too."""
        if not isinstance(given, Mapping):
            return given
        known = dict(given)
        for_both = known.pop("smoothing_factor", None)
        for name, older in (
            ("upscaling_factor", "upscale_smoothing_factor"),
            ("downscaling_factor", "downscale_smoothing_factor"),
        ):
            factor = known.pop(older, None)
            if known.get(name) is None and (factor is not None or for_both is not None):
                known[name] = for_both if factor is None else factor
        return known

    @model_validator(mode="after")
    def _ordered(self) -> AutoscalingConfig:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas is {self.min_replicas} and max_replicas {self.max_replicas}; max must not be below min"
            )
        first = self.initial_replicas
        if first is not None and not self.min_replicas <= first <= self.max_replicas:
            raise ValueError(
                f"initial_replicas is {first}; give a number from {self.min_replicas} to {self.max_replicas}"
            )
        return self


class HTTPOptions(_Frozen):
    """Where and how HTTP is served. Fixed when serving starts.

    Args:
        host: the address to listen on; anything but loopback is reachable from outside, and said loudly.
        port: 0 for any that is free.
        root_path: that a proxy in front strips: applications put it before their links.
        request_timeout_s: seconds after which a request is answered with 408; None for never.
        keep_alive_timeout_s: seconds after which an idle connection is closed.
        middlewares: of Starlette, around everything; the first is the outermost.
        ssl_keyfile: of the private key, for HTTPS; with it goes ssl_certfile.
        ssl_certfile: of the certificate.
        ssl_keyfile_password: of the private key; None for none.
        ssl_ca_certs: of those who may have signed clients' certificates; None for clients without any.

    Raises:
        pydantic.ValidationError: (a ValueError) a value cannot be.

    Example:
        >>> from shoal import serve
        >>> from starlette.middleware import Middleware
        >>> from starlette.middleware.gzip import GZipMiddleware
        >>> options = serve.HTTPOptions(port=0, middlewares=[Middleware(GZipMiddleware, minimum_size=1000)])
    """

    host: str = "127.0.0.1"
    port: Port = 8000
    root_path: str = ""
    request_timeout_s: PositiveFloat | None = None
    keep_alive_timeout_s: PositiveFloat = 90
    middlewares: Sequence[Any] = ()
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile_password: str | None = None
    ssl_ca_certs: str | None = None

    @field_validator("root_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if value and (not value.startswith("/") or value.endswith("/")):
            raise ValueError("give a path that begins with '/' and does not end with it, or nothing")
        return value

    @field_validator("middlewares")
    @classmethod
    def _are_middlewares(cls, value: Sequence[Any]) -> Sequence[Any]:
        from starlette.middleware import Middleware

        for one in value:
            if not isinstance(one, Middleware):
                raise ValueError(f"{one!r} is none; give starlette.middleware.Middleware(Class, ...)")
        return value

    @model_validator(mode="after")
    def _has_both_files(self) -> HTTPOptions:
        if (self.ssl_keyfile is None) != (self.ssl_certfile is None):
            raise ValueError("ssl_keyfile and ssl_certfile go together; give both, or none")
        return self


class gRPCOptions(_Frozen):
    """Where gRPC is served.

    Args:
        port: 0 for any that is free.
        grpc_servicer_functions: import paths of `add_…Servicer_to_server` functions.
        request_timeout_s: seconds; None for never.
        enable_reflection: let clients ask for the services.
    """

    port: Port = 9000
    grpc_servicer_functions: Sequence[str | Callable[..., Any]] = ()
    request_timeout_s: PositiveFloat | None = None
    enable_reflection: bool = True


class ProxyLocation(StrEnum):
    """Which machines answer from outside."""

    Disabled = "Disabled"
    HeadOnly = "HeadOnly"
    EveryNode = "EveryNode"


DEFAULT_ROUTER = "shoal.serve.request_router:PowerOfTwoChoicesRequestRouter"


class RequestRouterConfig(_Frozen):
    """Which replica gets the next request.

    Args:
        request_router_class: a class derived from `shoal.serve.request_router.RequestRouter`, or its import path, 'module:name'. The
            default is the less busy of two replicas by chance.
        request_router_kwargs: arguments of its `initialize_state`.
        request_routing_stats_period_s: seconds between two calls of a replica's `record_routing_stats`, where it has one.
        request_routing_stats_timeout_s: seconds that one of them may take.
        initial_backoff_s: has no effect, as the following ones: nobody backs off.

    Raises:
        pydantic.ValidationError: (a ValueError) it is neither a class nor a path.
    """

    request_router_class: str | type = DEFAULT_ROUTER
    request_router_kwargs: dict[str, Any] = Field(default_factory=dict)
    request_routing_stats_period_s: PositiveFloat = 10
    request_routing_stats_timeout_s: PositiveFloat = 30
    initial_backoff_s: PositiveFloat = 0.025
    backoff_multiplier: PositiveFloat = 2
    max_backoff_s: PositiveFloat = 0.5
    _code: bytes = PrivateAttr(b"")

    @field_validator("request_router_class")
    @classmethod
    def _may_be_a_path(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.rpartition(":" if ":" in value else ".")[0]:
            raise ValueError("give a class, or its import path: 'module:name'")
        return value

    @field_serializer("request_router_class", when_used="json")
    def _as_path(self, value: Any) -> str:
        return value if isinstance(value, str) else path_of(value)

    @property
    def is_default(self) -> bool:
        """Whether no code of the user's chooses."""
        kind = self.request_router_class
        return (kind if isinstance(kind, str) else kind.__name__).endswith("PowerOfTwoChoicesRequestRouter")

    @property
    def code(self) -> bytes:
        """The class, pickled with its arguments; empty for the default, and before `resolved`."""
        return self._code

    def resolved(self) -> RequestRouterConfig:
        """Returns the same with the code of the class. Raises ValueError where there is none, or it is no router."""
        kind = self.request_router_class
        if self.is_default:
            return self
        found = code_at(kind) if isinstance(kind, str) else kind
        if not isinstance(found, type) or not callable(getattr(found, "choose_replicas", None)):
            raise ValueError(
                f"request_router_class is {kind!r}; give a class derived from shoal.serve.request_router.RequestRouter"
            )
        named = self.model_copy(update={"request_router_class": path_of(found)})
        named._code = as_bytes(found, self.request_router_kwargs)
        return named


PlacementStrategy = Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]


def bundles_problem(bundles: list[dict[str, float]] | None, actor: Mapping[str, Any]) -> str:
    """Returns what is wrong with bundles of a placement group, whose first one is for the replica itself; empty where nothing is."""
    if bundles is None:
        return ""
    if not bundles or not all(bundle and all(amount >= 0 for amount in bundle.values()) for bundle in bundles):
        return f"placement_group_bundles is {bundles!r}; give at least one dict of resources, as in [{{'CPU': 1}}, {{'GPU': 1}}]"
    own = {
        "CPU": actor.get("num_cpus", 1),
        "GPU": actor.get("num_gpus"),
        "memory": actor.get("memory"),
        **(actor.get("resources") or {}),
    }
    for name, amount in own.items():
        if amount is not None and amount > bundles[0].get(name, 0):
            return (
                f"placement_group_bundles[0] is {bundles[0]!r}, and ray_actor_options asks for {amount:g} {name} for the replica itself, "
                f"which is in that bundle; let the bundle have as much, or ask for less"
            )
    return ""


ACTOR_OPTIONS = (
    "num_cpus",
    "num_gpus",
    "memory",
    "object_store_memory",
    "resources",
    "accelerator_type",
    "runtime_env",
    "label_selector",
    "fallback_strategy",
)
"""What `ray_actor_options` may have."""


class _Anything:
    """An actor that has options."""


class DeploymentConfig(_Frozen):
    """The options of one deployment, all of them: what `@serve.deployment` and `.options` take, checked."""

    name: str
    num_replicas: PositiveInt | None = 1
    max_ongoing_requests: PositiveInt = 5
    max_queued_requests: int = Field(default=-1, ge=-1)
    ray_actor_options: dict[str, Any] = Field(default_factory=dict)
    autoscaling_config: AutoscalingConfig | None = None
    user_config: Any = None
    health_check_period_s: PositiveFloat = 10
    health_check_timeout_s: PositiveFloat = 30
    graceful_shutdown_wait_loop_s: NonNegativeFloat = 2
    graceful_shutdown_timeout_s: NonNegativeFloat = 20
    placement_group_bundles: list[dict[str, float]] | None = None
    placement_group_strategy: PlacementStrategy = "PACK"
    max_replicas_per_node: PositiveInt | None = None
    logging_config: Any = None
    request_router_config: RequestRouterConfig | None = None
    max_constructor_retry_count: PositiveInt = 20
    rolling_update_percentage: float = Field(default=0.2, gt=0, le=1)
    version: str | None = None

    @field_validator("ray_actor_options")
    @classmethod
    def _an_actor_has_them(cls, value: dict[str, Any]) -> dict[str, Any]:
        unknown = next((name for name in value if name not in ACTOR_OPTIONS), None)
        if unknown is not None:
            raise ValueError(f"{unknown!r} is no option of replicas; there are: {', '.join(ACTOR_OPTIONS)}")
        given = {name: one for name, one in value.items() if one is not None}
        try:
            shoal.remote(_Anything).options(**given)
        except (ShoalError, TypeError) as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _can_be_placed(self) -> DeploymentConfig:
        problem = bundles_problem(self.placement_group_bundles, self.ray_actor_options)
        if problem:
            raise ValueError(problem)
        most = self.max_replicas_per_node
        if most is None:
            return self
        if self.placement_group_bundles is not None:
            raise ValueError("max_replicas_per_node and placement_group_bundles cannot go together; give one of them")
        scaling = self.autoscaling_config
        wanted = scaling.max_replicas if scaling is not None else self.num_replicas or 1
        if wanted > most:
            raise ValueError(
                f"max_replicas_per_node is {most}, and there may be {wanted} replicas, all on this machine; "
                f"let there be no more, or leave max_replicas_per_node out"
            )
        return self

    def resolved(self) -> DeploymentConfig:
        """Returns the same with code in place of its import paths. Raises ValueError where there is none."""
        changed: dict[str, Any] = {}
        scaling, routing = self.autoscaling_config, self.request_router_config
        if scaling is not None and scaling.policy is not None:
            changed["autoscaling_config"] = scaling.model_copy(update={"policy": scaling.policy.resolved()})
        if routing is not None:
            changed["request_router_config"] = routing.resolved()
        return self.model_copy(update=changed)

    @property
    def router_code(self) -> bytes:
        """The user's class that routes requests; empty for none."""
        return self.request_router_config.code if self.request_router_config is not None else b""

    @property
    def initial_replicas(self) -> int:
        """How many replicas there are at first."""
        if self.autoscaling_config is not None:
            first = self.autoscaling_config.initial_replicas
            return first if first is not None else self.autoscaling_config.min_replicas
        return self.num_replicas or 1


if not TYPE_CHECKING:  # What is not here stays an error for type checkers.

    def __getattr__(name: str) -> Any:
        raise absence(__name__, name)
