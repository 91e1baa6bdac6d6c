"""Dask's collections on shoal: `dask.config.set(scheduler=shoal_dask_get)`, or `enable_dask_on_shoal()`."""

from __future__ import annotations

from shoal.util.dask.callbacks import ProgressBarCallback as ProgressBarCallback
from shoal.util.dask.callbacks import ShoalDaskCallback as ShoalDaskCallback
from shoal.util.dask.scheduler import disable_dask_on_shoal as disable_dask_on_shoal
from shoal.util.dask.scheduler import enable_dask_on_shoal as enable_dask_on_shoal
from shoal.util.dask.scheduler import shoal_dask_get as shoal_dask_get
from shoal.util.dask.scheduler import shoal_dask_get_sync as shoal_dask_get_sync
from shoal.util.dask.scheduler import shoal_dask_persist as shoal_dask_persist

RayDaskCallback = ShoalDaskCallback
disable_dask_on_ray = disable_dask_on_shoal
enable_dask_on_ray = enable_dask_on_shoal
ray_dask_get = shoal_dask_get
ray_dask_get_sync = shoal_dask_get_sync
ray_dask_persist = shoal_dask_persist

__all__ = [
    "ProgressBarCallback",
    "RayDaskCallback",
    "ShoalDaskCallback",
    "disable_dask_on_ray",
    "disable_dask_on_shoal",
    "enable_dask_on_ray",
    "enable_dask_on_shoal",
    "ray_dask_get",
    "ray_dask_get_sync",
    "ray_dask_persist",
    "shoal_dask_get",
    "shoal_dask_get_sync",
    "shoal_dask_persist",
]
