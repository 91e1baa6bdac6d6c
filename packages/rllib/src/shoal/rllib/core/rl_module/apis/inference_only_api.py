"""Modules with parts that actions do not need."""

from __future__ import annotations

import abc


class InferenceOnlyAPI(abc.ABC):
    """A module that environment runners hold without its critics and targets."""

    @abc.abstractmethod
    def get_non_inference_attributes(self) -> list[str]:
        """Returns names of attributes (`name` or `name.of.part`) that are dropped where only actions are computed."""
