"""What Dask cannot do for shoal. Needs no Dask: the table in `docs/engines.md` is made of it."""

from __future__ import annotations

from shoal.engines import EngineLimits

DASK = EngineLimits(
    "dask",
    {
        "cancel_running": "Dask cannot stop a task that runs: let the task itself look (an actor that it asks, a file), or make it short. "
        "Tasks that wait, and calls of async actors, can be cancelled.",
        "deadlock_detection": "Give `get` a timeout: Dask waits for ever.",
        "force_cancel": "Dask cannot stop a task that runs: `client.restart_workers([address])` ends all of a worker's.",
        "infeasible_detection": "Give `get` a timeout: Dask waits for a worker that has what is asked for.",
        "lends_cpus": "A task that waits lends its thread, but keeps resources of its worker: let it ask for one CPU.",
        "memory_limits": "Limit the workers instead: `dask worker --memory-limit`.",
        "own_processes": "Actors of a worker are threads of its one process: give each worker one of some resource, and ask for it "
        "(`resources=`), to keep them apart.",
        "placement_groups": "Give the workers resources (`dask worker --resources`) and ask for them with `resources=`.",
        "runtime_env": "Dask's workers are prepared before: images, `dask.distributed.PipInstall`, `UploadDirectory`, `--preload`.",
        "shared_memory": "Workers have memory of their own; start fewer workers with more threads.",
        "state": "Look at Dask's dashboard (`client.dashboard_link`).",
        "zero_copy": "Between processes values travel over the network; within a worker they are read where they lie.",
    },
)
