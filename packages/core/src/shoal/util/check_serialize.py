"""Finding out what in an object cannot be pickled."""

from __future__ import annotations

from shoal._core.system.serializability import FailureTuple, inspect_serializability

__all__ = ["FailureTuple", "inspect_serializability"]
