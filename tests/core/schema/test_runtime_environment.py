"""Runtime environments as data: what users may write, the one form of it, its key, and inheritance."""

from __future__ import annotations

import base64
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._core.schema.runtime_environment import (
    NO_ENVIRONMENT,
    Environment,
    decode_environment,
    expanded_variables,
    inherited_environment,
    merge,
    merge_of_job,
    parse_environment,
)
from shoal._core.schema.runtime_environment_fields import requirement_lines
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError

NAMES = st.text("ABC_", min_size=1, max_size=3)
VARIABLES = st.dictionaries(NAMES, st.sampled_from(["", "1", "${A}", "x${B}y", "${C}${C}"]), max_size=4)
PACKAGES = st.lists(st.sampled_from(["six", "numpy==2.0", "torch"]), max_size=3)
URIS = st.sampled_from(["https://h/a.zip", "s3://b/c.tar.gz", "local:///opt/code"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "env_vars": VARIABLES,
        "working_dir": URIS,
        "py_modules": st.lists(URIS, max_size=2),
        "excludes": st.lists(st.sampled_from(["*.bin", "/data"]), max_size=2),
        "worker_process_setup_hook": st.sampled_from(["a.b", "a.b.c"]),
        "config": st.fixed_dictionaries({}, optional={"setup_timeout_seconds": st.sampled_from([1, 600, -1])}),
    },
)
INSTALLERS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"pip": PACKAGES}),
    st.fixed_dictionaries({"uv": st.fixed_dictionaries({"packages": PACKAGES}, optional={"uv_check": st.booleans()})}),
)
ENVIRONMENTS = st.builds(lambda fields, installers: parse_environment(fields | installers), FIELDS, INSTALLERS)


# --- one form, one key ------------------------------------------------------------------------------------------------


@given(FIELDS, st.randoms())
def test_the_order_of_what_is_written_makes_no_difference(fields: dict[str, Any], random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {name: shuffled(item) for name, item in items}

    one, other = parse_environment(fields), parse_environment(shuffled(fields))
    assert one == other
    assert one.json == other.json


@given(ENVIRONMENTS)
def test_json_says_all_and_can_be_parsed_as_what_a_user_writes(environment: Environment) -> None:
    assert decode_environment(environment.json) == environment
    assert parse_environment(json.loads(environment.json)) == environment
    assert parse_environment(json.loads(environment.json)).json == environment.json


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_keys_are_equal_exactly_where_the_same_is_asked_for(one: Environment, other: Environment) -> None:
    def asked(environment: Environment) -> dict[str, Any]:
        return {name: value for name, value in json.loads(environment.json).items() if name != "config"}

    assert (one.key == other.key) == (asked(one) == asked(other))


@pytest.mark.parametrize(
    "nothing",
    [{}, {"env_vars": {}}, {"pip": []}, {"pip": None, "working_dir": None}, {"config": {"setup_timeout_seconds": 7}}],
)
def test_the_key_of_nothing_is_empty(nothing: dict[str, Any]) -> None:
    assert parse_environment(nothing).key == ""


def test_keys_are_the_same_in_every_process() -> None:
    environment = parse_environment({"pip": ["six"], "env_vars": {"B": "2", "A": "1"}})
    assert environment.json == b'{"env_vars":{"A":"1","B":"2"},"pip":{"packages":["six"]}}'
    assert environment.key == "83be365821db7d46dbca8941f758bab1"


def test_usual_settings_are_not_said() -> None:
    usual = {
        "config": {"setup_timeout_seconds": 600, "eager_install": True},
        "pip": {"packages": ["a"], "pip_check": False},
    }
    assert parse_environment(usual).json == parse_environment({"pip": ["a"]}).json
    assert parse_environment({"config": {"setup_timeout_seconds": 5}}).setup.setup_timeout_seconds == 5
    assert NO_ENVIRONMENT.setup.setup_timeout_seconds == 600


# --- inheritance ------------------------------------------------------------------------------------------------------


@given(ENVIRONMENTS)
def test_nothing_changes_nothing(environment: Environment) -> None:
    assert merge(environment, NO_ENVIRONMENT) == environment
    assert merge(NO_ENVIRONMENT, environment) == environment
    assert merge(environment, environment) == environment
    assert inherited_environment("{}", environment) == environment
    assert inherited_environment(environment.json.decode(), None) == environment
    assert inherited_environment("{}", None).key == ""


@given(ENVIRONMENTS, ENVIRONMENTS, ENVIRONMENTS)
def test_grandchildren_inherit_alike_whoever_merges_first(a: Environment, b: Environment, c: Environment) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_a_child_replaces_fields_whole_and_variables_by_name(parent: Environment, child: Environment) -> None:
    merged = inherited_environment(parent.json.decode(), child)
    assert merged.env_vars == {**parent.env_vars, **child.env_vars}
    assert merged.working_dir == (child.working_dir or parent.working_dir)
    assert merged.py_modules == (child.py_modules or parent.py_modules)
    assert (merged.pip, merged.uv) == ((child.pip, child.uv) if child.pip or child.uv else (parent.pip, parent.uv))


def test_a_submitted_job_and_its_driver() -> None:
    submitted = parse_environment({"pip": ["a"], "env_vars": {"A": "1"}})
    fine = parse_environment({"env_vars": {"B": "2"}, "excludes": ["x"], "config": {"setup_timeout_seconds": 5}})
    assert merge_of_job(submitted, fine) == merge(submitted, fine)
    for conflict, named in [
        ({"pip": ["b"]}, "['pip']"),
        ({"env_vars": {"A": "2"}}, "['A']"),
        ({"uv": ["b"]}, "['uv']"),
    ]:
        driver = parse_environment(conflict)
        with pytest.raises(InvalidOptionError) as caught:
            merge_of_job(submitted, driver)
        assert named in str(caught.value)
        assert merge_of_job(submitted, driver, driver_wins=True) == merge(submitted, driver)


# --- variables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"X": "plain $HOME ${}"}, {"X": "plain $HOME ${}"}),
        ({"PATH": "/opt/bin:${PATH}"}, {"PATH": "/opt/bin:/bin"}),
        ({"X": "[${NOBODY}]"}, {"X": "[]"}),
        ({"A": "${B}!", "B": "${C}", "C": "c"}, {"A": "c!", "B": "c", "C": "c"}),
        ({"A": "${B}", "B": "${A}"}, {"A": "", "B": ""}),
    ],
)
def test_references(variables: dict[str, str], expected: dict[str, str]) -> None:
    assert expanded_variables(variables, {"PATH": "/bin", "HOME": "/root"}) == expected


