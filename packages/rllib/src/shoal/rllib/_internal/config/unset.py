"""What stands for an argument that was not given, where None means something."""

from __future__ import annotations

from typing import Any, Final


class Unset:
    """The type of UNSET. There is one, in every process."""

    def __repr__(self) -> str:
        return "unset"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final[Any] = Unset()
