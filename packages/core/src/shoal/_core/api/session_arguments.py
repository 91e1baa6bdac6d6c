"""Checks the arguments of `init`, fills in what the environment says, and freezes them to a SessionRequest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from shoal._core.api.checks import amount, flag, integer, mapping, text, texts
from shoal._core.api.engine_choice import engine_of_client, surrounding_engine
from shoal._core.api.environment_option import parse_environment
from shoal._core.api.job_config import JobConfig
from shoal._core.api.logging_config import LoggingConfig
from shoal._core.api.session_address import read_address
from shoal._core.schema.session_request import ADAPTER, INLINE, JOIN, START, SessionRequest
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError

SESSION_WIDE = ("num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "_memory", "_system_config")
"""Arguments that only whoever begins a session can give."""
KEYWORD_OF = {
    "CPU": "num_cpus",
    "GPU": "num_gpus",
    "memory": "_memory",
    "object_store_memory": "object_store_memory",
}


def parse_session(given: Mapping[str, Any], job_config: JobConfig | None) -> SessionRequest:
    """Returns the session that `init` was asked for.

    Args:
        given: the keywords of `init`, without those that are about this process only. None means: not said.
        job_config: the settings of the job, where the user gave some.

    Raises InvalidOptionError (ValueError), InvalidOptionTypeError (TypeError).
    """
    address = given["address"]
    if address is not None:
        text("address", address)
    local_mode = flag("local_mode", given["local_mode"])
    client = given["client"]
    if client is not None:
        address = _address_with(client, address)
    elif address is None and not local_mode:
        address = os.environ.get("SHOAL_ADDRESS") or None
        if address is None and all(given[name] is None for name in SESSION_WIDE):
            address = surrounding_engine()
    kind, where, scheme = read_address(address)
    if local_mode:
        if kind != START:
            raise InvalidOptionError(
                "local_mode", True, f"address={address!r} means another process; leave one of both out"
            )
        kind = INLINE
    if kind == JOIN or (kind == ADAPTER and "://" in where):  # an engine that is only named may begin a cluster
        for name in SESSION_WIDE:
            if given[name] is not None:
                raise InvalidOptionError(
                    name,
                    given[name],
                    f"it cannot be set in a session that runs already (address={address!r}); leave it out",
                )
    job = job_config or _job_of_environment() or JobConfig()
    system_config = dict(mapping("_system_config", given["_system_config"] or {}))
    refresh_seconds, threshold = _memory_monitor(system_config)
    return SessionRequest(
        kind=kind,
        address=where or None,
        scheme=scheme,
        client=client,
        num_cpus=_optional_amount("num_cpus", given["num_cpus"]),
        num_gpus=_gpus(given["num_gpus"]),
        resources=_custom_resources(given["resources"]),
        memory=_optional_integer("_memory", given["_memory"], 1),
        object_store_memory=_optional_integer("object_store_memory", given["object_store_memory"], 1),
        labels=_labels(given["labels"]),
        namespace=_namespace(given["namespace"], job),
        environment=_environment(given["runtime_env"], job),
        metadata=texts("metadata", job.metadata),
        preload=_modules(given["preload"]),
        seed=_seed(given["seed"], given["_inline_seed"], kind),
        log_to_driver=_log_to_driver(given["log_to_driver"]),
        logging=_logging(given["logging_config"]),
        include_dashboard=None
        if given["include_dashboard"] is None
        else flag("include_dashboard", given["include_dashboard"]),
        dashboard_host=text("dashboard_host", given["dashboard_host"], may_be_empty=False),
        dashboard_port=_optional_integer("dashboard_port", given["dashboard_port"], 0),
        metrics_export_port=_optional_integer("_metrics_export_port", given["_metrics_export_port"], 0),
        temp_dir=_optional_text("_temp_dir", given["_temp_dir"]),
        object_spilling_directory=_optional_text("object_spilling_directory", given["object_spilling_directory"]),
        node_ip=_optional_text("_node_ip_address", given["_node_ip_address"]),
        node_name=_optional_text("_node_name", given["_node_name"]),
        tracing_startup_hook=_optional_text("_tracing_startup_hook", given["_tracing_startup_hook"]),
        memory_refresh_seconds=refresh_seconds,
        memory_threshold=threshold,
        system_config=system_config,
    )


def _address_with(client: object, address: str | None) -> str:
    """Returns the address that stands for a client's engine."""
    engine = engine_of_client(client)
    if address not in (None, engine, f"{engine}://"):
        raise InvalidOptionError("address", address, f"client= is of {engine}, and connected: give one of both")
    return engine


