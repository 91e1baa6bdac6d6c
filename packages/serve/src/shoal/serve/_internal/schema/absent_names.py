"""Names of Ray Serve's that are not here: asking for one says what to use instead."""

from __future__ import annotations

from shoal.exceptions import UnsupportedError

_ENGINE = (
    "Make the engine in a deployment's __init__, and answer with a FastAPI application of your own, or with the engine's: "
    "@serve.ingress(function_that_builds_it)."
)
_QUEUE = "Have your queue's own worker (Celery, say) call a deployment: serve.get_app_handle(name).remote(...)."
_TRACE = "Set OpenTelemetry up in the deployment's __init__, or as a middleware of its application."

ALTERNATIVES: dict[str, dict[str, str]] = {
    "shoal.serve": {
        "get_deployment_actor": "Make a named actor (shoal.remote(Kind).options(name=...)), and find it with shoal.get_actor(name).",
        "get_deployment_actor_context": "Give the actor what it has to know as arguments of its constructor.",
        "get_trace_context": _TRACE,
    },
    "shoal.serve.config": {
        "BackpressureConfig": "A full queue is answered with 503 and `Retry-After: 1`; see max_queued_requests.",
        "ControllerOptions": "The controller runs in the environment of the session: shoal.init(runtime_env=...).",
        "DeploymentActorConfig": "Make an actor, and bind its handle to the deployment.",
        "GangSchedulingConfig": "Reserve what belongs together with placement_group_bundles.",
        "PrometheusQueryMixin": "Ask Prometheus in an AutoscalingPolicy's function.",
        "TracingConfig": _TRACE,
    },
    "shoal.serve.autoscaling_policy": {"PrometheusQueryMixin": "Ask Prometheus in an AutoscalingPolicy's function."},
    "shoal.serve.dag": {
        "InputNode": "Bind deployments to one another: Second.bind(First.bind()). Ray has given it up, too."
    },
    "shoal.serve.gradio_integrations": dict.fromkeys(
        ("GradioIngress", "GradioServer"),
        "Mount the interface into an application, gradio.mount_gradio_app(FastAPI(), interface, '/'), and give @serve.ingress a function "
        "that does so.",
    ),
    "shoal.serve.llm": dict.fromkeys(
        (
            "CloudMirrorConfig",
            "LLMConfig",
            "LLMRouter",
            "LLMServer",
            "LLMServingArgs",
            "LoraConfig",
            "ModelLoadingConfig",
            "OpenAiIngress",
            "build_dp_deployment",
            "build_dp_openai_app",
            "build_llm_deployment",
            "build_openai_app",
            "build_pd_openai_app",
        ),
        _ENGINE,
    ),
    "shoal.serve.task_consumer": dict.fromkeys(
        ("instantiate_adapter_from_config", "task_consumer", "task_handler"), _QUEUE
    ),
    "shoal.serve.schema": dict.fromkeys(
        ("CeleryAdapterConfig", "TaskProcessorAdapter", "TaskProcessorConfig", "TaskResult"), _QUEUE
    ),
}
"""By module."""


class UnsupportedNameError(UnsupportedError, ImportError):
    """A name of Ray Serve's that shoal does not have. (An ImportError as well: `try: from … import …` falls back.)"""


def absence(module: str, name: str) -> Exception:
    """Returns what to raise for a name that a module does not have: an AttributeError where it is nobody's."""
    alternative = ALTERNATIVES.get(module, {}).get(name)
    if alternative is None:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    return UnsupportedNameError(f"{module}.{name}", alternative)
