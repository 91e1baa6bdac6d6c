"""The rows about tasks, actors and objects: one function each.

A case knows nothing of what it measures but the module that it is given, `shoal` or `ray`, with a session started. Remote functions are
nested in the cases, so that they travel to the workers by value.
"""

# The module under test comes as Any, and so do its decorators.
# mypy: disable-error-code="untyped-decorator, attr-defined"

from __future__ import annotations

import gc
import os
from typing import Any

from process_tree import proportional_memory
from rows import Cases, Goal, Row, Size
from timing import per_second, seconds

CASES = Cases()

LARGE = 100_000_000  # bytes
MEBIBYTE = 2**20


@CASES.measures(
    Row(
        "tasks_sync",
        "tasks, one at a time",
        "tasks/s",
        "submit a task that returns 2 bytes, wait for it, submit the next",
        Goal(5_000),
        "floor_call",
    )
)
def tasks_sync(ray: Any, size: Size) -> float:
    task = small_task(ray)
    return per_second(lambda: ray.get(task.remote()), 1, size)


@CASES.measures(
    Row(
        "tasks_async",
        "tasks in batches of 1,000",
        "tasks/s",
        "submit 1,000 tasks, get all results, submit the next 1,000",
        Goal(30_000),
        "floor_call_100",
    )
)
def tasks_async(ray: Any, size: Size) -> float:
    task = small_task(ray)
    return per_second(lambda: ray.get([task.remote() for _ in range(1_000)]), 1_000, size)


@CASES.measures(
    Row(
        "tasks_50000",
        "50,000 tasks, wall time",
        "s",
        "submit 50,000 tasks at once and get all results (10,000 tasks and five times their time with --quick)",
        Goal(3),
        lower_is_better=True,
    ),
    limit=180,
)
def tasks_50000(ray: Any, size: Size) -> float:
    task = small_task(ray)
    count = size.count(50_000, 10_000)
    return seconds(lambda: ray.get([task.remote() for _ in range(count)])) * 50_000 / count


