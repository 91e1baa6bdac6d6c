"""The fields of a runtime environment: each function takes what a user may write and returns the one plain form of it.

A wrong type is an `InvalidOptionTypeError` (a TypeError), a wrong value an `InvalidOptionError` (a ValueError); both say
the field, the value, and what is allowed. Files and folders that a user names must exist, and a requirements file is
read here; nothing else of the machine is looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError

SCHEMES = ("https", "http", "s3", "gs", "azure", "abfss", "file")
"""Of the URIs that archives can be fetched from."""
IN_PLACE = "local://"
"""Before the path of a folder that is used as it is, without a copy."""
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.xz")
WHEEL = ".whl"
PICKLED = "pickled:"
"""Before the base64 text of a setup hook that travels by value."""
DEFAULT_SETUP_TIMEOUT = 600
"""Seconds."""

_UNSUPPORTED = {
    "conda": "Give the packages in runtime_env['pip'] or ['uv'], or start the session inside of the conda environment.",
    "container": "Start the session inside of the container.",
    "image_uri": "Start the session inside of the container.",
    "py_executable": "Give packages in runtime_env['pip'] or ['uv'], or start the session with that interpreter.",
    "java_jars": "",
    "nsight": "Start the program under `nsys profile --trace-fork-before-exec=true`.",
    "_nsight": "Start the program under `nsys profile --trace-fork-before-exec=true`.",
    "rocprof_sys": "",
    "_rocprof_sys": "",
    "mpi": "",
}


def field_name(*keys: str) -> str:
    """Returns what errors call a field: "runtime_env['pip']['packages']"."""
    return "runtime_env" + "".join(f"[{key!r}]" for key in keys)


def normal_fields(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the fields that say something, each in its plain form, in the order of their names.

    Raises:
        InvalidOptionError: (a ValueError) a field that does not exist, a value that it cannot have, or two fields that
            exclude each other.
        InvalidOptionTypeError: (a TypeError) a value of a wrong type.
        UnsupportedError: (a NotImplementedError) a field of Ray's that shoal does not have.
    """
    said = {name: value for name, value in given.items() if value is not None}
    managers = [name for name in ("conda", "pip", "uv") if said.get(name)]
    if len(managers) > 1:
        fix = f"{' and '.join(repr(name) for name in managers)} exclude each other; give all packages in one of them"
        raise InvalidOptionError("runtime_env", dict(said), fix)
    fields = {name: normal_field(name, said[name]) for name in sorted(said, key=str)}
    return {name: value for name, value in fields.items() if value is not None}


def normal_field(name: object, value: object) -> Any:
    """Returns the plain form of one field; None where it says nothing (an empty list). Raises as `normal_fields`."""
    parse = _FIELDS.get(name) if isinstance(name, str) else None
    if parse is not None:
        return parse(value)
    if name in _UNSUPPORTED:
        raise UnsupportedError(field_name(str(name)), _UNSUPPORTED[str(name)])
    import difflib

    matches = difflib.get_close_matches(str(name), _FIELDS, n=3, cutoff=0.6)
    meant = f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""
    fix = f"a runtime environment has no such field.{meant} It has: {', '.join(sorted(_FIELDS))}"
    raise InvalidOptionError(field_name(str(name)), value, fix)


# --- files ------------------------------------------------------------------------------------------------------------


def is_uri(text: str) -> bool:
    return "://" in text


def is_archive(path: str) -> bool:
    return path.lower().endswith(ARCHIVES)


def archive_path(uri: str) -> str:
    """Returns a URI without what follows its path ('?token=…')."""
    return uri.partition("?")[0].partition("#")[0]


def _working_dir(value: object) -> str:
    name = field_name("working_dir")
    fix = f"give the path of a folder or of an archive ({', '.join(ARCHIVES)}), or the URI of an archive"
    path = _path(name, value, fix)
    if path.startswith(IN_PLACE):
        return path
    if is_uri(path):
        return _archive_uri(name, path, ARCHIVES)
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.isdir(path) and not (os.path.isfile(path) and is_archive(path)):
        raise InvalidOptionError(name, path, f"there is no such folder or archive; {fix}")
    return path


def _py_modules(value: object) -> list[str] | None:
    name = field_name("py_modules")
    if not isinstance(value, (list, tuple)):
        raise InvalidOptionTypeError(name, value, "give a list of folders, .py files, wheels, imported modules or URIs")
    return [_py_module(field_name("py_modules") + f"[{place}]", item) for place, item in enumerate(value)] or None