def refuse_isolation(arguments: Mapping[str, Any]) -> None:
    """Raises UnsupportedError for keywords of Ray's cgroup isolation."""
    for name, value in arguments.items():
        if value:
            raise UnsupportedError(
                f"init({name}=...)", "Limit tasks and actors with their `memory=` and `num_cpus=` options instead."
            )


def _optional_amount(argument: str, value: object) -> float | None:
    return None if value is None else amount(argument, value)


def _optional_integer(argument: str, value: object, low: int) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else integer(argument, value, low=low)


def _optional_text(argument: str, value: object) -> str | None:
    return None if value is None else text(argument, os.fspath(value) if isinstance(value, os.PathLike) else value)


def _gpus(value: object) -> float | None:
    if value is None:
        return None
    gpus = amount("num_gpus", value)
    if gpus != int(gpus):
        raise InvalidOptionError("num_gpus", value, "a node has a whole number of GPUs")
    return int(gpus)


def _custom_resources(value: object) -> dict[str, float]:
    if value is None:
        return {}
    resources = {}
    for name, quantity in mapping("resources", value).items():
        text("resources", name, may_be_empty=False)
        if name in KEYWORD_OF:
            raise InvalidOptionError("resources", value, f"give {KEYWORD_OF[name]}= instead of {name!r} in resources")
        resources[name] = amount(f"resources[{name!r}]", quantity)
    return resources


def _labels(value: object) -> dict[str, str]:
    if value is None:
        return {}
    labels = texts("labels", value)
    for key in labels:
        if key.endswith(".io/node-id"):
            raise InvalidOptionError("labels", value, f"{key!r} is set by the session itself")
    return labels


def _namespace(value: object, job: JobConfig) -> str | None:
    if value is not None:
        return text("namespace", value, may_be_empty=False)
    return job.ray_namespace or os.environ.get("SHOAL_NAMESPACE") or None


def _environment(value: object, job: JobConfig) -> Any:
    if value is not None:
        if job.runtime_env and dict(mapping("runtime_env", value)) != job.runtime_env:
            raise InvalidOptionError("runtime_env", value, "job_config has a runtime_env already; give one of both")
        return parse_environment(value)
    if job.runtime_env:
        return parse_environment(job.runtime_env)
    from_environment = os.environ.get("SHOAL_RUNTIME_ENV")
    return parse_environment(_json("SHOAL_RUNTIME_ENV", from_environment)) if from_environment else None


def _job_of_environment() -> JobConfig | None:
    content = os.environ.get("SHOAL_JOB_CONFIG_JSON_ENV_VAR")
    return JobConfig.from_json(_json("SHOAL_JOB_CONFIG_JSON_ENV_VAR", content)) if content else None


def _json(variable: str, content: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise InvalidOptionError(variable, content, f"the environment variable holds no valid JSON: {error}") from None


def _modules(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidOptionTypeError("preload", value, "give a list of module names, as in ['numpy', 'torch']")
    return tuple(text("preload", name, may_be_empty=False) for name in value)


def _seed(seed: object, inline_seed: object, kind: str) -> int | None:
    if seed is None:
        seed = inline_seed
    if seed is None:
        return None
    if kind != INLINE:
        raise InvalidOptionError(
            "seed", seed, "only sessions with local_mode=True run tasks in an order that a seed can choose"
        )
    return integer("seed", seed, low=0)


def _memory_monitor(system_config: Mapping[str, Any]) -> tuple[float, float]:
    """Returns the seconds between two looks at the machine's memory, and the share of it that may be in use."""
    refresh = system_config.get("memory_monitor_refresh_ms", os.environ.get("SHOAL_memory_monitor_refresh_ms", 250))  # noqa: SIM112
    threshold = system_config.get("memory_usage_threshold", os.environ.get("SHOAL_memory_usage_threshold", 0.95))  # noqa: SIM112
    try:
        milliseconds = int(refresh)
    except (TypeError, ValueError):
        milliseconds = -1
    if milliseconds < 0:
        raise InvalidOptionError("memory_monitor_refresh_ms", refresh, "give whole milliseconds; 0 turns it off")
    try:
        share = float(threshold)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidOptionError("memory_usage_threshold", threshold, "give a share of the machine's memory, 0 to 1")
    return milliseconds / 1000, share


def _log_to_driver(value: object) -> bool:
    if value is not None:
        return flag("log_to_driver", value)
    return os.environ.get("SHOAL_LOG_TO_DRIVER", "1") != "0"


def _logging(value: object) -> dict[str, Any]:
    if value is None:
        encoding = os.environ.get("SHOAL_LOGGING_CONFIG_ENCODING")
        return LoggingConfig(encoding=encoding).as_dict() if encoding else {}
    if not isinstance(value, LoggingConfig):
        raise InvalidOptionTypeError("logging_config", value, "give a shoal.LoggingConfig")
    return value.as_dict()
