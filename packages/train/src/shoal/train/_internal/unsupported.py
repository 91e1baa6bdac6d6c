"""Names of Ray's that stand for something that is not offered: they say what to use instead, as soon as they are used."""

from __future__ import annotations

from typing import Any

from shoal.train.exceptions import UnsupportedTrainerError


def unsupported(name: str, instead: str) -> Any:
    """Returns a class that cannot be made an instance of.

    Args:
        name: of the class.
        instead: what to use.
    """

    def refuse(self: object, *args: object, **kwargs: object) -> None:
        raise UnsupportedTrainerError(f"{name} is not offered: {instead}")

    return type(name, (), {"__init__": refuse, "__doc__": f"Not offered: {instead}."})
