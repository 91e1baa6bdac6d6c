"""What a router does with calls, in any order in which it hears of replicas and of answers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from shoal.exceptions import ActorDiedError, TaskError
from shoal.serve._internal.process.replica_line import LineLost
from shoal.serve._internal.process.router import Call, Router
from shoal.serve._internal.schema.deployments import NOWHERE, DeploymentId, DeploymentTargets, ReplicaInfo
from shoal.serve._internal.schema.requests import Busy, Lost, RequestMeta
from shoal.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
    RequestCancelledError,
)

GONE = DeploymentTargets((), gone="it was deleted")


class FakeLink:
    """Tells its one listener what the test says."""

    def listen(self, key: str, listener: Any, lost: Any) -> None:
        self.tell, self.lose = listener, lost

    def look_again(self, key: str) -> None:
        self.lose(ActorDiedError("killed"))


class FakeActor:
    """A replica that has what it was sent, and answers when the test says so."""

    def __init__(self) -> None:
        self.answers: list[Future[Any]] = []
        self.refuses: Exception | None = None
        self.heard: list[str] = []
        self.before_call: Callable[[], None] = lambda: None
        self.recovered: Future[Any] = Future()
        self.fails: Exception = ActorDiedError("killed")

    @property
    def call(self) -> Any:
        return self

    @property
    def cancel(self) -> Any:
        return SimpleNamespace(remote=lambda call_id: self.heard.append("cancel"))

    @property
    def next_items(self) -> Any:
        asked: Future[Any] = Future()
        asked.set_exception(self.fails)
        self.heard.append("next")
        return SimpleNamespace(remote=lambda call_id: SimpleNamespace(future=lambda: asked))

    @property
    def recover(self) -> Any:
        self.recovered = Future()
        return SimpleNamespace(remote=lambda call_id: SimpleNamespace(as_future=lambda: self.recovered))

    def remote(self, *args: Any) -> Any:
        if self.refuses is not None:
            raise self.refuses
        self.before_call()
        self.heard.append("call")
        self.answers.append(Future())
        return self

    def future(self) -> Future[Any]:
        return self.answers[-1]


class Told:
    """What became of a call."""

    def __init__(self, router: Router, may_repeat: bool = False) -> None:
        self.outcomes: list[tuple[Any, BaseException | None]] = []
        meta = RequestMeta("request", "call", "app")
        self.call = Call(meta, (), {}, "call", lambda *outcome: self.outcomes.append(outcome), may_repeat)
        router.submit(self.call)

    @property
    def error(self) -> BaseException | None:
        ((value, error),) = self.outcomes
        assert value is None
        return error


@pytest.fixture
def link() -> Any:
    return FakeLink()


@pytest.fixture
def router(link: Any) -> Router:
    return Router(DeploymentId("app", "One"), link)


def serving(*actors: FakeActor) -> DeploymentTargets:
    return DeploymentTargets(tuple(ReplicaInfo(f"app#One#{i}", actor, 1, NOWHERE) for i, actor in enumerate(actors)))


def test_who_waits_when_the_deployment_goes_is_told(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told, waits = Told(router), Told(router)
    link.tell(GONE)
    assert isinstance(waits.error, DeploymentUnavailableError)
    assert not told.outcomes
    assert router.load == 1


def test_who_is_about_to_be_sent_takes_no_place_in_the_queue(
    router: Router, link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Told(router), Told(router)
    # As where what waits is sent in a later turn of the loop.
    monkeypatch.setattr(router, "_send_waiting", lambda: None)
    link.tell(serving(FakeActor())._replace(max_queued=2))
    assert router.refusal() is None
    third = Told(router)
    assert isinstance(router.refusal(), BackPressureError)
    assert isinstance(Told(router).error, BackPressureError)
    assert not first.outcomes + second.outcomes + third.outcomes


def test_who_is_refused_once_the_deployment_is_gone_is_told(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router)
    link.tell(GONE)
    actor.answers[0].set_result(Busy(ending=True))
    assert isinstance(told.error, DeploymentUnavailableError)
    assert "it was deleted" in str(told.error)
    assert router.load == 0


@pytest.mark.parametrize("may_repeat", [False, True])
def test_whose_replica_dies_once_the_deployment_is_gone_is_told(router: Router, link: Any, may_repeat: bool) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router, may_repeat)
    link.tell(GONE)
    actor.answers[0].set_exception(ActorDiedError("killed"))
    assert isinstance(told.error, ReplicaUnavailableError)
    assert router.load == 0


def test_who_is_refused_before_the_deployment_goes_is_told_when_it_does(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router)
    actor.answers[0].set_result(Busy(ending=True))
    assert not told.outcomes
    link.tell(GONE)
    assert isinstance(told.error, DeploymentUnavailableError)
    assert router.load == 0


@pytest.mark.parametrize("may_repeat", [False, True])
def test_who_is_refused_goes_to_another_replica(router: Router, link: Any, may_repeat: bool) -> None:
    first, second = FakeActor(), FakeActor()
    link.tell(serving(first))
    told = Told(router, may_repeat)
    link.tell(serving(first, second))
    first.answers[0].set_result(Busy(ending=True))
    second.answers[0].set_result("done")
    assert told.outcomes == [("done", None)]


def test_who_waits_when_serving_ends_is_told_and_who_is_served_goes_on(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told, waits = Told(router), Told(router)
    link.lose(ActorDiedError("killed"))
    assert isinstance(waits.error, DeploymentUnavailableError)
    actor.answers[0].set_result("done")
    assert told.outcomes == [("done", None)]
    assert router.load == 0


def test_who_comes_when_serving_has_ended_is_told(router: Router, link: Any) -> None:
    link.lose(ActorDiedError("killed"))
    assert isinstance(Told(router).error, DeploymentUnavailableError)
    link.tell(GONE)
    assert isinstance(Told(router).error, DeploymentUnavailableError)
    assert router.load == 0


def test_who_raises_that_another_actor_is_dead_lives(router: Router, link: Any) -> None:
    """The error is the code's own: nobody else gets the call, and the replica gets the next one."""
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router, may_repeat=True)
    raised = TaskError("One.__call__", "", ActorDiedError("the actor that it asked")).as_instanceof_cause()
    assert isinstance(raised, ActorDiedError)
    actor.answers[0].set_exception(raised)
    assert told.error is raised
    after = Told(router)
    actor.answers[1].set_result("fine")
    assert after.outcomes == [("fine", None)]