def _py_module(name: str, value: object) -> str:
    fix = (
        "give the path of a package's folder, of a .py file or of a wheel, an imported module, or the URI of an archive"
    )
    path = _path(name, _module_file(name, value) if isinstance(value, ModuleType) else value, fix)
    if path.startswith(IN_PLACE):
        return path
    if is_uri(path):
        return _archive_uri(name, path, (*ARCHIVES, WHEEL))
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.isdir(path) and not (os.path.isfile(path) and path.endswith((".py", WHEEL))):
        raise InvalidOptionError(name, path, f"there is no such folder, .py file or wheel; {fix}")
    return path


def _module_file(name: str, module: ModuleType) -> str:
    folders = list(getattr(module, "__path__", ()))
    if len(folders) > 1:
        raise InvalidOptionError(name, module, "its package lies in more than one folder; give each by its path")
    path = folders[0] if folders else getattr(module, "__file__", None)
    if not path:
        raise InvalidOptionError(name, module, "it has no file; only modules written in Python can be sent")
    return str(path)


def _excludes(value: object) -> list[str] | None:
    return _texts(field_name("excludes"), value, "give a list of patterns as in a .gitignore file") or None


def _path(name: str, value: object, fix: str) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise InvalidOptionTypeError(name, value, fix)
    if not value:
        raise InvalidOptionError(name, value, fix)
    return value


def _archive_uri(name: str, uri: str, endings: tuple[str, ...]) -> str:
    scheme = uri.partition("://")[0]
    if scheme not in SCHEMES:
        raise InvalidOptionError(name, uri, f"URIs begin with one of {', '.join((*SCHEMES, 'local'))}")
    if not archive_path(uri).lower().endswith(endings):
        raise InvalidOptionError(name, uri, f"what a URI leads to must be one of {', '.join(endings)}")
    return uri


# --- packages ---------------------------------------------------------------------------------------------------------


def _pip(value: object) -> dict[str, Any] | None:
    return _packages("pip", value, "pip_check", "pip_version", "pip_install_options")


def _uv(value: object) -> dict[str, Any] | None:
    return _packages("uv", value, "uv_check", "uv_version", "uv_pip_install_options")


def _packages(field: str, value: object, check: str, version: str, options: str) -> dict[str, Any] | None:
    known = ("packages", check, version, options)
    if not isinstance(value, Mapping):
        value = {"packages": value}
    for key in value:
        if key not in known:
            raise InvalidOptionError(field_name(field, str(key)), value[key], f"it has only {', '.join(known)}")
    if "packages" not in value:
        raise InvalidOptionError(field_name(field), dict(value), "give its 'packages'")
    normal: dict[str, Any] = {"packages": _requirements(field, value["packages"])}
    normal[check] = value.get(check, False)
    if not isinstance(normal[check], bool):
        raise InvalidOptionTypeError(field_name(field, check), normal[check], "give True or False")
    if value.get(version) is not None:
        normal[version] = value[version]
        if not isinstance(value[version], str):
            raise InvalidOptionTypeError(field_name(field, version), value[version], "give a string such as '==24.0'")
    if value.get(options) is not None:
        fix = f"give a list of options of `{field}{' pip' if field == 'uv' else ''} install`"
        normal[options] = _texts(field_name(field, options), value[options], fix)
    return normal if normal["packages"] else None


def _requirements(field: str, value: object) -> list[str]:
    """Returns lines as in a requirements file, without repetitions; paths in them are absolute."""
    if isinstance(value, (str, os.PathLike)):
        path = os.path.abspath(os.path.expanduser(os.fspath(value)))
        try:
            with open(path, encoding="utf-8") as file:
                lines = requirement_lines(file.read())
        except (OSError, UnicodeDecodeError) as error:
            fix = f"it cannot be read as a requirements file ({error}); give a list of packages, or the path of such a file"
            raise InvalidOptionError(field_name(field), value, fix) from None
        folder = os.path.dirname(path)
    else:
        name = field_name(field, "packages") if isinstance(value, (list, tuple)) else field_name(field)
        lines = [
            text.strip() for text in _texts(name, value, "give a list of packages, or the path of a requirements file")
        ]
        folder = os.getcwd()
    return list(dict.fromkeys(_with_absolute_path(line, folder) for line in lines if line))


