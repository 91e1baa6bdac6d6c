"""Ray's path of `TuneError`."""

from shoal.tune.exceptions import TuneError

__all__ = ["TuneError"]