def test_what_cannot_be_sent_is_told_and_keeps_no_place(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    actor.refuses = TypeError("no such argument travels")
    assert Told(router).error is actor.refuses
    assert router.load == 0
    actor.refuses = None
    after = Told(router)
    actor.answers[0].set_result("fine")
    assert after.outcomes == [("fine", None)]


def test_many_that_cannot_be_sent_are_told_one_after_another(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    first = Told(router)
    waiting = [Told(router) for _ in range(2000)]
    actor.refuses = TypeError("no such argument travels")
    actor.answers[0].set_result("done")
    assert first.outcomes == [("done", None)]
    assert {told.error for told in waiting} == {actor.refuses}
    assert router.load == 0


def test_a_cancellation_that_comes_while_the_call_is_sent_does_not_come_before_it(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    Told(router)
    waits = Told(router)
    # As another thread may, once it is known where the call goes.
    actor.before_call = lambda: router.cancel(waits.call)
    actor.answers[0].set_result("done")
    assert actor.heard[-2:] == ["call", "cancel"]


def test_who_is_cancelled_and_refused_does_not_wait_again(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router)
    router.cancel(told.call)
    actor.answers[0].set_result(Busy(ending=True))
    assert isinstance(told.error, RequestCancelledError)
    assert router.load == 0


def lose(router: Router, told: Told, error: LineLost) -> None:
    assert told.call.replica is not None
    router._answered_by_line(told.call, told.call.replica, None, error)


def test_whose_line_is_lost_asks_the_replica_itself(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router, may_repeat=True)
    lose(router, told, LineLost())
    actor.recovered.set_result("done")
    assert told.outcomes == [("done", None)]
    assert actor.heard == ["call"]
    assert router.load == 0


@pytest.mark.parametrize("may_repeat", [False, True])
def test_what_nobody_can_tell_is_done_again_once_where_that_does_no_harm(
    router: Router, link: Any, may_repeat: bool
) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router, may_repeat)
    for _ in range(1 + may_repeat):
        assert not told.outcomes
        lose(router, told, LineLost())
        actor.recovered.set_result(Lost())
    assert isinstance(told.error, ReplicaUnavailableError)
    assert "was not reached any more" in str(told.error)
    assert actor.heard == ["call"] * (1 + may_repeat)
    assert router.load == 0


def test_what_was_not_sent_goes_another_way(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router)
    lose(router, told, LineLost(was_sent=False))
    assert actor.heard == ["call", "call"]
    actor.answers[1].set_result("done")
    assert told.outcomes == [("done", None)]


def test_whose_replica_is_gone_with_its_line_is_told_that(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    told = Told(router)
    lose(router, told, LineLost())
    actor.recovered.set_exception(ActorDiedError("killed"))
    assert isinstance(told.error, ReplicaUnavailableError)
    assert "died" in str(told.error)


def test_a_replica_whose_death_a_stream_tells_gets_no_more_requests(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    stream = Told(router)
    actor.answers[0].set_result("the first part")
    with pytest.raises(ReplicaUnavailableError, match="died"):
        router.wait_for_items(stream.call)
    waits = Told(router)
    assert actor.heard == ["call", "next"]
    assert not waits.outcomes


def test_a_stream_that_raises_that_another_actor_is_dead_raises_that(router: Router, link: Any) -> None:
    actor = FakeActor()
    link.tell(serving(actor))
    stream = Told(router)
    actor.answers[0].set_result("the first part")
    actor.fails = TaskError("One.__call__", "", ActorDiedError("the actor that it asked")).as_instanceof_cause()
    with pytest.raises(ActorDiedError) as raised:
        router.wait_for_items(stream.call)
    assert raised.value is actor.fails
    Told(router)
    assert actor.heard == ["call", "next", "call"]