@given(VARIABLES, VARIABLES)
def test_the_order_of_variables_makes_no_difference(variables: dict[str, str], base: dict[str, str]) -> None:
    backwards = dict(reversed(variables.items()))
    assert expanded_variables(variables, base) == expanded_variables(backwards, base)
    assert set(expanded_variables(variables, {})) == set(variables)


# --- fields -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"env_var": {}}, "Did you mean 'env_vars'"),
        ({"wroking_dir": "."}, "Did you mean 'working_dir'"),
        ({7: "x"}, "no such field"),
        ({"pip": ["a"], "uv": ["b"]}, "'pip' and 'uv' exclude each other"),
        ({"pip": ["a"], "conda": "x"}, "exclude each other"),
        ({"working_dir": "/no/such/folder"}, "there is no such folder"),
        ({"working_dir": __file__}, "there is no such folder or archive"),
        ({"working_dir": ""}, "give the path"),
        ({"working_dir": "ftp://host/a.zip"}, "URIs begin with"),
        ({"working_dir": "https://host/a.txt?x=.zip"}, "must be one of .zip"),
        ({"py_modules": ["/no/such"]}, "runtime_env['py_modules'][0]"),
        ({"py_modules": [pickle, json, "a://b.zip"]}, "runtime_env['py_modules'][2]"),
        ({"pip": "/no/such/requirements.txt"}, "cannot be read as a requirements file"),
        ({"pip": {"pip_check": True}}, "give its 'packages'"),
        ({"pip": {"packages": ["a"], "check": True}}, "it has only packages, pip_check"),
        ({"env_vars": {"A=B": "1"}}, "no '='"),
        ({"env_vars": {"A": "1\0"}}, "NUL"),
        ({"worker_process_setup_hook": "no-import-path"}, "import path"),
        ({"config": {"setup_timeout_seconds": 0}}, "runtime_env['config']['setup_timeout_seconds']"),
        ({"config": {"timeout": 5}}, "runtime_env['config']['timeout']"),
    ],
)
def test_wrong_values(fields: dict[Any, Any], named: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        parse_environment(fields)
    assert named in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"working_dir": 5}, "runtime_env['working_dir']"),
        ({"py_modules": "/tmp"}, "runtime_env['py_modules']"),
        ({"py_modules": [5]}, "runtime_env['py_modules'][0]"),
        ({"excludes": "*.bin"}, "runtime_env['excludes']"),
        ({"pip": 5}, "runtime_env['pip']"),
        ({"pip": ["a", 5]}, "runtime_env['pip']['packages']"),
        ({"pip": {"packages": ["a"], "pip_check": 1}}, "runtime_env['pip']['pip_check']"),
        ({"pip": {"packages": ["a"], "pip_version": 24}}, "runtime_env['pip']['pip_version']"),
        ({"uv": {"packages": ["a"], "uv_pip_install_options": "-q"}}, "runtime_env['uv']['uv_pip_install_options']"),
        ({"env_vars": [("A", "1")]}, "runtime_env['env_vars']"),
        ({"env_vars": {"A": 1}}, "'A': 1 is not"),
        ({"worker_process_setup_hook": 5}, "runtime_env['worker_process_setup_hook']"),
        ({"config": 5}, "runtime_env['config']"),
        ({"config": {"setup_timeout_seconds": 1.5}}, "whole number of seconds"),
        ({"config": {"eager_install": 1}}, "runtime_env['config']['eager_install']"),
    ],
)
def test_wrong_types(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidOptionTypeError) as caught:
        parse_environment(fields)
    assert named in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "field", ["conda", "container", "image_uri", "py_executable", "nsight", "_nsight", "java_jars"]
)
def test_what_ray_has_and_shoal_has_not(field: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        parse_environment({field: "x"})
    assert f"runtime_env['{field}'] is not supported" in str(caught.value)


def test_log_files_are_not_supported() -> None:
    with pytest.raises(UnsupportedError):
        parse_environment({"config": {"log_files": ["/tmp/x"]}})
    assert parse_environment({"config": {"log_files": []}}) == NO_ENVIRONMENT


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code").mkdir()
    (tmp_path / "module.py").touch()
    (tmp_path / "code.tar.gz").touch()
    environment = parse_environment({"working_dir": "code", "py_modules": [Path("module.py"), "code", pytest]})
    assert environment.working_dir == f"{tmp_path}/code"
    assert environment.py_modules == (f"{tmp_path}/module.py", f"{tmp_path}/code", os.path.dirname(pytest.__file__))
    assert parse_environment({"working_dir": "code.tar.gz"}).working_dir == f"{tmp_path}/code.tar.gz"


def test_a_function_as_hook_travels_pickled() -> None:
    environment = parse_environment({"worker_process_setup_hook": os.getpid})
    hook = environment.worker_process_setup_hook
    assert pickle.loads(base64.b64decode(hook.removeprefix("pickled:"))) is os.getpid
    assert parse_environment({"worker_process_setup_hook": hook}) == environment
    assert (
        parse_environment({"worker_process_setup_hook": len}, lambda function: b"x").worker_process_setup_hook
        == "pickled:eA=="
    )


def test_requirements_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
        # a comment
        six==1.16.0  # another
        numpy \\
          >= 2
        six==1.16.0
        -r more.txt
        --constraint=../limits.txt
        ./dist/own-1-py3-none-any.whl
        -e .
        -e git+https://host/repository
        --index-url https://host/simple
        other @ https://host/other-1-py3-none-any.whl
        -r ${SHOAL_RUNTIME_ENV_CREATE_WORKING_DIR}/requirements.txt
    """
    file = tmp_path / "requirements.txt"
    file.write_text(text)
    lines = (
        "six==1.16.0",
        "numpy >= 2",
        f"-r {tmp_path}/more.txt",
        f"--constraint {tmp_path.parent}/limits.txt",
        f"{tmp_path}/dist/own-1-py3-none-any.whl",
        f"-e {tmp_path}",
        "-e git+https://host/repository",
        "--index-url https://host/simple",
        "other @ https://host/other-1-py3-none-any.whl",
        "-r ${SHOAL_RUNTIME_ENV_CREATE_WORKING_DIR}/requirements.txt",
    )
    for form in (str(file), file, {"packages": str(file)}):
        environment = parse_environment({"pip": form})
        assert environment.pip is not None
        assert environment.pip.packages == lines
    monkeypatch.chdir(tmp_path)
    listed = parse_environment({"uv": [" six ", "", "-r requirements.txt"]})
    assert listed.uv is not None
    assert listed.uv.packages == ("six", f"-r {tmp_path}/requirements.txt")


def test_hashes_of_a_requirement_stay_with_it() -> None:
    assert requirement_lines("a==1 \\\n  --hash=sha256:00\nb") == ["a==1 --hash=sha256:00", "b"]
