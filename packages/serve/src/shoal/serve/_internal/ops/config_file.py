"""Reads configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shoal.serve._internal.logic.validation_text import problems_in
from shoal.serve.exceptions import InvalidArgumentError
from shoal.serve.schema import ServeDeploySchema


def is_config_file(text: str) -> bool:
    """Whether an argument names a file, and not something to import."""
    return text.endswith((".yaml", ".yml", ".json")) or "/" in text


def read_config(path: str) -> ServeDeploySchema:
    """Returns what a YAML (or JSON) file says.

    Raises:
        InvalidArgumentError: (a ValueError) it is not there, is no YAML, or says something that cannot be; with all that is wrong,
            and where.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}") from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidArgumentError(f"{path} is no YAML: {error}") from None
    return checked_document(document, path)


def checked_document(document: Any, source: str) -> ServeDeploySchema:
    """Returns what a document says. Raises InvalidArgumentError, which names `source`."""
    if not isinstance(document, Mapping):
        raise InvalidArgumentError(f"{source}: give a mapping with the key 'applications'; this is {document!r}")
    try:
        return ServeDeploySchema.model_validate(document)
    except ValidationError as error:
        problems = problems_in(error, ServeDeploySchema)
        raise InvalidArgumentError("\n".join(f"{source}: {problem}" for problem in problems)) from None


def text_of(document: Mapping[str, Any]) -> str:
    """Returns YAML, keys in their order."""
    text: str = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    return text
