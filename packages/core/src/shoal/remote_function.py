"""Remote functions, for `isinstance` and type hints."""

from __future__ import annotations

from shoal._core.api.remote_function import RemoteFunction

__all__ = ["RemoteFunction"]
