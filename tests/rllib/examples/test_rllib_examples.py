"""The examples whose names begin with rllib_; those that take long as users run them, programs of their own."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
pytestmark = pytest.mark.timeout(240)


def run(example: str, *arguments: object, folder: Path, seconds: float = 230) -> str:
    command = [sys.executable, str(EXAMPLES / example), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "a live table was drawn, and this is no terminal"
    return done.stdout


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs an example in this process, which has the libraries already that a program takes seconds to import."""

    def run(example: str, *arguments: object) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [example, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / example), run_name="__main__")
        told = capsys.readouterr()
        assert not ended.value.code, told.out + told.err
        assert "\x1b" not in told.out + told.err, "a live table was drawn, and this is no terminal"
        return told.out

    return run


def test_a_room_is_heated(run_here: Callable[..., str], tmp_path: Path) -> None:
    text = run_here("rllib_custom_env.py", "--quick")
    assert re.search(r"mean return of 20 new days: -\d+\.\d+; of the thermostat: -\d+\.\d+", text)
    hours = re.findall(r"^ +(\d+) +-?[\d.]+ +-?[\d.]+ +(?:16|20) +0\.[135]0 +[01]\.\d\d$", text, re.MULTILINE)
    assert hours == [str(hour) for hour in range(24)]
    assert (tmp_path / "rllib_custom_env_results" / "policy" / "metadata.json").is_file()


def test_a_network_acts_with_torch_alone(run_here: Callable[..., str], tmp_path: Path) -> None:
    text = run_here("rllib_custom_module.py", "--quick", "--output", tmp_path / "made")
    assert float(text.split("with torch alone: ")[1]) >= 8  # the fewest steps in which a pole can fall
    assert (tmp_path / "made" / "actor.pt").is_file()


@pytest.mark.parametrize(
    ("arguments", "policies"),
    [
        pytest.param([], "blue, red", id="one each"),
        pytest.param(["--shared"], "both", id="shared", marks=pytest.mark.slow),  # the same program once more
    ],
)
def test_two_agents_meet(arguments: list[str], policies: str, run_here: Callable[..., str]) -> None:
    text = run_here("rllib_multi_agent.py", "--quick", *arguments)
    assert f"policies: {policies}\n" in text
    found = re.search(r"([\d.]+) steps to meet; ([\d.]+) is the least", text)
    assert found is not None and float(found[1]) >= float(found[2]) > 0


@pytest.mark.slow
def test_settings_are_searched(tmp_path: Path) -> None:
    text = run("rllib_tune.py", "--quick", "--cpus", 2, folder=tmp_path)
    assert len(re.findall(r"^lr 0\.\d+, lambda .*: [12] iterations, mean return \d", text, re.MULTILINE)) == 2
    assert "the best, without exploration: mean return" in text
    assert Path(text.rsplit("checkpoint: ", 1)[1].strip(), "metadata.json").is_file()


@pytest.mark.slow
def test_a_policy_is_served(tmp_path: Path) -> None:
    text = run("rllib_serve.py", "--quick", folder=tmp_path)
    assert "what a wrong request is told: {'error': 'observation is [0.0]; give 4 numbers'}" in text
    same, of = map(int, re.findall(r"own: (\d+) of (\d+)", text)[0])
    assert of >= 3 * 8 and same >= 0.95 * of  # rows that come together may be rounded otherwise


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_they_are_for_is_learned(tmp_path: Path) -> None:
    text = run("rllib_custom_env.py", folder=tmp_path, seconds=290)
    ours, theirs = re.findall(r"(?:days|thermostat): (-[\d.]+)", text)
    assert float(ours) > float(theirs)
    text = run("rllib_custom_module.py", folder=tmp_path, seconds=290)
    assert float(text.split("with torch alone: ")[1]) > 400
    text = run("rllib_multi_agent.py", folder=tmp_path, seconds=290)
    needed, fewest = map(float, re.findall(r"([\d.]+) steps to meet; ([\d.]+) is", text)[0])
    assert needed < fewest + 2
