"""`RuntimeEnv` and `RuntimeEnvConfig` as users meet them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from shoal._core.api.environment_option import parse_environment
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError
from shoal.runtime_env import RuntimeEnv, RuntimeEnvConfig


def test_fields_are_kept_in_their_plain_form(tmp_path: Path) -> None:
    env = RuntimeEnv(pip=["six", "six"], env_vars={"B": "2", "A": "1"}, working_dir=str(tmp_path), excludes=["*.bin"])
    assert env == {
        "pip": {"packages": ["six"], "pip_check": False},
        "env_vars": {"A": "1", "B": "2"},
        "working_dir": str(tmp_path),
        "excludes": ["*.bin"],
    }
    assert isinstance(env, dict)
    assert RuntimeEnv(pip=[], env_vars={}) == {}


def test_a_dict_and_a_runtime_env_are_the_same_environment() -> None:
    plain = {"uv": ["six"], "env_vars": {"A": "1"}}
    one, other = parse_environment(plain), parse_environment(RuntimeEnv(**plain))
    assert one is not None
    assert one == other


def test_fields_are_checked_when_they_are_set() -> None:
    env = RuntimeEnv()
    env["env_vars"] = {"A": "1"}
    env.set("pip", ["six"])
    assert env.pip_config()["packages"] == ["six"]
    env["pip"] = []
    assert not env.has_pip()
    with pytest.raises(InvalidOptionTypeError):
        env["env_vars"] = {"A": 1}
    with pytest.raises(InvalidOptionError):
        env["nonsense"] = 1
    assert env == {"env_vars": {"A": "1"}}


def test_wrong_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        RuntimeEnv(pip=["a"], conda="b")
    with pytest.raises(NotImplementedError, match="Start the session inside"):
        RuntimeEnv(image_uri="docker://x")
    with pytest.raises(UnsupportedError):
        RuntimeEnv(nsight="default")
    with pytest.raises(ValueError, match="Did you mean 'env_vars'"):
        RuntimeEnv(env_variables={})


def test_questions() -> None:
    env = RuntimeEnv(working_dir="https://h/a.zip", py_modules=["s3://b/m.whl"], uv=["six"], env_vars={"A": "1"})
    assert (env.has_working_dir(), env.has_pip(), env.has_uv(), env.has_conda()) == (True, False, True, False)
    assert env.working_dir() == env.working_dir_uri() == "https://h/a.zip"
    assert env.py_modules() == env.py_modules_uris() == ["s3://b/m.whl"]
    assert env.uv_config() == {"packages": ["six"], "uv_check": False}
    assert env.env_vars() == {"A": "1"}
    nothing = RuntimeEnv()
    assert (nothing.working_dir(), nothing.working_dir_uri(), nothing.py_modules()) == ("", None, [])
    assert (nothing.env_vars(), nothing.pip_config(), nothing.uv_config()) == ({}, {}, {})


def test_copies_do_not_look_for_files_again(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    env = RuntimeEnv(working_dir=folder, config=RuntimeEnvConfig(setup_timeout_seconds=9))
    text = env.serialize()
    folder.rmdir()
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env), RuntimeEnv.deserialize(text)):
        assert type(other) is RuntimeEnv
        assert other["working_dir"] == str(folder)
        assert other["config"]["setup_timeout_seconds"] == 9
    plain = env.to_dict()
    assert type(plain) is dict
    assert plain == env


def test_config() -> None:
    assert (
        RuntimeEnvConfig() == RuntimeEnvConfig.default_config() == {"setup_timeout_seconds": 600, "eager_install": True}
    )
    assert type(RuntimeEnvConfig(eager_install=False).to_dict()) is dict
    with pytest.raises(ValueError, match="setup_timeout_seconds"):
        RuntimeEnvConfig(setup_timeout_seconds=-5)
    with pytest.raises(TypeError, match="eager_install"):
        RuntimeEnvConfig(eager_install="no")  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError):
        RuntimeEnvConfig(log_files=["x"])
