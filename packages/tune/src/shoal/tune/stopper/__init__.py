"""End trials, and searches. Pure but for the clock of TimeoutStopper, which can be handed in."""

from shoal.tune.stopper.maximum_iteration import MaximumIterationStopper
from shoal.tune.stopper.plateau import ExperimentPlateauStopper, TrialPlateauStopper
from shoal.tune.stopper.stopper import CombinedStopper, FunctionStopper, NoopStopper, Stopper
from shoal.tune.stopper.threshold import ThresholdStopper, stopper_of
from shoal.tune.stopper.timeout import TimeoutStopper

__all__ = [
    "CombinedStopper",
    "ExperimentPlateauStopper",
    "FunctionStopper",
    "MaximumIterationStopper",
    "NoopStopper",
    "Stopper",
    "ThresholdStopper",
    "TimeoutStopper",
    "TrialPlateauStopper",
    "stopper_of",
]
