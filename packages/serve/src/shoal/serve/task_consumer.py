"""Deployments that work off a queue, which are not here: each name says what to use instead."""

from typing import Any

from shoal.serve._internal.schema.absent_names import absence


def __getattr__(name: str) -> Any:
    raise absence(__name__, name)
