"""`shoal serve deploy`, `status`, `config` and `shutdown` on a session that runs; `build` without any."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import CliRunner
from tests.serve.cli.commands import Commands

from shoal.serve._internal.ops.cli import serve

CODE = """
from pydantic import BaseModel
from shoal import serve

@serve.deployment(ray_actor_options={"num_cpus": 0}, user_config={"word": "hello"})
class Greeter:
    def __init__(self, ending=""):
        self.ending = ending

    def reconfigure(self, config):
        self.word = config["word"]

    def __call__(self, request):
        return self.word + self.ending

class Arguments(BaseModel):
    count: int

def ending_with(args: Arguments):
    return Greeter.bind("!" * args.count)

app = Greeter.bind()
"""

CONFIG = """
http_options:
  port: 0
applications:
- name: plain
  import_path: greetings:app
  route_prefix: /plain
  deployments:
  - name: Greeter
    user_config: {word: bonjour}
- name: built
  import_path: greetings:ending_with
  route_prefix: /built
  args: {count: 2}
"""


@pytest.fixture(scope="module")
def serving(running: Commands) -> Commands:
    running.write("greetings.py", CODE)
    running.write("serve.yaml", CONFIG)
    return running


def url_of(commands: Commands) -> str:
    found = re.search(r"http://\S+:\d+", commands.run("serve", "start"))
    assert found is not None
    return found.group()


def test_a_file_is_deployed_changed_shown_and_ended(serving: Commands) -> None:
    assert "Applications plain, built run." in serving.run("serve", "deploy", "serve.yaml", "--wait")
    url = url_of(serving)
    assert httpx.get(f"{url}/plain").text == "bonjour"
    assert httpx.get(f"{url}/built").text == "hello!!"

    status = yaml.safe_load(serving.run("serve", "status"))
    assert {name: one["status"] for name, one in status["applications"].items()} == {
        "plain": "RUNNING",
        "built": "RUNNING",
    }
    one = json.loads(serving.run("serve", "status", "--name", "plain", "--format", "json"))
    assert one["applications"]["plain"]["deployments"]["Greeter"]["replica_states"] == {"RUNNING": 1}
    table = serving.run("serve", "status", "--format", "table")
    assert re.search(r"plain +RUNNING", table)
    assert re.search(r"Greeter +HEALTHY +1 running", table)
    assert "there is no application 'plan'; there are: plain, built" in serving.run(
        "serve", "status", "--name", "plan", ok=False
    )
    assert yaml.safe_load(serving.run("serve", "config")) == yaml.safe_load(CONFIG)
    assert yaml.safe_load(serving.run("serve", "config", "--name", "built"))["args"] == {"count": 2}

    # What the new configuration leaves out is the code's again, and an application that it leaves out ends.
    serving.write(
        "smaller.yaml", "applications:\n- {name: plain, import_path: 'greetings:app', route_prefix: /plain}\n"
    )
    serving.run("serve", "deploy", "smaller.yaml", "--wait")
    assert httpx.get(f"{url}/plain").text == "hello"
    assert httpx.get(f"{url}/built").status_code == 404

    # Changed code is new code, though its import path is the same.
    serving.write("greetings.py", CODE.replace("self.word + self.ending", "self.word.upper()"))
    serving.run("serve", "deploy", "smaller.yaml", "--wait")
    assert httpx.get(f"{url}/plain").text == "HELLO"

    # What cannot be built changes nothing.
    wrong = serving.run("serve", "deploy", "greetings:ending_with", "count=many", ok=False)
    assert "args.count is 'many': should be a valid integer" in wrong
    assert httpx.get(f"{url}/plain").text == "HELLO"

    assert "Serving has ended." in serving.run("serve", "shutdown", "-y")
    assert "nothing is served in this session" in serving.run("serve", "status", ok=False)
    assert serving.run("serve", "config") == ""


def test_a_watched_status_tells_what_changes(serving: Commands) -> None:
    serving.write("greetings.py", CODE)
    serving.run("serve", "deploy", "serve.yaml", "--wait")
    watching = serving.start("serve", "status", "--watch", "--format", "json")
    try:
        assert watching.stdout is not None
        assert set(json.loads(watching.stdout.readline())["applications"]) == {"plain", "built"}
        serving.run("serve", "deploy", "greetings:app", "--name", "other")
        while set(json.loads(watching.stdout.readline())["applications"]) != {"other"}:
            pass
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    finally:
        watching.kill()
        watching.communicate()
        serving.run("serve", "shutdown", "-y")


def test_what_is_wrong_with_a_file_is_told_before_anything_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOAL_TMPDIR", str(tmp_path))
    Path("wrong.yaml").write_text(CONFIG.replace("port: 0", "prot: 0"))
    Path("serve.yaml").write_text(CONFIG)

    def refusal(*arguments: str) -> str:
        outcome = CliRunner().invoke(serve, arguments)
        assert outcome.exit_code != 0
        return outcome.output

    assert "wrong.yaml: http_options.prot is unknown; did you mean port?" in refusal("deploy", "wrong.yaml")
    assert "leave out: --name" in refusal("deploy", "serve.yaml", "--name", "a")
    assert "not of the form key=value" in refusal("deploy", "greetings:app", "many")
    assert "for sessions on this machine" in refusal("run", "serve.yaml", "--address", "http://localhost:8265")
    assert "nobody answers" in refusal("status", "--address", "http://localhost:1")
    assert "--reload watches the code" in refusal("run", "serve.yaml", "--reload", "--non-blocking")
    assert "shoal start --head" in refusal("status")


def test_built_files_can_be_deployed(serving: Commands) -> None:
    serving.write("greetings.py", CODE)
    text = serving.run("serve", "build", "greetings:app")
    (application,) = yaml.safe_load(text)["applications"]
    assert application["deployments"] == [
        {"name": "Greeter", "ray_actor_options": {"num_cpus": 0}, "user_config": {"word": "hello"}}
    ]
    serving.write("built.yaml", text.replace("port: 8000", "port: 0"))
    serving.run("serve", "deploy", "built.yaml", "--wait")
    assert httpx.get(url_of(serving)).text == "hello"
    serving.run("serve", "shutdown", "-y")
    assert "has no 'ap'; bound deployments in it: app" in serving.run("serve", "build", "greetings:ap", ok=False)
