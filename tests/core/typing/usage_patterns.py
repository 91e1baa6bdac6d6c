"""What users write, as type checkers see it. Nothing here runs: it must be clean under `mypy --strict` and `pyright`.

Each pattern says what it is; `assert_type` holds the checkers to what they infer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import PurePath
from typing import Any, TypeVar, assert_type

import shoal
from shoal import ObjectRef, ObjectRefGenerator
from shoal.actor import ActorClass, ActorHandle, ActorProxy
from shoal.dag import InputNode, MultiOutputNode
from shoal.remote_function import RemoteFunction
from shoal.util.placement_group import PlacementGroup, placement_group
from shoal.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

T = TypeVar("T")


# 1. A function without arguments.
@shoal.remote
def nothing() -> None:
    return None


assert_type(nothing.remote(), ObjectRef[None])


# 2. Arguments by position, by name, and left out.
@shoal.remote
def train(rows: list[float], epochs: int = 1, *, rate: float = 0.1) -> str:
    return f"{len(rows)} {epochs} {rate}"


assert_type(train.remote([1.0]), ObjectRef[str])
assert_type(train.remote([1.0], 2), ObjectRef[str])
assert_type(train.remote([1.0], epochs=2, rate=0.5), ObjectRef[str])

# 3. References in place of values, mixed with values by position and name.
rows = shoal.put([1.0, 2.0])
assert_type(rows, ObjectRef[list[float]])
assert_type(train.remote(rows), ObjectRef[str])
assert_type(train.remote(rows, 3), ObjectRef[str])
assert_type(train.remote(rows, shoal.put(3)), ObjectRef[str])
assert_type(train.remote(rows, rate=0.5), ObjectRef[str])
assert_type(train.remote([1.0], shoal.put(3), rate=0.5), ObjectRef[str])

# 4. Getting one value.
assert_type(shoal.get(train.remote(rows)), str)

# 5. Getting with a time limit.
assert_type(shoal.get(train.remote(rows), timeout=10), str)

# 6. Getting a list.
assert_type(shoal.get([train.remote(rows) for _ in range(3)]), list[str])


# 7. A chain of tasks.
@shoal.remote
def length(text: str) -> int:
    return len(text)


assert_type(shoal.get(length.remote(train.remote(rows))), int)


# 8. Any number of arguments.
@shoal.remote
def total(*numbers: float) -> float:
    return sum(numbers)


assert_type(total.remote(1.0, 2.0, 3.0), ObjectRef[float])
assert_type(total.remote(shoal.put(1.0), shoal.put(2.0)), ObjectRef[float])


# 9. Any names.
@shoal.remote
def settings(**values: int) -> dict[str, int]:
    return values


assert_type(settings.remote(a=1, b=2), ObjectRef[dict[str, int]])


# 10. Ten arguments.
@shoal.remote
def ten(a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int, i: int, j: str) -> str:
    return j


one = shoal.put(1)
assert_type(ten.remote(1, 2, 3, 4, 5, 6, 7, 8, 9, "j"), ObjectRef[str])
assert_type(ten.remote(one, one, one, one, one, one, one, one, one, shoal.put("j")), ObjectRef[str])


# 11. Options where the function is defined.
@shoal.remote(num_cpus=2, max_retries=5, retry_exceptions=[OSError])
def download(url: str) -> bytes:
    return url.encode()


assert_type(download.remote("https://example.org"), ObjectRef[bytes])

# 12. Options at the call.
assert_type(download.options(num_cpus=1, name="fetch").remote("https://example.org"), ObjectRef[bytes])
assert_type(download.options(runtime_env={"env_vars": {"A": "1"}}).remote("x"), ObjectRef[bytes])


# 13. Several results.
@shoal.remote(num_returns=2)
def split(text: str) -> tuple[str, str]:
    return text[:1], text[1:]


first, second = split.remote("ab")
assert_type(first, ObjectRef[Any])
assert_type(split.remote(shoal.put("ab")), list[ObjectRef[Any]])


# 14. The number of results at the call; none of them.
@shoal.remote
def pair() -> tuple[int, int]:
    return 1, 2


assert_type(pair.remote(), ObjectRef[tuple[int, int]])
assert_type(pair.options(num_returns=2).remote(), list[ObjectRef[Any]])
assert_type(nothing.options(num_returns=0).remote(), None)


# 15. A generator.
@shoal.remote
def count(n: int) -> Iterator[int]:
    yield from range(n)


assert_type(count.remote(3), ObjectRefGenerator[int])
for ref in count.remote(shoal.put(3)):
    assert_type(ref, ObjectRef[int])
    assert_type(shoal.get(ref), int)


# 16. A generator that is declared as one, streaming on request.
@shoal.remote(num_returns="streaming")
def lines(path: str) -> Generator[str, None, None]:
    yield path


assert_type(lines.remote("a"), ObjectRefGenerator[Any])
assert_type(next(count.remote(1)), ObjectRef[int])
assert_type(count.remote(1).completed(), ObjectRef[Any])

# 17. Waiting.
pending = [length.remote(word) for word in ("a", "b")]
while pending:
    ready, pending = shoal.wait(pending, num_returns=1, timeout=5)
    assert_type(ready, list[ObjectRef[int]])

# 18. Waiting for generators.
streams, _ = shoal.wait([count.remote(1), count.remote(2)])
assert_type(streams, list[ObjectRefGenerator[int]])

# 19. Cancelling.
shoal.cancel(length.remote("a"), force=True)
shoal.cancel(count.remote(1))


# 20. Awaiting.
async def waits() -> None:
    assert_type(await length.remote("a"), int)
    assert_type(await asyncio.gather(*[length.remote("a"), length.remote("b")]), list[int])
    async for item in count.remote(2):
        assert_type(item, ObjectRef[int])
    assert_type(await asyncio.wait_for(length.remote("a"), 5), int)


# 21. Futures.
assert_type(length.remote("a").future().result(), int)


# 22. A function whose result is not known: anything.
def unknown(a: Any, b: int = 1) -> Any:
    return a[b]


assert_type(shoal.get(shoal.remote(unknown).remote([1, 2])), Any)


# 23. A function over any type.
@shoal.remote
def identity(value: T) -> T:
    return value


identity.remote(1)
identity.remote(shoal.put("a"))

# 24. A lambda.
double = shoal.remote(lambda: 2)
assert_type(shoal.get(double.remote()), int)


# 25. A remote function as an argument and in an annotation.
def twice(function: RemoteFunction[Any, ObjectRef[int]]) -> list[int]:
    return shoal.get([function.remote("a"), function.remote("b")])


twice(length)


def call(function: RemoteFunction) -> Any:
    return shoal.get(function.remote(1, 2))


call(train)


# 26. An actor class without annotations of its methods' calls: every method will do.
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.sum = start

    def plain(self, n: int) -> int:
        return self.add(n)

    @shoal.method
    def add(self, n: int, *, times: int = 1) -> int:
        self.sum += n * times
        return self.sum

    @shoal.method
    async def slowly(self, n: int) -> int:
        return self.sum + n

    @shoal.method
    def items(self, n: int) -> Iterator[int]:
        yield from range(n)

    @shoal.method
    async def later(self) -> AsyncIterator[str]:
        yield "a"

    @shoal.method(num_returns=2, concurrency_group="io")
    def both(self) -> tuple[int, int]:
        return 1, 2

    def __len__(self) -> int:
        return self.sum

    @shoal.method(retry_exceptions=True)
    def retried(self, text: str) -> str:
        return text


CounterActor = shoal.remote(Counter)
assert_type(CounterActor, ActorClass[Counter])
counter = CounterActor.remote(10)
assert_type(counter, ActorHandle[Counter])
counter.plain.remote(1)
shoal.get(counter.add.remote(1))


# 27. A handle whose calls are checked: decorated methods, with values and references.
def use(counter: ActorProxy[Counter]) -> None:
    assert_type(counter.add.remote(1), ObjectRef[int])
    assert_type(counter.add.remote(1, times=2), ObjectRef[int])
    assert_type(counter.add.remote(shoal.put(1)), ObjectRef[int])
    assert_type(counter.add.remote(shoal.put(1), times=2), ObjectRef[int])
    assert_type(shoal.get(counter.add.remote(1)), int)


use(counter)


# 28. Async methods, generators and options of methods under check.
def use_more(counter: ActorProxy[Counter]) -> None:
    assert_type(counter.slowly.remote(1), ObjectRef[int])
    assert_type(counter.items.remote(3), ObjectRefGenerator[int])
    assert_type(counter.later.remote(), ObjectRefGenerator[str])
    assert_type(counter.both.remote(), list[ObjectRef[Any]])
    assert_type(counter.retried.remote("a"), ObjectRef[str])


# 29. The class itself stays an ordinary class.
local = Counter(1)
assert_type(local.add(2, times=3), int)
assert_type(local.plain(1), int)

# 30. Options of actors.
named = CounterActor.options(name="counter", lifetime="detached", max_restarts=-1, num_cpus=0).remote()
assert_type(named, ActorHandle[Counter])

# 31. Options of one call.
shoal.get(counter.add.options(name="add", max_task_retries=2).remote(1))

# 32. Looking an actor up, ending one.
found: ActorHandle[Counter] = shoal.get_actor("counter", namespace="mine")
use(shoal.get_actor("counter"))
shoal.kill(found, no_restart=False)


# 33. A handle in annotations, with and without its class.
def start(handles: list[ActorHandle[Counter]], other: ActorHandle) -> ObjectRef[Any]:
    ref: ObjectRef[Any] = other.anything.remote(len(handles))
    return ref


start([counter, named], counter)

# 34. Methods of every actor.
shoal.get(counter.__ray_ready__.remote())
shoal.get(counter.__shoal_call__.remote(Counter.__len__))
counter.__ray_terminate__.remote()


# 35. Actors that hold actors.
class Pool:
    def __init__(self, size: int) -> None:
        self.workers = [CounterActor.remote(index) for index in range(size)]
        self.first: ActorHandle[Counter] = self.workers[0]

    def sum(self) -> int:
        return sum(shoal.get([worker.add.remote(1) for worker in self.workers]))


# 36. A session.
with shoal.init(num_cpus=2, namespace="mine", runtime_env={"env_vars": {"A": "1"}}) as context:
    assert_type(context["node_id"], Any)
    assert_type(context.dashboard_url, str)
assert_type(shoal.is_initialized(), bool)
shoal.shutdown()

# 37. What the session has.
assert_type(shoal.cluster_resources()["CPU"], float)
assert_type(shoal.nodes(), list[dict[str, Any]])

# 38. Where code runs.
runtime = shoal.get_runtime_context()
assert_type(runtime.get_node_id(), str)
assert_type(runtime.get_actor_id(), str | None)

# 39. Placement.
group = placement_group([{"CPU": 1}], strategy="PACK")
assert_type(group, PlacementGroup)
length.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote("a")
length.options(scheduling_strategy=NodeAffinitySchedulingStrategy(runtime.get_node_id(), soft=True)).remote("a")
length.options(scheduling_strategy="SPREAD", label_selector={"zone": "in(a, b)"}).remote("a")

# 40. Graphs.
with InputNode() as value:
    graph = MultiOutputNode([length.bind(value), length.bind(value.name)])
graph.execute("a")

# 41. Errors.
try:
    shoal.get(length.remote("a"), timeout=1)
except shoal.exceptions.GetTimeoutError:
    pass
except shoal.exceptions.RayTaskError as error:
    assert_type(error.cause, BaseException | None)

# 42. Results in the order in which they are ready.
for number in shoal.util.as_completed([length.remote("a")]):
    print(number)
for number in shoal.util.map_unordered(length, ["a", "b"]):
    print(number)

# 43. Classes and functions of other modules, made remote where they are used.
maximum = shoal.remote(max)
path = shoal.remote(PurePath).remote("a", "b")
assert_type(path, ActorHandle[PurePath])
