"""AIR's name for the module of checkpoints."""

from shoal.train.checkpoint import Checkpoint

__all__ = ["Checkpoint"]
