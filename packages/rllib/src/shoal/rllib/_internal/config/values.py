"""Values of settings: copied, compared, and as other things take them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from shoal.rllib._internal.config.settings import Settings
from shoal.rllib.utils.error import ConfigError


def as_dict(given: Any) -> dict[str, Any]:
    """A model's or override's settings as a dict."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, Settings):
        found: dict[str, Any] = given.to_dict()  # type: ignore[attr-defined]
        return found
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        return {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    raise ConfigError(f"model_config is {given!r}; give a DefaultModelConfig or a dict")


def copied(value: Any) -> Any:
    """Copies what can change in place; all else is shared."""
    if isinstance(value, Settings):
        return value.copy()  # type: ignore[attr-defined]
    if type(value) is dict:
        return {key: copied(part) for key, part in value.items()}
    if type(value) is list:
        return [copied(part) for part in value]
    if type(value) is set:
        return set(value)
    return value


def plain(value: Any) -> Any:
    """Returns what JSON has in the place of a value."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def differs(value: Any, default: Any) -> bool:
    """Whether a value is another one than the default."""
    try:
        return bool(value != default)
    except Exception:  # arrays and the like, whose comparison is no truth value
        return True
