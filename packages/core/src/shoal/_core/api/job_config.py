"""Settings of one job, as an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal._core.api.checks import did_you_mean, mapping, text
from shoal.exceptions import InvalidOptionError

LIFETIMES = ("detached", "non_detached")


class JobConfig:
    """Settings of one job, for `shoal.init(job_config=...)`.

    Args:
        jvm_options: for Java workers; kept, not used.
        code_search_path: folders that workers import from.
        runtime_env: environment of the job's tasks and actors (see `shoal.runtime_env.RuntimeEnv`).
        metadata: strings to find the job by.
        ray_namespace: namespace of named actors; also as `shoal_namespace`.
        default_actor_lifetime: 'non_detached', or 'detached' for actors that outlive the job where they do not say.

    Raises:
        InvalidOptionError: (a ValueError) for a lifetime that does not exist.
    """

    def __init__(
        self,
        jvm_options: list[str] | None = None,
        code_search_path: list[str] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: dict[str, str] | None = None,
        ray_namespace: str | None = None,
        default_actor_lifetime: str = "non_detached",
        *,
        shoal_namespace: str | None = None,
    ) -> None:
        self.jvm_options = list(jvm_options or ())
        self.code_search_path = list(code_search_path or ())
        self.metadata = dict(metadata or {})
        self.ray_namespace: str | None = None
        self.runtime_env: dict[str, Any] = {}
        self.set_runtime_env(runtime_env)
        namespace = shoal_namespace if shoal_namespace is not None else ray_namespace
        if namespace is not None:
            self.set_ray_namespace(namespace)
        self.set_default_actor_lifetime(default_actor_lifetime)

    @property
    def shoal_namespace(self) -> str | None:
        return self.ray_namespace

    def set_metadata(self, key: str, value: str) -> None:
        """Adds one entry of metadata."""
        self.metadata[text("key", key)] = text("value", value)

    def set_runtime_env(self, runtime_env: Mapping[str, Any] | None, validate: bool = False) -> None:
        """Sets the environment of the job's tasks and actors; None for none. With `validate` it is checked at once."""
        self.runtime_env = dict(mapping("runtime_env", runtime_env)) if runtime_env is not None else {}
        if validate and self.runtime_env:
            from shoal._core.api.environment_option import parse_environment

            parse_environment(self.runtime_env)

    def set_ray_namespace(self, ray_namespace: str) -> None:
        """Sets the namespace of named actors."""
        self.ray_namespace = text("ray_namespace", ray_namespace, may_be_empty=False)

    set_shoal_namespace = set_ray_namespace

    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        """Sets the lifetime of actors that do not say theirs: 'detached' or 'non_detached'."""
        if default_actor_lifetime not in LIFETIMES:
            raise InvalidOptionError("default_actor_lifetime", default_actor_lifetime, f"give one of {LIFETIMES}")
        self.default_actor_lifetime = default_actor_lifetime

    @classmethod
    def from_json(cls, job_config_json: Mapping[str, Any]) -> JobConfig:
        """Returns the configuration that a decoded JSON object describes; its keys are the constructor's arguments."""
        known = (
            "jvm_options", "code_search_path", "runtime_env", "metadata", "ray_namespace", "shoal_namespace",
            "default_actor_lifetime",
        )  # fmt: skip
        given = dict(mapping("job_config_json", job_config_json))
        for key, value in given.items():
            if key not in known:
                raise InvalidOptionError(str(key), value, f"a job config has no such key.{did_you_mean(key, known)}")
        return cls(**given)
