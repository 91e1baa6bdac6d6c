"""A file's options come before the code's; what it leaves out is the code's."""

from __future__ import annotations

from typing import Any

import pytest

from shoal import serve
from shoal.serve._internal.logic.config_overrides import Overrides
from shoal.serve.config import DeploymentConfig
from shoal.serve.exceptions import InvalidArgumentError
from shoal.serve.schema import LoggingConfig, ServeApplicationSchema


@serve.deployment(num_replicas=3, max_ongoing_requests=7, ray_actor_options={"num_cpus": 2})
class Model:
    pass


def overridden(deployment: Any = Model, application: dict[str, Any] | None = None, **options: Any) -> DeploymentConfig:
    schema = ServeApplicationSchema.model_validate(
        {"import_path": "m:app", "deployments": [{"name": deployment.name, **options}], **(application or {})}
    )
    return Overrides(schema).adjust(deployment.config)


def test_what_is_given_changes_and_the_rest_stays() -> None:
    config = overridden(num_replicas=1, user_config={"a": 1})
    assert (config.num_replicas, config.max_ongoing_requests, config.user_config) == (1, 7, {"a": 1})
    assert config.ray_actor_options == {"num_cpus": 2}
    assert overridden() == Model.config


def test_the_file_decides_between_a_number_and_autoscaling() -> None:
    config = overridden(autoscaling_config={"max_replicas": 5})
    assert config.num_replicas is None
    assert config.autoscaling_config is not None
    assert config.autoscaling_config.max_replicas == 5
    fixed = overridden(Model.options(num_replicas="auto"), num_replicas=2)
    assert (fixed.num_replicas, fixed.autoscaling_config) == (2, None)
    automatic = overridden(num_replicas="auto").autoscaling_config
    assert automatic is not None
    assert automatic.max_replicas == 100


def test_environments_of_the_application_and_the_deployment_are_joined() -> None:
    config = overridden(
        application={"runtime_env": {"env_vars": {"A": "1", "B": "1"}}},
        ray_actor_options={"runtime_env": {"env_vars": {"B": "2"}}},
    )
    assert config.ray_actor_options == {"runtime_env": {"env_vars": {"A": "1", "B": "2"}}}


def test_logging_of_the_application_is_that_of_deployments_without_their_own() -> None:
    assert overridden(application={"logging_config": {"encoding": "json"}}).logging_config == {"encoding": "JSON"}
    own = overridden(application={"logging_config": {"encoding": "json"}}, logging_config={"log_level": "debug"})
    assert own.logging_config == {"log_level": "DEBUG"}


@pytest.mark.parametrize(("said", "is_level"), [("warn", "WARNING"), ("FATAL", "CRITICAL"), ("info", "INFO"), (15, 15)])
def test_levels_of_logs_are_those_of_python_s_logging(said: str | int, is_level: str | int) -> None:
    assert LoggingConfig(log_level=said).log_level == is_level


def test_deployments_that_the_code_does_not_have_are_named() -> None:
    schema = ServeApplicationSchema.model_validate({"import_path": "m:app", "deployments": [{"name": "Modle"}]})
    overrides = Overrides(schema)
    overrides.adjust(Model.config)
    with pytest.raises(InvalidArgumentError, match=r"has 'Modle', and the code has no such deployment; it has: Model"):
        overrides.check_names("default")