def requirement_lines(text: str) -> list[str]:
    """Returns the lines of a requirements file that say something: comments are dropped, continued lines joined."""
    lines = []
    for line in re.sub(r"[ \t]*\\\n[ \t]*", " ", text).splitlines():
        said = "" if line.lstrip().startswith("#") else line.partition(" #")[0].strip()
        if said:
            lines.append(said)
    return lines


def _with_absolute_path(line: str, folder: str) -> str:
    """Paths in a requirements file count from its folder, and this line will be read in another one."""
    for option in ("-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-f", "--find-links"):
        rest = line.removeprefix(option)
        if rest != line and rest[:1] in (" ", "=", "\t"):
            path = rest[1:].strip()
            named = option in ("-r", "--requirement", "-c", "--constraint") or path.startswith((".", "~"))
            return f"{option} {_absolute(path, folder)}" if named and not path.startswith("${") else line
    return _absolute(line, folder) if line.startswith(("./", "../", "~/")) or line.endswith(WHEEL) else line


def _absolute(path: str, folder: str) -> str:
    return path if is_uri(path) else os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


# --- the others -------------------------------------------------------------------------------------------------------


def _env_vars(value: object) -> dict[str, str] | None:
    name = field_name("env_vars")
    if not isinstance(value, Mapping):
        raise InvalidOptionTypeError(name, value, "give a dict of strings by strings")
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, str):
            fix = f"names and values are strings, which {key!r}: {item!r} is not"
            raise InvalidOptionTypeError(name, dict(value), fix)
        if not key or "=" in key or "\0" in key + item:
            raise InvalidOptionError(
                name, {key: item}, "a name is not empty and has no '='; neither has a NUL character"
            )
    return dict(sorted(value.items())) or None


def _setup_hook(value: object) -> str | Callable[[], object]:
    name = field_name("worker_process_setup_hook")
    fix = "give a function without arguments, or its import path as in 'package.module.function'"
    if isinstance(value, str):
        parts = value.split(".")
        importable = len(parts) > 1 and all(part.isidentifier() for part in parts)
        if not importable and not value.startswith(PICKLED):
            raise InvalidOptionError(name, value, fix)
        return value
    if not callable(value):
        raise InvalidOptionTypeError(name, value, fix)
    return value


def _config(value: object) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        raise InvalidOptionTypeError(
            field_name("config"), value, "give a dict, or a shoal.runtime_env.RuntimeEnvConfig"
        )
    known = ("setup_timeout_seconds", "eager_install", "log_files")
    for key in value:
        if key not in known:
            raise InvalidOptionError(field_name("config", str(key)), value[key], f"it has only {', '.join(known)}")
    timeout = value.get("setup_timeout_seconds", DEFAULT_SETUP_TIMEOUT)
    name = field_name("config", "setup_timeout_seconds")
    fix = "give a whole number of seconds > 0, or -1 for no limit"
    if not isinstance(timeout, int) or isinstance(timeout, bool):
        raise InvalidOptionTypeError(name, timeout, fix)
    if timeout <= 0 and timeout != -1:
        raise InvalidOptionError(name, timeout, fix)
    eager = value.get("eager_install", True)
    if not isinstance(eager, bool):
        raise InvalidOptionTypeError(field_name("config", "eager_install"), eager, "give True or False")
    files = _texts(field_name("config", "log_files"), value.get("log_files") or (), "give a list of paths")
    if files:
        raise UnsupportedError(
            field_name("config", "log_files"),
            "The error of an environment that cannot be set up shows the installer's last lines.",
        )
    return {"setup_timeout_seconds": timeout, "eager_install": eager}


def _texts(name: str, value: object, fix: str) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise InvalidOptionTypeError(name, value, fix)
    for item in value:
        if not isinstance(item, str):
            raise InvalidOptionTypeError(name, value, f"{fix}; {item!r} is no string")
    return list(value)


_FIELDS: Mapping[str, Callable[[object], Any]] = {
    "config": _config,
    "env_vars": _env_vars,
    "excludes": _excludes,
    "pip": _pip,
    "py_modules": _py_modules,
    "uv": _uv,
    "worker_process_setup_hook": _setup_hook,
    "working_dir": _working_dir,
}
