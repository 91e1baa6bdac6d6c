"""A driver outside of the cluster: Ray Client (`ray://`)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

ray = pytest.importorskip(
    "ray", minversion="2.60", reason="the ray engine needs ray: pip install 'shoal-integrations[ray]'"
)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where a server for Ray Client listens, on the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cluster = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ray.util.client.server", "--mode", "legacy", "--address", cluster]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield f"ray://127.0.0.1:{port}"
    server.terminate()
    server.wait(timeout=30)


def run(program: str, address: str) -> dict[str, object]:
    """Runs a program as a driver that joins by Ray Client, and returns its findings."""
    head = (
        f"import json, shoal\nfrom shoal import engines\nshoal.init({address!r}, log_to_driver=False)\nfound = {{}}\n"
    )
    code = head + textwrap.dedent(program) + "\nshoal.shutdown()\nprint('found:' + json.dumps(found))\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.rpartition("found:")[2])
    return found


def test_tasks_actors_objects_and_groups(address: str) -> None:
    found = run(
        """
        from shoal.util.placement_group import placement_group, remove_placement_group

        @shoal.remote
        def add(x, y):
            return x + y

        @shoal.remote
        def look(holder):
            return shoal.get(holder["ref"]), {"new": shoal.put("new")}, engines.current().name

        @shoal.remote
        def fail():
            raise KeyError("no such thing")

        @shoal.remote
        class Counter:
            def __init__(self):
                self.sum = 0

            def add(self, n):
                self.sum += n
                return self.sum

        ref = shoal.put(2)
        found["add"] = shoal.get(add.remote(ref, add.remote(1, 1)))
        value, answer, name = shoal.get(look.remote({"ref": ref}))
        found["nested"] = [value, shoal.get(answer["new"]), name]
        counter = Counter.options(name="counted").remote()
        found["actor"] = shoal.get([counter.add.remote(n) for n in (1, 2)])
        found["named"] = shoal.get(shoal.get_actor("counted").add.remote(3))
        try:
            shoal.get(fail.remote())
        except KeyError as error:
            found["error"] = isinstance(error, shoal.exceptions.TaskError)
        ready, others = shoal.wait([add.remote(1, 1), ref], num_returns=2)
        found["wait"] = [len(ready), len(others)]
        found["future"] = add.remote(1, 1).future().result(60)
        waits = add.options(resources={"camera": 2}).remote(1, 1)
        shoal.cancel(waits)
        shoal.cancel(waits)
        try:
            shoal.get(waits)
        except shoal.exceptions.TaskCancelledError:
            found["cancelled"] = True
        group = placement_group([{"CPU": 1}])
        found["group"] = group.wait(60)
        remove_placement_group(group)
        found["cpus"] = shoal.cluster_resources()["CPU"]
        """,
        address,
    )
    assert found == {
        "add": 4,
        "nested": [2, "new", "ray"],
        "actor": [1, 3],
        "named": 6,
        "error": True,
        "wait": [2, 0],
        "future": 2,
        "cancelled": True,
        "group": True,
        "cpus": 4,
    }


def test_what_the_client_cannot_do_is_refused_at_the_call(address: str) -> None:
    found = run(
        """
        @shoal.remote
        def count():
            yield 1

        @shoal.remote
        class Counter:
            def count(self):
                yield 1

        found["capabilities"] = sorted(engines.CAPABILITIES.keys() - engines.current().capabilities)
        for name, call in (("task", count.remote), ("method", Counter.remote().count.remote)):
            try:
                call()
            except shoal.exceptions.NotSupportedByEngineError as error:
                found[name] = str(error)
        """,
        address,
    )
    from shoal.integrations.ray.limits import RAY_CLIENT

    assert found["capabilities"] == sorted(RAY_CLIENT.missing)
    for name in ("task", "method"):
        assert "on the ray engine is not supported" in str(found[name])
        assert "init('ray')" in str(found[name])


def test_code_in_the_cluster_is_not_limited(address: str) -> None:
    found = run(
        """
        @shoal.remote
        def consume():
            @shoal.remote
            def count(n):
                for i in range(n):
                    yield i

            return [shoal.get(ref) for ref in count.remote(3)]

        found["items"] = shoal.get(consume.remote())
        """,
        address,
    )
    assert found == {"items": [0, 1, 2]}


def test_a_cluster_that_is_not_there() -> None:

    code = "import shoal\nshoal.init('ray://127.0.0.1:1')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "SessionStartError" in done.stderr
    assert "ray://127.0.0.1:1" in done.stderr
