"""Ray's path of `PlacementGroupFactory`."""
