"""What a task runs in besides its resources: files, packages, variables. One frozen form, one JSON text, one key.

Two environments have equal keys exactly if they ask for the same, whatever the user wrote them as; workers, installed
packages and leases are found by it. How long setting up may take (`config`) makes no difference to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from shoal._core.schema.runtime_environment_fields import DEFAULT_SETUP_TIMEOUT, PICKLED, field_name, normal_fields
from shoal.exceptions import InvalidOptionError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class PipPackages(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Packages to install with pip, on top of those that are there."""

    packages: tuple[str, ...]
    """Lines as in a requirements file."""
    pip_check: bool = False
    """Whether packages that do not fit together are an error."""
    pip_version: str | None = None
    """As in '==24.0'; None for the one that is there."""
    pip_install_options: tuple[str, ...] | None = None
    """None for the usual ones."""


class UvPackages(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Packages to install with uv, on top of those that are there."""

    packages: tuple[str, ...]
    uv_check: bool = False
    uv_version: str | None = None
    uv_pip_install_options: tuple[str, ...] | None = None


class SetupConfig(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How to set the environment up."""

    setup_timeout_seconds: int = DEFAULT_SETUP_TIMEOUT
    """-1 for no limit."""
    eager_install: bool = True
    """At `init`, not when the first task needs it."""


class Environment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, dict=True):
    """One runtime environment. Empty values mean: nothing asked for."""

    config: SetupConfig | None = None
    """None for the usual."""
    env_vars: dict[str, str] = {}
    """`${NAME}` in a value stands for the value of another variable (see `expanded_variables`)."""
    excludes: tuple[str, ...] = ()
    """Files that are not sent, as patterns of a .gitignore file."""
    pip: PipPackages | None = None
    py_modules: tuple[str, ...] = ()
    """Absolute paths and URIs."""
    uv: UvPackages | None = None
    worker_process_setup_hook: str = ""
    """Import path of a function; or 'pickled:' and the base64 text of one."""
    working_dir: str = ""
    """Absolute path or URI."""

    @cached_property
    def json(self) -> bytes:
        """The canonical JSON: fields and names of variables in order. `RuntimeEnv` takes its fields."""
        return msgspec.json.encode(msgspec.structs.replace(self, env_vars=dict(sorted(self.env_vars.items()))))

    @property
    def setup(self) -> SetupConfig:
        """How to set it up."""
        return self.config or SetupConfig()

    @cached_property
    def key(self) -> str:
        """Hash of what is asked for, 32 hexadecimal digits; '' where nothing is."""
        content = msgspec.structs.replace(self, config=None).json
        if content == b"{}":
            return ""
        from hashlib import blake2b

        return blake2b(content, digest_size=16).hexdigest()


NO_ENVIRONMENT = Environment()


def parse_environment(
    value: Mapping[Any, Any], pickle: Callable[[Callable[..., Any]], bytes] | None = None
) -> Environment:
    """Returns the environment that a user gave as a dict or RuntimeEnv, or that `Environment.json` describes.

    Args:
        value: the user's fields.
        pickle: pickles a setup hook that is a function; cloudpickle by default.

    Raises:
        InvalidOptionError: (a ValueError) a field that does not exist or does not fit, a file that is not there.
        InvalidOptionTypeError: (a TypeError) a value of a wrong type.
        UnsupportedError: (a NotImplementedError) a field of Ray's that shoal does not have.
    """
    fields = normal_fields(value)
    hook = fields.get("worker_process_setup_hook")
    if hook is not None and not isinstance(hook, str):
        fields["worker_process_setup_hook"] = _by_value(hook, pickle)
    environment = msgspec.convert(fields, Environment)
    return msgspec.structs.replace(environment, config=None) if environment.config == SetupConfig() else environment


def decode_environment(text: str | bytes) -> Environment:
    """Returns the environment that `Environment.json` made; nothing is checked again, files need not be here."""
    return msgspec.json.decode(text, type=Environment)


def _by_value(hook: Callable[..., Any], pickle: Callable[[Callable[..., Any]], bytes] | None) -> str:
    from base64 import b64encode

    if pickle is None:
        from cloudpickle import dumps

        pickle = dumps
    assert pickle is not None
    return PICKLED + b64encode(pickle(hook)).decode()


# --- inheritance ------------------------------------------------------------------------------------------------------


def inherited_environment(parent_json: str, child: Environment | None) -> Environment:
    """Returns the environment of a task: its own over that of whoever submits it (see `merge`).

    Args:
        parent_json: JSON of the submitter's environment, '{}' for none.
        child: what the task asks for itself, if anything.
    """
    if parent_json in ("", "{}"):
        return child or NO_ENVIRONMENT
    parent = decode_environment(parent_json)
    return parent if child is None else merge(parent, child)


def merge(parent: Environment, child: Environment) -> Environment:
    """Returns the child's environment over its parent's: what the child says replaces the parent's field whole, except
    `env_vars`, which merge by name. `pip` and `uv` are two ways to say the same, so one replaces the other."""
    changes: dict[str, Any] = _said(child)
    if "env_vars" in changes:
        changes["env_vars"] = {**parent.env_vars, **child.env_vars}
    if child.pip is not None:
        changes["uv"] = None
    elif child.uv is not None:
        changes["pip"] = None
    return msgspec.structs.replace(parent, **changes)


def merge_of_job(submitted: Environment, driver: Environment, driver_wins: bool = False) -> Environment:
    """Returns the environment of a job that was submitted with one, and whose driver gives another one to `init`.

    Args:
        submitted: given with the submission.
        driver: given to `init`.
        driver_wins: what both say is no error, and the driver's counts.

    Raises:
        InvalidOptionError: (a ValueError) both say the same field or variable, and `driver_wins` is false.
    """
    if not driver_wins:
        both = (_said(submitted).keys() & _said(driver).keys()) - {"env_vars", "config"}
        names = sorted(field_name(name) for name in both)
        names += sorted(field_name("env_vars", name) for name in submitted.env_vars.keys() & driver.env_vars.keys())
        if (submitted.pip and driver.uv) or (submitted.uv and driver.pip):
            names.append(f"{field_name('pip')} and {field_name('uv')}")
        if names:
            fix = (
                f"the job was submitted with an environment that says {', '.join(names)} too; "
                "say it in one place, or set SHOAL_OVERRIDE_JOB_RUNTIME_ENV=1 for that of the driver"
            )
            raise InvalidOptionError("runtime_env", driver.json.decode(), fix)
    return merge(submitted, driver)


def _said(environment: Environment) -> dict[str, Any]:
    """Returns the fields that are not empty."""
    return {
        name: value
        for name in environment.__struct_fields__
        if (value := getattr(environment, name)) != getattr(NO_ENVIRONMENT, name)
    }


# --- variables --------------------------------------------------------------------------------------------------------


def expanded_variables(variables: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """Returns variables with each `${NAME}` in their values replaced, whatever order they come in.

    A name means another one of these variables where there is one, else the variable that is there already; a variable
    that names itself (`PATH: '/opt/bin:${PATH}'`) means the latter, and so does one that is reached in a circle. A name
    that nobody has becomes nothing.

    Args:
        variables: as in `Environment.env_vars`.
        base: the variables that are there already.
    """

    def value_of(name: str, open_names: tuple[str, ...]) -> str:
        if name in open_names or name not in variables:
            return base.get(name, "")
        return _REFERENCE.sub(lambda found: value_of(found[1], (*open_names, name)), variables[name])

    return {name: value_of(name, ()) for name in variables}
