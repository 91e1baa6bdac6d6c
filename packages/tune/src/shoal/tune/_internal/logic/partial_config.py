"""What a function of other parameters sees: those that have their values. Reading one that has not is what orders the functions."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError


class UnresolvedRead(Exception):
    """A parameter was read that has no value yet."""

    def __init__(self, path: tuple[str | int, ...]) -> None:
        super().__init__("/".join(map(str, path)))
        self.path = path


class Unresolved:
    """Stands in a configuration for what has no value yet."""

    def __init__(self, what: Any) -> None:
        self.what = what


class PartialConfig(dict[Any, Any]):
    """A configuration to read: by key, by attribute, and through `.config` as in Ray's `spec.config.x`."""

    def __init__(self, content: dict[Any, Any], path: tuple[str | int, ...] = ()) -> None:
        super().__init__(content)
        self._path = path

    def __getitem__(self, key: Any) -> Any:
        if key not in self.keys():
            if key == "config" and not self._path:
                return self
            close = difflib.get_close_matches(str(key), map(str, self.keys()), n=3)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else f" There are: {list(self.keys())}."
            raise InvalidKeyError(f"sample_from reads {key!r}, which is no parameter.{hint}")
        return _seen(super().__getitem__(key), (*self._path, key))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except InvalidKeyError as error:
            raise AttributeError(str(error)) from error

    def get(self, key: Any, default: Any = None) -> Any:
        """Returns the parameter's value; `default` where there is no such parameter."""
        return self[key] if key in self.keys() else default

    # Without it `dict(config)` and `{**config}` would copy what is inside past __getitem__.
    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()

    def values(self) -> Any:
        """All of them, each with its value."""
        return {key: self[key] for key in self.keys()}.values()

    def items(self) -> Any:
        """All of them, each with its value."""
        return {key: self[key] for key in self.keys()}.items()


class PartialList(list[Any]):
    """A list in a configuration to read."""

    def __init__(self, content: list[Any], path: tuple[str | int, ...]) -> None:
        super().__init__(content)
        self._path = path

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return _seen(super().__getitem__(index), (*self._path, range(len(self))[index]))

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))


class InvalidKeyError(InvalidArgumentError, KeyError):
    """A function reads a parameter that is not there."""

    def __str__(self) -> str:
        return str(self.args[0])


def _seen(value: Any, path: tuple[str | int, ...]) -> Any:
    if isinstance(value, Unresolved):
        raise UnresolvedRead(path)
    if type(value) is dict:
        return PartialConfig(value, path)
    return PartialList(value, path) if type(value) is list else value
