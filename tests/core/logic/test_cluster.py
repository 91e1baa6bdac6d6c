"""Who belongs to a session."""

from __future__ import annotations

import pytest

from shoal._core.logic.cluster import Cluster, JobEnded, NodeDied, NodeJoined
from shoal._core.logic.scheduling import NodeView
from shoal._core.schema.resources import UNIT, ResourceSet
from shoal.exceptions import ShoalSystemError


def view(name: bytes, free: float = 2, **labels: str) -> NodeView:
    total = dict(ResourceSet.parse({"CPU": 2, "node:10.0.0.1": 1}))
    return NodeView(name, total, total | {"CPU": int(free * UNIT)}, labels)


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.node_joined(view(b"a", region="north"), "unix:@a", 1.0, "host", is_head=True)
    return cluster


def test_joining(cluster: Cluster) -> None:
    assert cluster.node_joined(view(b"b"), "tcp:10.0.0.2:1", 2.0) == [NodeJoined(b"b")]
    assert [known.node_id for known in cluster.views()] == [b"a", b"b"]
    assert cluster.total()["CPU"] == 4 * UNIT
    cluster.check()
    with pytest.raises(ShoalSystemError, match="there is, or was, a node"):
        cluster.node_joined(view(b"b"), "tcp:10.0.0.2:1", 3.0)


def test_reports(cluster: Cluster) -> None:
    cluster.node_reported(view(b"a", 0))
    assert cluster.available() == {"node:10.0.0.1": UNIT}
    cluster.node_reported(view(b"unknown"))
    assert len(cluster.views()) == 1


def test_deaths(cluster: Cluster) -> None:
    cluster.job_started(b"job1", b"driver", b"a", 2.0, 17, "n", "train.py")
    told = cluster.node_died(b"a", "its connection ended", 3.0)
    assert told == [NodeDied(b"a", "its connection ended"), JobEnded(b"job1", b"driver")]
    assert cluster.views() == []
    assert cluster.total() == {}
    assert cluster.node_died(b"a", "again", 4.0) == []
    assert cluster.node_died(b"unknown", "", 4.0) == []
    cluster.node_reported(view(b"a"))
    assert cluster.views() == [], "news from the dead"
    assert cluster.explain() == "node 61 (unix:@a) is dead: its connection ended"
    assert cluster.story(b"a") == ["1.000 joined from unix:@a", "3.000 died: its connection ended"]
    cluster.check()


def test_jobs(cluster: Cluster) -> None:
    assert cluster.job_started(b"job1", b"driver", b"a", 2.0, 17, "n", "train.py") == []
    with pytest.raises(ShoalSystemError, match="a job"):
        cluster.job_started(b"job1", b"driver", b"a", 2.0)
    assert cluster.driver_gone(b"driver", 5.0) == [JobEnded(b"job1", b"driver")]
    assert cluster.driver_gone(b"driver", 6.0) == []
    assert cluster.story(b"job1") == ["2.000 started by process 17: train.py", "5.000 ended"]
    assert cluster.story(b"job2") == []
    cluster.check()


def test_what_exists(cluster: Cluster) -> None:
    assert cluster.explain() == "node 61 (unix:@a): 2 CPU, labels {'region': 'north'}"
    assert Cluster().explain() == "the session has no nodes"


def test_the_long_dead_are_forgotten(cluster: Cluster) -> None:
    for number in range(1100):
        name = b"n%d" % number
        cluster.node_joined(view(name), "", 1.0)
        cluster.job_started(name, name, name, 1.0)
        cluster.node_died(name, "", 2.0)
    cluster.check()
    assert len(cluster.members) == 1001
    assert len(cluster.jobs) == 1000
