"""What is run as a trial: functions, classes, and what they are given along."""

from shoal.tune.trainable.function_trainable import FunctionTrainable, wrap_function
from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory
from shoal.tune.trainable.trainable import Trainable
from shoal.tune.trainable.with_parameters import with_parameters

__all__ = ["FunctionTrainable", "PlacementGroupFactory", "Trainable", "with_parameters", "wrap_function"]
