"""Unmodified programs for Ray, run on shoal."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
    import sys
    import ray
    from ray.util.queue import Queue
    import ray.util.state

    ray.init(num_cpus=2)

    @ray.remote
    def where():
        import ray as inner
        from ray.exceptions import RayTaskError
        return inner.__version__, issubclass(RayTaskError, Exception), inner.get_runtime_context().get_task_id() is not None

    @ray.remote(max_restarts=1)
    class Counter:
        def __init__(self):
            self.count = 0

        def add(self):
            self.count += 1
            return self.count

    counter = Counter.remote()
    ray.get([counter.add.remote() for _ in range(3)])
    queue = Queue()
    queue.put("item")
    print(ray.get(where.remote()), ray.get(counter.add.remote()), queue.get(), sys.argv[1:])
    """


def run(folder: Path, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = folder / "program.py"
    path.write_text(textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, "-m", "shoal.as_ray", str(path), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **variables},
    )


def test_a_program_runs_with_its_arguments(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM, "one", "--two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "('2.60.0', True, True) 4 item ['one', '--two']"


def test_a_module_that_workers_import_may_import_ray(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("import ray\n\ndef version():\n    return ray.__version__\n")
    done = run(
        tmp_path,
        """
        import ray
        import part

        print(ray.get(ray.remote(part.version).remote()))
        """,
    )
    assert done.stdout.strip() == "2.60.0", done.stderr


def test_rays_variables_count(tmp_path: Path) -> None:
    done = run(tmp_path, "import ray; ray.init(); print(ray.get_runtime_context().namespace)", RAY_NAMESPACE="mine")
    assert done.stdout.strip() == "mine", done.stderr


def test_a_class_is_the_same_under_both_names(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import ray.util.placement_group, shoal.util.placement_group, sys
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as Theirs
        from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy as Ours

        assert Theirs is Ours
        import ray._raylet
        from ray._private.services import get_node_ip_address
        from ray.util.client.common import ClientObjectRef
        assert ray._raylet.ObjectRef is ray.ObjectRef is not ClientObjectRef
        assert shoal.util.queue.__spec__.name == "shoal.util.queue" if hasattr(shoal.util, "queue") else True
        assert sys.modules["ray.util.scheduling_strategies"].__spec__.name == "shoal.util.scheduling_strategies"
        import importlib.metadata
        print(importlib.metadata.version("ray"))
        """,
    )
    assert done.stdout.strip() == "2.60.0", done.stderr


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("import ray; ray.no_such_name", "AttributeError: shoal, which stands in for Ray here, has no `no_such_name`"),
        (
            "import ray.no_such_part",
            "ModuleNotFoundError: shoal, which stands in for Ray here, has no module 'shoal.no_such_part'",
        ),
        ("from ray.util import no_such", "cannot import name 'no_such' from 'shoal.util'"),
        ("import ray._raylet; ray._raylet.no_such", "stands in for Ray here, has no `ray._raylet.no_such`"),
        ("import ray.util.client; ray.util.client.ray", "stands in for Ray here, has no `ray.util.client.ray`"),
        ("import ray.cluster_utils", "The module shoal.cluster_utils is not supported"),
    ],
)
def test_what_shoal_does_not_have_is_named(tmp_path: Path, line: str, error: str) -> None:
    done = run(tmp_path, line)
    assert done.returncode == 1
    assert error in done.stderr


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shoal.as_ray", str(tmp_path / "none.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "there is no program" in done.stderr


def test_a_module_runs(tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text("import ray, sys; print(ray.__version__, sys.argv[1:])")
    done = subprocess.run(
        [sys.executable, "-m", "shoal.as_ray", "-m", "tool", "x"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "2.60.0 ['x']", done.stderr


def test_ray_must_not_be_imported_before(tmp_path: Path) -> None:
    program = """
        import sys, types
        sys.modules["ray"] = types.ModuleType("ray")
        import shoal.as_ray
        shoal.as_ray.install()
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert "ray is imported already" in done.stderr
