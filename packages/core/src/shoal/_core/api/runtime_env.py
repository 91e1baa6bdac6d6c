"""`RuntimeEnv` and `RuntimeEnvConfig`: runtime environments as users write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from shoal._core.schema.runtime_environment_fields import DEFAULT_SETUP_TIMEOUT, normal_field, normal_fields


class RuntimeEnvConfig(dict[str, Any]):
    """How to set a runtime environment up; makes no difference to what is in it.

    Args:
        setup_timeout_seconds: seconds that it may take; -1 for no limit.
        eager_install: at `shoal.init`, not when the first task needs it.
        log_files: not supported.

    Raises:
        InvalidOptionError: (a ValueError) a number of seconds that cannot be.
        InvalidOptionTypeError: (a TypeError) a value of a wrong type.
        UnsupportedError: (a NotImplementedError) `log_files`.
    """

    def __init__(
        self,
        setup_timeout_seconds: int = DEFAULT_SETUP_TIMEOUT,
        eager_install: bool = True,
        log_files: list[str] | None = None,
    ) -> None:
        given = {"setup_timeout_seconds": setup_timeout_seconds, "eager_install": eager_install, "log_files": log_files}
        super().__init__(normal_field("config", given))

    @classmethod
    def default_config(cls) -> RuntimeEnvConfig:
        """Returns the usual one."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """Returns a plain dict."""
        return dict(self)


class RuntimeEnv(dict[str, Any]):
    """What tasks and actors run in besides their resources: files, packages, variables. Each field is checked when it is
    set, and kept in its plain form (`pip=['six']` as `{'packages': ['six'], 'pip_check': False}`); a plain dict in its
    place works as well.

    Args:
        py_modules: packages' folders, .py files, wheels, imported modules, or URIs of archives, to import from.
        working_dir: folder or archive (at most 500 MiB), or URI of an archive: tasks run in a copy of it.
        pip: packages to install on top of those that are there: a list, the path of a requirements file, or a dict of
            packages, pip_check, pip_version, pip_install_options.
        uv: the same with uv: a list, a path, or a dict of packages, uv_check, uv_version, uv_pip_install_options.
        env_vars: environment variables; `${NAME}` stands for the value of another one.
        worker_process_setup_hook: function, or its import path, that each worker calls before its first task.
        config: see `RuntimeEnvConfig`.
        py_executable: not supported, like `conda`, `container`, `image_uri`, `nsight` and `rocprof_sys`.
        conda: not supported.
        container: not supported.
        image_uri: not supported.
        nsight: not supported.
        rocprof_sys: not supported.
        _validate: False for fields that are known to be right.
        **kwargs: `excludes`: files that are not sent, as patterns of a .gitignore file.

    Raises:
        InvalidOptionError: (a ValueError) a field that does not exist, a value that it cannot have, fields that exclude
            each other.
        InvalidOptionTypeError: (a TypeError) a value of a wrong type.
        UnsupportedError: (a NotImplementedError) a field that Ray has and shoal has not.
    """

    def __init__(
        self,
        *,
        py_modules: Iterable[Any] | None = None,
        py_executable: str | None = None,
        working_dir: Any = None,
        pip: Any = None,
        conda: Any = None,
        container: Mapping[str, Any] | None = None,
        env_vars: Mapping[str, str] | None = None,
        worker_process_setup_hook: Callable[[], object] | str | None = None,
        nsight: Any = None,
        rocprof_sys: Any = None,
        config: Mapping[str, Any] | None = None,
        _validate: bool = True,
        image_uri: str | None = None,
        uv: Any = None,
        **kwargs: Any,
    ) -> None:
        named = {
            "py_modules": py_modules,
            "py_executable": py_executable,
            "working_dir": working_dir,
            "pip": pip,
            "conda": conda,
            "container": container,
            "env_vars": env_vars,
            "worker_process_setup_hook": worker_process_setup_hook,
            "nsight": nsight,
            "rocprof_sys": rocprof_sys,
            "config": config,
            "image_uri": image_uri,
            "uv": uv,
        }
        said = {name: value for name, value in (named | kwargs).items() if value is not None}
        super().__init__(normal_fields(said) if _validate else said)

    def __setitem__(self, name: str, value: Any) -> None:
        normal = normal_field(name, value)
        if normal is None:
            self.pop(name, None)
        else:
            super().__setitem__(name, normal)

    def __reduce__(self) -> tuple[Callable[..., RuntimeEnv], tuple[dict[str, Any]]]:
        # Checked when it was made; where it goes, its files need not be.
        return _unchecked, (dict(self),)

    def set(self, name: str, value: Any) -> None:
        """Sets one field, as `env[name] = value`."""
        self[name] = value

    def to_dict(self) -> dict[str, Any]:
        """Returns a plain dict, a copy in depth."""
        return deepcopy(dict(self))

    def serialize(self) -> str:
        """Returns the environment as JSON, which `deserialize` reads. Raises as the constructor does."""
        from shoal._core.schema.runtime_environment import parse_environment

        return parse_environment(self).json.decode()

    @classmethod
    def deserialize(cls, serialized_runtime_env: str) -> RuntimeEnv:
        """Returns the environment that JSON describes; nothing is checked again, and files need not be here."""
        import json

        return cls(_validate=False, **json.loads(serialized_runtime_env))

    # --- what it asks for ---------------------------------------------------------------------------------------------

    def has_working_dir(self) -> bool:
        return "working_dir" in self

    def working_dir(self) -> str:
        """Returns the path or URI; '' for none."""
        return str(self.get("working_dir", ""))

    def working_dir_uri(self) -> str | None:
        """Returns the path or URI; None for none."""
        return self.get("working_dir")

    def py_modules(self) -> list[str]:
        """Returns paths and URIs."""
        return list(self.get("py_modules", ()))

    py_modules_uris = py_modules

    def env_vars(self) -> dict[str, str]:
        return dict(self.get("env_vars", {}))

    def has_pip(self) -> bool:
        return "pip" in self

    def pip_config(self) -> dict[str, Any]:
        """Returns what pip is to install, and how; {} for nothing."""
        return dict(self.get("pip", {}))

    def has_uv(self) -> bool:
        return "uv" in self

    def uv_config(self) -> dict[str, Any]:
        """Returns what uv is to install, and how; {} for nothing."""
        return dict(self.get("uv", {}))

    def has_conda(self) -> bool:
        """Returns False: there is no such environment here."""
        return False


def _unchecked(fields: dict[str, Any]) -> RuntimeEnv:
    return RuntimeEnv(_validate=False, **fields)
