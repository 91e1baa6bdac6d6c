"""Learning for the session what its workers import, so that the workers of later runs find it there."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.experimental import internal_kv, preload

_NAMESPACE = "shoal.train.preload"


def preload_once(modules: Sequence[str]) -> None:
    """Has modules imported for workers to come; once in a session, whoever asks."""
    new = [module for module in modules if not internal_kv._internal_kv_put(module, b"", False, namespace=_NAMESPACE)]
    if new:
        preload(new)
