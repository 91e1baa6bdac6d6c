"""Settings that come from environment variables: SHOAL_TRAIN_…, or Ray's own spelling of them."""

from __future__ import annotations

import os

from shoal.train.exceptions import InvalidArgumentError


def seconds(name: str, default: float | None) -> float | None:
    """Returns the seconds that a variable says; the default where it is not set, is empty, or is not above 0.

    Args:
        name: after SHOAL_TRAIN_ or RAY_TRAIN_.
        default: in seconds; None for no limit.

    Raises:
        InvalidArgumentError: (a ValueError) it is no number.
    """
    for prefix in ("SHOAL_TRAIN_", "RAY_TRAIN_"):
        value = os.environ.get(prefix + name)
        if not value:
            continue
        try:
            found = float(value)
        except ValueError:
            raise InvalidArgumentError(f"{prefix}{name} is {value!r}; give a number of seconds") from None
        return found if found > 0 else default
    return default
