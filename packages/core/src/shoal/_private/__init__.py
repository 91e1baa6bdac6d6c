"""Names of Ray's internals that programs import."""

from __future__ import annotations

from shoal._private import internal_api

__all__ = ["internal_api"]
