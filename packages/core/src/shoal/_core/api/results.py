"""What `.remote(...)` returns, by `num_returns`."""

from __future__ import annotations

from typing import Any

from shoal._core.api.generator import ObjectRefGenerator
from shoal._core.schema.options import DYNAMIC, STREAMING


def shape_results(num_returns: int, results: Any) -> Any:
    """Returns an engine's answer as users get it: one reference, a list of them, None for none, or a generator."""
    if num_returns == STREAMING:
        return ObjectRefGenerator(results)
    if num_returns in (1, DYNAMIC):
        return results[0]
    return results if num_returns else None
