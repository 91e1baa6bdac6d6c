"""Who gets the next request."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from shoal.serve._internal.logic.replica_choice import ReplicaChoice
from shoal.serve._internal.schema.deployments import NOWHERE, ReplicaInfo


def replica(name: str, most: int = 2) -> ReplicaInfo:
    return ReplicaInfo(name, None, most, NOWHERE)


def choice(*infos: ReplicaInfo, seed: int = 0) -> ReplicaChoice:
    made = ReplicaChoice(random.Random(seed).randrange)
    made.replicas_changed(infos)
    return made


def taken(made: ReplicaChoice, model: str = "") -> str | None:
    info = made.take(model)
    return info.replica_id if info is not None else None


def test_the_less_busy_of_two() -> None:
    made = choice(replica("a"), replica("b"))
    assert {taken(made), taken(made)} == {"a", "b"}
    made.ended("b")
    assert taken(made) == "b"


def test_nobody_where_nobody_has_room() -> None:
    made = choice(replica("a", 1), replica("b", 1))
    assert {taken(made), taken(made)} == {"a", "b"}
    assert taken(made) is None
    made.ended("a")
    assert taken(made) == "a"


def test_one_that_is_full_is_left_alone_until_it_has_room() -> None:
    made = choice(replica("a"))
    assert taken(made) == "a"
    made.ended("a")
    assert made.full("a")
    assert not made.full("a"), "it is asked once"
    assert taken(made) is None
    made.has_room("a")
    assert taken(made) == "a"


def test_those_that_stay_keep_their_count() -> None:
    made = choice(replica("a", 1), replica("b", 1))
    first = taken(made)
    made.replicas_changed([replica("a", 1), replica("b", 1), replica("c", 1)])
    assert {taken(made), taken(made)} == {"a", "b", "c"} - {first}
    made.gone("c")
    made.ended("c")
    assert taken(made) is None


def test_models_stay_where_they_are() -> None:
    names = [f"replica-{n}" for n in range(5)]
    models = [f"m{n}" for n in range(40)]

    def homes(made: ReplicaChoice) -> dict[str, str | None]:
        found = {}
        for model in models:
            found[model] = home = taken(made, model)
            assert home is not None
            made.ended(home)
        return found

    made = choice(*map(replica, names))
    before = homes(made)
    assert len(set(before.values())) == 5
    assert homes(choice(*map(replica, reversed(names)), seed=1)) == before
    made.gone("replica-2")
    after = homes(made)
    assert {model for model in models if after[model] != before[model]} == {
        model for model in models if before[model] == "replica-2"
    }


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    steps=st.lists(st.tuples(st.sampled_from(["take", "end", "full", "room"]), st.integers(0, 100)), max_size=80),
    seed=st.integers(0, 100),
)
def test_no_replica_gets_more_than_it_takes(counts: list[int], steps: list[tuple[str, int]], seed: int) -> None:
    infos = [replica(str(number), most) for number, most in enumerate(counts)]
    made = choice(*infos, seed=seed)
    ongoing: list[str] = []
    full: set[str] = set()
    for step, number in steps:
        name = infos[number % len(infos)].replica_id
        if step == "take":
            got = taken(made)
            room = [i for i in infos if i.replica_id not in full and ongoing.count(i.replica_id) < i.max_ongoing]
            assert (got is None) == (not room)
            if got is not None:
                assert got in {i.replica_id for i in room}
                ongoing.append(got)
        elif step == "end" and ongoing:
            made.ended(ongoing.pop(number % len(ongoing)))
        elif step == "full":
            made.full(name)
            full.add(name)
        elif step == "room":
            made.has_room(name)
            full.discard(name)
