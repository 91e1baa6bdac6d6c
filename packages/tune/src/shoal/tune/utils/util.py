"""Ray's place for these names."""

from shoal.tune.utils.dicts import deep_update, flatten_dict, merge_dicts, unflatten_dict, unflattened_lookup
from shoal.tune.utils.gpus import wait_for_gpu
from shoal.tune.utils.times import date_str, warn_if_slow
from shoal.tune.utils.warmstart import validate_warmstart

__all__ = [
    "date_str",
    "deep_update",
    "flatten_dict",
    "merge_dicts",
    "unflatten_dict",
    "unflattened_lookup",
    "validate_warmstart",
    "wait_for_gpu",
    "warn_if_slow",
]
