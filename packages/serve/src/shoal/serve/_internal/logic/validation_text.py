"""What pydantic found wrong, in words for people: where, what it is, and what it should be."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


def problems_in(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Returns one line for each problem, such as "applications[0].deployments[1].num_replicas is 0: should be greater than 0"."""
    # A value that may be one of several things has a problem for each; the first says enough.
    found: dict[str, str] = {}
    for one in error.errors():
        path, last = _followed(model, one["loc"])
        found.setdefault(path, _problem(path, last, one))
    return list(found.values())


def _problem(path: str, owner: type[BaseModel] | None, error: Any) -> str:
    kind, text = error["type"], str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if kind == "extra_forbidden":
        known = sorted(owner.model_fields) if owner is not None else []
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"{path} is unknown; " + (f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}")
    if kind == "missing":
        return f"{path} is missing"
    if kind == "value_error" and isinstance(error["input"], dict | BaseModel):
        return f"{path}: {text}" if path else text
    return f"{path} is {error['input']!r}: {text}"


def _followed(model: type[BaseModel], location: Sequence[int | str]) -> tuple[str, type[BaseModel] | None]:
    """Returns where in a document a location is, and the model that has its last part."""
    path, here = "", typing.cast(Any, model)
    owner: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            here = _item_of(here)
            continue
        owner = _model_of(here)
        if owner is not None and part not in owner.model_fields and part != location[-1]:
            continue
        if owner is None and path and not _is_mapping(here):
            # The name of one alternative of a union.
            continue
        path += f".{part}" if path else part
        field = owner.model_fields.get(part) if owner is not None else None
        here = field.annotation if field is not None else None
    return path, owner


def _alternatives(annotation: Any) -> Sequence[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    return next(
        (one for one in _alternatives(annotation) if isinstance(one, type) and issubclass(one, BaseModel)), None
    )


def _is_mapping(annotation: Any) -> bool:
    return any(typing.get_origin(one) is dict for one in _alternatives(annotation))


def _item_of(annotation: Any) -> Any:
    for one in _alternatives(annotation):
        arguments = typing.get_args(one)
        if arguments:
            return arguments[0]
    return None
