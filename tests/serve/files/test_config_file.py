"""Configuration files: what is wrong is told with its place in the file, its value and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shoal.serve._internal.ops.config_file import checked_document, read_config
from shoal.serve.exceptions import InvalidArgumentError

APPLICATION = {"import_path": "module:app"}


def refusal_of(document: Any) -> str:
    with pytest.raises(InvalidArgumentError) as caught:
        checked_document(document, "serve.yaml")
    return str(caught.value)


def test_a_file_that_says_little_gets_defaults(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("applications:\n- import_path: module:app\n")
    config = read_config(str(file))
    (application,) = config.applications
    assert (application.name, application.route_prefix, config.http_options.host) == ("default", "/", "127.0.0.1")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "serve.yaml: give a mapping with the key 'applications'; this is None"),
        ({}, "serve.yaml: applications is missing"),
        ({"applications": [], "http_option": {}}, "serve.yaml: http_option is unknown; did you mean http_options?"),
        ({"applications": [{}]}, "serve.yaml: applications[0].import_path is missing"),
        ({"applications": [{"import_path": "module"}]}, "applications[0].import_path is 'module': give 'module:name'"),
        (
            {"applications": [{**APPLICATION, "route_prefix": "a"}]},
            "applications[0].route_prefix is 'a': it has to begin with '/': give '/a'",
        ),
        (
            {"applications": [{**APPLICATION, "route_prefix": "/a/"}]},
            "route_prefix is '/a/': it may not end with '/': give '/a'",
        ),
        (
            {"applications": [APPLICATION, APPLICATION]},
            "the application 'default' is there more than once",
        ),
        (
            {"applications": [APPLICATION, {**APPLICATION, "name": "other"}]},
            "the route_prefix '/' is that of default, other; give each application one of its own",
        ),
        (
            {"applications": [], "http_options": {"port": "many"}},
            "http_options.port is 'many': should be a valid integer",
        ),
        (
            {"applications": [], "proxy_location": "Here"},
            "proxy_location is 'Here': should be 'Disabled', 'HeadOnly' or",
        ),
        (
            {"applications": [], "logging_config": {"log_level": "LOUD"}},
            "logging_config.log_level is 'LOUD': give one of",
        ),
        ({"applications": [], "target_capacity": 50}, "target_capacity is 50: should be None"),
    ],
)
def test_what_is_wrong_is_named(document: Any, expected: str) -> None:
    assert expected in refusal_of(document)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_replicas": 0}, "num_replicas is 0: should be greater than 0"),
        ({"num_replica": 1}, "num_replica is unknown; did you mean num_replicas?"),
        ({"ray_actor_options": {"num_cpu": 1}}, "ray_actor_options.num_cpu is unknown; did you mean num_cpus?"),
        ({"autoscaling_config": {"min_replicas": -1}}, "autoscaling_config.min_replicas is -1: should be greater"),
        (
            {"autoscaling_config": {"min_replicas": 3}},
            "autoscaling_config: min_replicas is 3 and max_replicas 1; max must not be below min",
        ),
        ({"num_replicas": 2, "autoscaling_config": {}}, ": num_replicas is 2, and there is an autoscaling_config"),
        ({"max_queued_requests": -2}, "max_queued_requests is -2: should be greater than or equal to -1"),
    ],
)
def test_options_of_deployments_are_checked_in_their_place(options: Any, expected: str) -> None:
    document = {"applications": [APPLICATION, {**APPLICATION, "name": "b", "route_prefix": "/b"}]}
    document["applications"][1]["deployments"] = [{"name": "A"}, {"name": "B", **options}]  # type: ignore[index]
    text = refusal_of(document)
    assert text.startswith("serve.yaml: applications[1].deployments[1]")
    assert expected in text


def test_all_mistakes_are_told_at_once() -> None:
    text = refusal_of({"applications": [{"import_path": "m", "nam": 1}], "http_options": {"prot": 1}})
    assert len(text.splitlines()) == 3


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"none\.yaml cannot be read: No such file"):
        read_config(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("applications: [\n  {")
    with pytest.raises(InvalidArgumentError, match=r"broken\.yaml is no YAML: (?s:.)*line 2"):
        read_config(str(broken))
