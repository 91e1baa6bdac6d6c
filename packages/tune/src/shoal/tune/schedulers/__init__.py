"""Decide which trials run on, wait or end. Pure: results in, decisions out; time and chance come from outside."""

from shoal.tune.schedulers.async_hyperband import ASHAScheduler, AsyncHyperBandScheduler
from shoal.tune.schedulers.create_scheduler import create_scheduler
from shoal.tune.schedulers.hb_bohb import HyperBandForBOHB
from shoal.tune.schedulers.hyperband import HyperBandScheduler
from shoal.tune.schedulers.median_stopping_rule import MedianStoppingRule
from shoal.tune.schedulers.pbt import PopulationBasedTraining
from shoal.tune.schedulers.pbt_replay import PopulationBasedTrainingReplay
from shoal.tune.schedulers.resource_changing_scheduler import ResourceChangingScheduler
from shoal.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler

__all__ = [
    "ASHAScheduler",
    "AsyncHyperBandScheduler",
    "FIFOScheduler",
    "HyperBandForBOHB",
    "HyperBandScheduler",
    "MedianStoppingRule",
    "PopulationBasedTraining",
    "PopulationBasedTrainingReplay",
    "ResourceChangingScheduler",
    "TrialScheduler",
    "create_scheduler",
]
