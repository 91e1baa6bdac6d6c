"""Ray's path of `PlacementGroupFactory`."""

from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory

__all__ = ["PlacementGroupFactory"]
