"""REST: `shoal serve deploy|status|config|shutdown --address http://…`, and what asks there without a command."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
import yaml
from tests.serve.cli.commands import Commands

APPLICATIONS = "/api/serve/applications/"
CODE = """
from shoal import serve

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Model:
    def __call__(self, request):
        return "hello"

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Broken:
    def __init__(self):
        raise RuntimeError("no weights")

app, broken = Model.bind(), Broken.bind()
"""


@pytest.fixture
def rest(running: Commands) -> Iterator[str]:
    """URL of a server of REST."""
    running.write("models.py", CODE)
    said = running.run("serve", "start", "--http-port", "0", "--rest-port", "0")
    found = re.search(r"REST at (http://\S+:\d+)", said)
    assert found is not None
    yield found.group(1)
    running.run("serve", "shutdown", "-y")


def test_commands_reach_it(running: Commands, rest: str) -> None:
    running.write("serve.yaml", "applications: [{name: model, import_path: 'models:app', route_prefix: /model}]")
    running.run("serve", "deploy", "serve.yaml", "--address", rest)
    while "status: RUNNING" not in (shown := running.run("serve", "status", "--address", rest)):
        pass
    assert yaml.safe_load(shown)["applications"]["model"]["deployments"]["Model"]["replica_states"] == {"RUNNING": 1}
    assert (
        yaml.safe_load(running.run("serve", "config", "--address", rest, "--name", "model"))["route_prefix"] == "/model"
    )
    found = httpx.get(rest + APPLICATIONS).json()
    address = found["http_options"]
    assert httpx.get(f"http://{address['host']}:{address['port']}/model").text == "hello"
    model = found["applications"]["model"]
    assert (model["source"], model["deployments"]["Model"]["target_num_replicas"]) == ("declarative", 1)
    assert [one["state"] for one in model["deployments"]["Model"]["replicas"]] == ["RUNNING"]
    running.run("serve", "shutdown", "-y", "--address", rest)
    assert httpx.get(rest + APPLICATIONS).json()["applications"] == {}


def test_mistakes_are_told(running: Commands, rest: str) -> None:
    for body, expected in [
        (b"{", "Expecting"),
        (b"[]", "give a mapping"),
        (b'{"applications": [{"import_path": "x"}]}', "give 'module:name'"),
        (b'{"applications": [{"import_path": "models:nothing"}]}', "models has no 'nothing'"),
        (b"[" * 100_000, "recursion"),
    ]:
        answer = httpx.put(rest + APPLICATIONS, content=body)
        assert (answer.status_code, expected in answer.text) == (400, True), answer.text
    broken = {"applications": [{"import_path": "models:broken", "name": "broken"}]}
    assert httpx.put(rest + APPLICATIONS, json=broken).status_code == 200
    while (status := httpx.get(rest + APPLICATIONS).json()["applications"]["broken"])["status"] != "DEPLOY_FAILED":
        pass
    assert "no weights" in status["message"]
    assert "nobody answers" in running.run("serve", "status", "--address", "http://127.0.0.1:1", ok=False)


def test_who_may_not_ask_is_refused(running: Commands, rest: str) -> None:
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example:80"}):
        assert httpx.delete(rest + APPLICATIONS, headers=headers).status_code == 403
    refused = running.run("serve", "start", "--rest-port", "0", "--rest-host", "0.0.0.0", ok=False)
    assert "set SHOAL_SERVE_TOKEN" in refused


def test_a_token_opens(running: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(running.environ, "SHOAL_SERVE_TOKEN", "secret")
    said = running.run("serve", "start", "--http-port", "0", "--rest-port", "0")
    found = re.search(r"REST at (http://\S+:\d+)", said)
    assert found is not None
    url = found.group(1)
    assert httpx.get(url + APPLICATIONS).status_code == 401
    assert httpx.get(url + APPLICATIONS, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert httpx.get(url + APPLICATIONS, headers={"authorization": "Bearer secret"}).status_code == 200
    running.run("serve", "status", "--address", url)
    running.run("serve", "shutdown", "-y")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + APPLICATIONS)
