"""Ray's names for small helpers, each in a file of its own."""

from shoal.tune.utils.checking import diagnose_serialization, validate_save_restore
from shoal.tune.utils.dicts import deep_update, flatten_dict, merge_dicts, unflatten_dict, unflattened_lookup
from shoal.tune.utils.gpus import wait_for_gpu
from shoal.tune.utils.times import date_str, warn_if_slow

__all__ = [
    "date_str",
    "deep_update",
    "diagnose_serialization",
    "flatten_dict",
    "merge_dicts",
    "unflatten_dict",
    "unflattened_lookup",
    "validate_save_restore",
    "wait_for_gpu",
    "warn_if_slow",
]
