"""Imports applications, and calls functions that build them."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from shoal.serve._internal.logic.validation_text import problems_in
from shoal.serve.deployment import Application, Deployment
from shoal.serve.exceptions import InvalidArgumentError


def imported_application(import_path: str, args: Mapping[str, Any], folders: Sequence[str]) -> Application:
    """Returns what an import path names: a bound deployment, or what a function makes of `args`.

    Args:
        import_path: 'module:name'.
        args: of the function.
        folders: to put first in `sys.path`.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such thing, it is something else, or takes other arguments.
        CodeError: the code raised.
    """
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    importlib.invalidate_caches()
    target = _imported(import_path)
    if isinstance(target, Application):
        if args:
            raise InvalidArgumentError(
                f"{import_path} is a bound deployment, which takes no arguments; there are: {', '.join(args)}. "
                f"Name a function that takes them and returns a bound deployment"
            )
        return target
    if isinstance(target, Deployment):
        raise InvalidArgumentError(
            f"{import_path} is the deployment {target.name}, which is not bound; add 'app = {target.name}.bind(...)', and name that"
        )
    if not callable(target):
        raise InvalidArgumentError(
            f"{import_path} is {target!r}; name a bound deployment, or a function that returns one"
        )
    return _built(target, import_path, args)


class CodeError(Exception):
    """Code of an application raised. The text is its traceback."""


def _imported(import_path: str) -> Any:
    module_name, sign, name = import_path.partition(":")
    if not sign:
        module_name, _, name = import_path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _code_error(f"importing {module_name} failed") from None
        raise InvalidArgumentError(
            f"import_path is {import_path!r}: there is no module {error.name!r} in {', '.join(filter(None, sys.path[:3]))}, …; "
            f"give the folder that it is in with --app-dir, or runtime_env: {{working_dir: …}}"
        ) from None
    except Exception:
        raise _code_error(f"importing {module_name} failed") from None
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            there = [n for n, value in vars(module).items() if isinstance(value, Application)]
            raise InvalidArgumentError(
                f"import_path is {import_path!r}: {module_name} has no {part!r}; "
                f"bound deployments in it: {', '.join(there) or 'none'}"
            )
        found = getattr(found, part)
    return found


def _code_error(what: str) -> CodeError:
    error = sys.exception()
    assert error is not None
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    return CodeError(f"{what}:\n{text}")


def _is_ours(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")


def _built(function: Callable[..., Any], import_path: str, args: Mapping[str, Any]) -> Application:
    parameters = list(inspect.signature(function).parameters.values())
    required = [one for one in parameters if one.default is one.empty and one.kind in (0, 1, 3)]
    if len(required) > 1:
        raise InvalidArgumentError(
            f"{import_path} takes {len(required)} arguments ({', '.join(one.name for one in required)}); "
            f"it gets one: a dict, or the pydantic model that it is annotated with"
        )
    if not parameters and args:
        raise InvalidArgumentError(f"{import_path} takes no arguments; there are: {', '.join(args)}")
    try:
        made = function(_typed(function, parameters[0].name, import_path, args)) if parameters else function()
    except InvalidArgumentError:
        raise
    except Exception:
        raise _code_error(f"{import_path} failed") from None
    if not isinstance(made, Application):
        raise InvalidArgumentError(f"{import_path} returned {made!r}; return a bound deployment, such as Model.bind()")
    return made


def _typed(function: Callable[..., Any], name: str, import_path: str, args: Mapping[str, Any]) -> Any:
    try:
        annotation = typing.get_type_hints(function).get(name)
    except NameError:
        annotation = None
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return dict(args)
    try:
        return annotation.model_validate(dict(args))
    except ValidationError as error:
        problems = "; ".join(f"args.{problem}" for problem in problems_in(error, annotation))
        raise InvalidArgumentError(f"{import_path}: {problems}") from None


def code_below(folders: Sequence[str]) -> str:
    """Returns what changes with the code that was imported from folders: replicas import it, so their pickles do not tell."""
    roots = [Path(folder).resolve() for folder in folders]
    parts = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or name.partition(".")[0] == "shoal":
            continue
        path = Path(file).resolve()
        is_below = "site-packages" not in path.parts and any(path.is_relative_to(root) for root in roots)
        if is_below and path.is_file():  # torch.classes says that it is of a file "_classes.py", which there is not
            parts.append(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return "\n".join(parts)
