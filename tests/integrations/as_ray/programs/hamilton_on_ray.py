"""A program for Hamilton's Ray adapter and its task executor.

python -m shoal.as_ray hamilton_on_ray.py
"""

from __future__ import annotations

import os

import hamilton_flow
import ray
from hamilton import base, driver
from hamilton.execution import executors
from hamilton.plugins import h_ray


def main() -> None:
    ray.init(num_cpus=2)
    adapter = h_ray.RayGraphAdapter(result_builder=base.DictResult())
    flow = driver.Builder().with_modules(hamilton_flow).with_adapters(adapter).build()
    found = flow.execute(["spend_per_signup", "spend_over_mean", "process_of_table"], inputs={"count": 1})
    assert found["spend_per_signup"].tolist() == [10.0, 1.0, 0.4, 0.4]
    assert found["spend_over_mean"].tolist() == [0.5, 0.5, 1.0, 2.0]
    assert found["process_of_table"] != os.getpid()
    dynamic = (
        driver.Builder()
        .with_modules(hamilton_flow)
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_local_executor(executors.SynchronousLocalTaskExecutor())
        .with_remote_executor(h_ray.RayTaskExecutor(skip_init=True))
        .build()
    )
    assert dynamic.execute(["sum_of_squares"], inputs={"count": 10}) == {"sum_of_squares": 285}
    print(f"both ways agree, by {ray.ObjectRef.__module__.partition('.')[0]}")


if __name__ == "__main__":
    main()