@CASES.measures(
    Row(
        "million_memory",
        "1,000,000 queued tasks, extra memory",
        "MiB",
        "most PSS of the whole process tree, looked at every 50,000 tasks while they are submitted and drained, less that before",
        Goal(2_048),
        lower_is_better=True,
    ),
    Row(
        "million_wall",
        "1,000,000 queued tasks, wall time",
        "s",
        "from the first submitted to the last result (100,000 tasks, not scaled, with --quick)",
        lower_is_better=True,
    ),
    limit=1_800,
    alone=True,
    on_request=True,
)
def million_tasks(ray: Any, size: Size) -> tuple[float, float]:
    task = small_task(ray)
    count, step = size.count(1_000_000, 100_000), 50_000
    before = most = proportional_memory(os.getpid())
    refs: list[Any] = []

    def submit_and_drain() -> None:
        nonlocal most
        for _ in range(count // step):
            refs.extend(task.remote() for _ in range(step))
            most = max(most, proportional_memory(os.getpid()))
        for index in range(0, count, step):
            ray.get(refs[index : index + step])
            most = max(most, proportional_memory(os.getpid()))

    wall = seconds(submit_and_drain)
    return (most - before) / MEBIBYTE, wall


@CASES.measures(
    Row(
        "actor_sync",
        "actor calls, one at a time",
        "calls/s",
        "call a method that returns 2 bytes, wait for it, call again",
        Goal(6_000),
        "floor_call",
    )
)
def actor_sync(ray: Any, size: Size) -> float:
    actor = small_actor(ray).remote()
    return per_second(lambda: ray.get(actor.call.remote()), 1, size)


@CASES.measures(
    Row(
        "actor_async",
        "actor calls in batches of 1,000",
        "calls/s",
        "1,000 calls of one actor, get all results, the next 1,000",
        Goal(40_000),
        "floor_call_100",
    )
)
def actor_async(ray: Any, size: Size) -> float:
    actor = small_actor(ray).remote()
    return per_second(lambda: ray.get([actor.call.remote() for _ in range(1_000)]), 1_000, size)


@CASES.measures(
    Row(
        "async_actor",
        "async actor calls in batches of 1,000",
        "calls/s",
        "the same with an actor whose method is a coroutine",
        Goal(20_000),
        "floor_call_100",
    )
)
def async_actor(ray: Any, size: Size) -> float:
    @ray.remote(num_cpus=0)
    class Actor:
        async def call(self) -> bytes:
            return b"ok"

    actor = Actor.remote()
    return per_second(lambda: ray.get([actor.call.remote() for _ in range(1_000)]), 1_000, size)


@CASES.measures(
    Row(
        "actors_n_to_n",
        "actor calls, 2 callers to 2 actors",
        "calls/s",
        "two tasks at the same time, each with batches of 500 calls to each of two actors",
        Goal(40_000),
    )
)
def actors_n_to_n(ray: Any, size: Size) -> float:
    actors = [small_actor(ray).remote() for _ in range(2)]

    @ray.remote
    def caller(actors: list[Any], batches: int) -> None:
        for _ in range(batches):
            ray.get([actor.call.remote() for _ in range(500) for actor in actors])

    batches = size.count(10, 2)
    return per_second(lambda: ray.get([caller.remote(actors, batches) for _ in range(2)]), 2 * batches * 1_000, size)


@CASES.measures(
    Row(
        "actor_churn",
        "actors created, called and killed",
        "actors/s",
        "create an actor, call it once, kill it, one after the other",
        Goal(60),
        "floor_forks",
    ),
    limit=120,
)
def actor_churn(ray: Any, size: Size) -> float:
    actor_class = small_actor(ray)

    def one_life() -> None:
        actor = actor_class.remote()
        ray.get(actor.call.remote())
        ray.kill(actor)

    return per_second(one_life, 1, size)


@CASES.measures(
    Row(
        "actors_100_wall",
        "100 actors until each has answered",
        "s",
        "create 100 actors at once and get one call's result from each (10 actors and ten times their time with --quick)",
        Goal(1.5),
        lower_is_better=True,
    ),
    Row(
        "actors_100_memory",
        "memory of each of 100 actors",
        "MiB",
        "PSS of the process tree with the actors, less that before, for each of them",
        Goal(15),
        lower_is_better=True,
    ),
    limit=600,
    alone=True,
)
def actors_100(ray: Any, size: Size) -> tuple[float, float]:
    actor_class = small_actor(ray)
    count = size.count(100, 10)
    ray.get(small_task(ray).remote())
    before = proportional_memory(os.getpid())
    actors: list[Any] = []

    def create_and_call() -> None:
        actors.extend(actor_class.remote() for _ in range(count))
        ray.get([actor.call.remote() for actor in actors])

    wall = seconds(create_and_call)
    return wall * 100 / count, (proportional_memory(os.getpid()) - before) / count / MEBIBYTE


@CASES.measures(
    Row(
        "put_large",
        "put of 100 MB",
        "GB/s",
        "put a numpy array of 100 MB and drop the reference, again and again; only the put is timed",
        Goal(0.75, of_floor=True),
        "floor_memcpy",
    )
)
def put_large(ray: Any, size: Size) -> float:
    import numpy as np

    array = np.ones(LARGE, np.uint8)
    for _ in range(3):
        ray.put(array)
    count = size.count(20, 5)
    total = sum(seconds(lambda: ray.put(array)) for _ in range(count))
    return count * LARGE / 1e9 / total


@CASES.measures(
    Row(
        "return_large",
        "task that returns 100 MB",
        "GB/s",
        "submit a task that returns an array of 100 MB which its worker holds already, and get it",
        Goal(4),
        "floor_memcpy",
    )
)
def return_large(ray: Any, size: Size) -> float:
    @ray.remote
    def large_result(length: int) -> Any:
        import sys

        import numpy as np

        # Kept in the worker: making an array of fresh pages takes longer than what is measured here.
        kept: dict[int, Any] = sys.__dict__.setdefault("_benchmark_arrays", {})
        if length not in kept:
            kept[length] = np.ones(length, np.uint8)
        return kept[length]

    def fetch() -> None:
        assert ray.get(large_result.remote(LARGE))[-1] == 1

    for _ in range(3 * size.cpus):
        fetch()
    return per_second(fetch, LARGE / 1e9, size)


@CASES.measures(
    Row("get_small", "get of a small value", "gets/s", "get the same small object again and again", Goal(200_000))
)
def get_small(ray: Any, size: Size) -> float:
    ref = ray.put(b"ok")

    def get_many() -> None:
        for _ in range(100):
            ray.get(ref)

    return per_second(get_many, 100, size)


@CASES.measures(Row("put_small", "put of a small value", "puts/s", "put 2 bytes and drop the reference", Goal(50_000)))
def put_small(ray: Any, size: Size) -> float:
    def put_many() -> None:
        for _ in range(100):
            ray.put(b"ok")

    return per_second(put_many, 100, size)


@CASES.measures(
    Row(
        "refs_as_arguments",
        "task with 10,000 references as arguments",
        "tasks/s",
        "call a task with 10,000 references to small objects, and wait for it",
        Goal(10),
    ),
    limit=120,
)
def refs_as_arguments(ray: Any, size: Size) -> float:
    @ray.remote
    def count(*values: bytes) -> int:
        return len(values)

    refs = [ray.put(b"ok") for _ in range(10_000)]
    return per_second(lambda: ray.get(count.remote(*refs)), 1, size)


@CASES.measures(
    Row(
        "list_of_refs",
        "get of a list of 10,000 references",
        "gets/s",
        "get an object that is a list of 10,000 references to small objects",
        Goal(50),
    ),
    limit=120,
)
def list_of_refs(ray: Any, size: Size) -> float:
    refs = [ray.put(b"ok") for _ in range(10_000)]
    listed = ray.put(refs)
    return per_second(lambda: ray.get(listed), 1, size)


@CASES.measures(
    Row(
        "wait_loop",
        "wait loop over 1,000 references",
        "refs/s",
        "submit 1,000 tasks, then call wait for one at a time until none is left; the loop is timed",
        Goal(30_000),
    ),
    Row(
        "wait_loop_and_submit",
        "the same, submitting included",
        "refs/s",
        "from the first submit to the last wait",
    ),
)
def wait_loop(ray: Any, size: Size) -> tuple[float, float]:
    task = small_task(ray)
    refs: list[Any] = []

    def submit() -> None:
        refs[:] = [task.remote() for _ in range(1_000)]

    def wait_for_all() -> None:
        pending = refs
        while pending:
            _, pending = ray.wait(pending)

    submit()
    wait_for_all()
    submitting = waiting = 0.0
    rounds = size.count(10, 2)
    for _ in range(rounds):
        submitting += seconds(submit)
        waiting += seconds(wait_for_all)
    return rounds * 1_000 / waiting, rounds * 1_000 / (submitting + waiting)


def small_task(ray: Any) -> Any:
    """A task that does nothing and returns 2 bytes; one has been run on each worker."""

    @ray.remote
    def task() -> bytes:
        return b"ok"

    gc.collect()
    ray.get([task.remote() for _ in range(100)])
    return task


def small_actor(ray: Any) -> Any:
    """A class whose method does nothing and returns 2 bytes. It holds no CPU, so that any number fits."""

    @ray.remote(num_cpus=0)
    class Actor:
        def call(self) -> bytes:
            return b"ok"

    return Actor
