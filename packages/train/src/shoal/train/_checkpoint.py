"""Checkpoints, where pages of Ray's import them from."""

from __future__ import annotations

from shoal.train.checkpoint import Checkpoint

__all__ = ["Checkpoint"]
