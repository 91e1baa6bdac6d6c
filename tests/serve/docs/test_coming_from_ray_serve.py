"""The table of names in `docs/coming-from-ray-serve.md` tells the truth, both ways."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import click
import pytest

from shoal import serve
from shoal.exceptions import UnsupportedError
from shoal.serve import schema
from shoal.serve._internal.ops import cli, rest_client, rest_server
from shoal.serve.config import DeploymentConfig

PAGE = Path(__file__).parents[3] / "docs" / "coming-from-ray-serve.md"
SOURCES = Path(serve.__file__).parent
SECTION = re.compile(r"^### (.+)$|^\| `([^`]+)` \| [ABC] \| (.+) \|$", re.MULTILINE)
MODULES = (
    "",
    "config",
    "schema",
    "status",
    "exceptions",
    "handle",
    "context",
    "grpc_util",
    "request_router",
    "metrics",
    "autoscaling_policy",
    "task_consumer",
)


def rows() -> list[tuple[str, str, str]]:
    """Section, name and state."""
    found, section = [], ""
    for heading, name, state in SECTION.findall(PAGE.read_text()):
        section = heading or section
        if name:
            found.append((section, name, state))
    return found


def is_there(section: str, name: str) -> bool:
    if section.startswith("Deployment options"):
        return name in DeploymentConfig.model_fields
    if section.startswith("Hooks"):
        return name.startswith("__") or any(f'"{name}"' in text or f".{name}" in text for text in sources())
    if section.startswith("REST"):
        method, path = name.split()
        served = {rest_client.APPLICATIONS: method.lower(), "/api/ray/version": "version"}
        return path in served and hasattr(rest_server.RestServer, f"_{served[path]}")
    if section.startswith("CLI"):
        assert isinstance(cli.serve, click.Group)
        return name.split()[1] in cli.serve.commands
    if section.startswith("Declarative"):
        return is_in_files(name) or hasattr(schema, name)
    if name.startswith("ray_serve_"):
        # Of HTTP and gRPC alike, the protocol is filled in.
        known = name.removeprefix("ray_").removesuffix("_total").replace("_http_", "_{protocol}_")
        return any(f'"{known}"' in text for text in sources())
    if name.startswith("fn."):
        return hasattr(serve.batch(_a_function), name.removeprefix("fn."))
    if name == "handle.method_name.remote":
        return resolves("shoal.serve.handle.DeploymentHandle.__getattr__")
    plain = name.removeprefix("ray.").removeprefix("serve.")
    return any(resolves(".".join(filter(None, ("shoal.serve", module, plain)))) for module in MODULES)


async def _a_function(items: list[int]) -> list[int]:
    return items


def is_in_files(key: str) -> bool:
    if key == "applications[].deployments[]":
        return "deployments" in schema.ServeApplicationSchema.model_fields
    if key.startswith("applications[]."):
        return key.removeprefix("applications[].") in schema.ServeApplicationSchema.model_fields
    return key in schema.ServeDeploySchema.model_fields


def sources() -> list[str]:
    return [path.read_text() for path in SOURCES.rglob("*.py")]


def resolves(path: str) -> bool:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            try:
                found = getattr(found, name)
            except AttributeError:
                return False
        return True
    return False


def test_the_table_is_read() -> None:
    assert len(rows()) > 100


@pytest.mark.parametrize(("section", "name", "state"), rows(), ids=[name for _, name, _ in rows()])
def test_each_name_is_where_the_page_says(section: str, name: str, state: str) -> None:
    if state.startswith("refused") and not section.startswith(("Deployment options", "Declarative")):
        with pytest.raises(UnsupportedError, match=r"is not supported\. \w"):
            is_there(section, name)
    elif section.startswith("Deployment options"):
        assert is_there(section, name) == (not state.startswith("refused")), "options that do nothing yet are accepted"
    else:
        assert is_there(section, name) == state.startswith("there")
