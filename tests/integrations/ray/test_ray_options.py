"""Options in Ray's words: no cluster is needed for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal import engines
from shoal.exceptions import InvalidOptionError

pytest.importorskip("ray", minversion="2.60", reason="the ray engine needs ray: pip install 'shoal-integrations[ray]'")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """Templates are made by a session in this process."""
    shoal.shutdown()
    shoal.init(local_mode=True)
    yield
    shoal.shutdown()


class Recorder:
    """Stands for an engine, and keeps the templates that it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.template: Any = None
        engine: Any = engines.current()

        def keep(template: Any, *_: Any) -> Any:
            self.template = template
            return [shoal.put(None)]

        monkeypatch.setattr(engine, "submit_task", keep)
        monkeypatch.setattr(engine, "create_actor", keep)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


def task_keywords(recorder: Recorder, **options: Any) -> dict[str, Any]:
    from shoal.integrations.ray.options import task_keywords

    @shoal.remote
    def work() -> None:
        pass

    work.options(**options).remote()
    return task_keywords(recorder.template.options, recorder.template.name)


def actor_keywords(recorder: Recorder, **options: Any) -> dict[str, Any]:
    from shoal.integrations.ray.options import actor_keywords

    class Worker:
        pass

    remote: Any = shoal.remote(Worker)
    remote.options(**options).remote() if options else remote.remote()
    return actor_keywords(recorder.template.options)


def test_a_task_has_one_cpu_and_its_name(recorder: Recorder) -> None:
    keywords = task_keywords(recorder)
    assert keywords["num_cpus"] == 1
    assert keywords["name"].endswith("work")
    assert keywords["num_returns"] == 1
    assert keywords["max_retries"] == 3
    assert keywords["scheduling_strategy"] == "DEFAULT"
    assert "resources" not in keywords


def test_resources_of_a_task(recorder: Recorder) -> None:
    keywords = task_keywords(recorder, num_cpus=0, num_gpus=0.5, memory=1e9, resources={"camera": 2})
    assert (keywords["num_cpus"], keywords["num_gpus"], keywords["memory"]) == (0, 0.5, 1_000_000_000)
    assert keywords["resources"] == {"camera": 2}


@pytest.mark.parametrize(("given", "expected"), [("streaming", "streaming"), ("dynamic", "dynamic"), (3, 3), (0, 0)])
def test_numbers_of_results(given: Any, expected: Any) -> None:
    from shoal.integrations.ray.options import num_returns

    number = {"streaming": engines.STREAMING, "dynamic": engines.DYNAMIC}.get(given, given)
    assert num_returns(number) == expected


def test_strategies(recorder: Recorder) -> None:
    from ray.util import scheduling_strategies as of_ray

    from shoal.util.scheduling_strategies import Exists, NodeAffinitySchedulingStrategy, NodeLabelSchedulingStrategy

    assert task_keywords(recorder, scheduling_strategy="SPREAD")["scheduling_strategy"] == "SPREAD"
    node = NodeAffinitySchedulingStrategy("ab" * 28, soft=True)
    affinity = task_keywords(recorder, scheduling_strategy=node)["scheduling_strategy"]
    assert isinstance(affinity, of_ray.NodeAffinitySchedulingStrategy)
    assert (affinity.node_id, affinity.soft) == ("ab" * 28, True)
    labels = task_keywords(recorder, scheduling_strategy=NodeLabelSchedulingStrategy({"gpu": Exists()}))
    assert isinstance(labels["scheduling_strategy"], of_ray.NodeLabelSchedulingStrategy)


def test_an_actor_that_asks_for_nothing_leaves_the_rule_to_ray(recorder: Recorder) -> None:
    assert "num_cpus" not in actor_keywords(recorder)
    assert actor_keywords(recorder, num_cpus=0)["num_cpus"] == 0
    assert actor_keywords(recorder, num_cpus=2)["num_cpus"] == 2


def test_options_of_an_actor(recorder: Recorder) -> None:
    keywords = actor_keywords(
        recorder,
        name="n",
        namespace="space",
        lifetime="detached",
        max_restarts=2,
        max_task_retries=1,
        max_concurrency=3,
        max_pending_calls=9,
        concurrency_groups={"io": 2},
    )
    assert keywords["name"] == "n"
    assert keywords["namespace"] == "space"
    assert keywords["lifetime"] == "detached"
    assert (keywords["max_restarts"], keywords["max_task_retries"], keywords["max_pending_calls"]) == (2, 1, 9)
    assert keywords["max_concurrency"] == 3
    assert "concurrency_groups" not in keywords  # Ray takes them with the class only


def test_what_a_cluster_elsewhere_has_cannot_be_chosen() -> None:
    from shoal.integrations.ray.joining import join

    request = engines.SessionRequest(kind="adapter", scheme="ray", address="ray://127.0.0.1:1", num_cpus=2)
    with pytest.raises(InvalidOptionError, match=r"num_cpus.*ray://127\.0\.0\.1:1"):
        join(request)


def test_what_is_said_of_the_job_reaches_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from shoal.integrations.ray.joining import join

    said: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", said.update)
    logging = {"encoding": "JSON", "log_level": "INFO", "additional_log_standard_attrs": []}
    join(engines.SessionRequest(scheme="ray", address="ray", metadata={"owner": "me"}, logging=logging))
    assert said["job_config"].metadata == {"owner": "me"}
    assert said["logging_config"].encoding == "JSON"
    assert "address" not in said
    assert "dashboard_host" not in said
