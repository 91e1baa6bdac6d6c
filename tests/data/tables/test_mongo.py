"""MongoDB. A fake: no server can be installed here (Debian has none), so that mongomock stands in for it, in the driver's process, where
tasks run too."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import shoal
from shoal.data import Dataset
from shoal.data.exceptions import InvalidArgumentError

mongomock = pytest.importorskip("mongomock")
pymongo = pytest.importorskip("pymongo")


@pytest.fixture(scope="module", autouse=True)
def inline_session(no_session_of_other_modules: None) -> Iterator[None]:
    shoal.init(local_mode=True)
    yield
    shoal.shutdown()


URI = "mongodb://localhost:27017"
ROWS = 5_000


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    store = mongomock.store.ServerStore()
    monkeypatch.setattr(pymongo, "MongoClient", lambda uri, **_: mongomock.MongoClient(uri, _store=store))
    client = pymongo.MongoClient(URI)
    client.drop_database("shop")
    documents = client["shop"]["orders"]
    documents.insert_many([{"_id": (7 * n) % ROWS, "n": n, "tags": ["a"] * (n % 3)} for n in range(ROWS)])
    return client["shop"]


def orders(**arguments: Any) -> Dataset:
    return shoal.data.read_mongo(URI, "shop", "orders", **arguments)


def test_documents_come_in_the_order_of_their_ids() -> None:
    assert [row["_id"] for row in orders().take_all()] == list(range(ROWS))


def test_several_tasks_read_each_document_once() -> None:
    dataset = orders(override_num_blocks=4)
    assert [row["_id"] for row in dataset.take_all()] == list(range(ROWS))
    assert dataset.count() == ROWS


def test_a_pipeline_of_single_documents() -> None:
    found = orders(pipeline=[{"$match": {"n": {"$lt": 10}}}, {"$project": {"n": 1}}], override_num_blocks=4).take_all()
    assert sorted(row["n"] for row in found) == list(range(10))
    assert set(found[0]) == {"_id", "n"}


def test_a_pipeline_that_groups_is_run_as_a_whole() -> None:
    grouped = orders(pipeline=[{"$group": {"_id": None, "sum": {"$sum": "$n"}}}], override_num_blocks=4)
    assert [row["sum"] for row in grouped.take_all()] == [ROWS * (ROWS - 1) // 2]


def test_types(server: Any) -> None:
    when = dt.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  MongoDB keeps no zone
    identity = server["other"].insert_one({"when": when, "deep": {"x": [1, 2]}, "none": None}).inserted_id
    (row,) = shoal.data.read_mongo(URI, "shop", "other").take_all()
    assert row == {"_id": str(identity), "when": when, "deep": {"x": [1, 2]}, "none": None}


def test_a_schema_casts() -> None:
    schema = pa.schema([("n", pa.float32()), ("missing", pa.string())])
    dataset = orders(schema=schema, pipeline=[{"$match": {"n": 3}}])
    assert dataset.take_all() == [{"n": 3.0, "missing": None}]
    assert dataset.schema().base_schema == schema


def test_an_empty_collection() -> None:
    assert shoal.data.read_mongo(URI, "shop", "nothing").take_all() == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"uri": "http://x"}, "uri is 'http://x'; it begins with mongodb://"),
        ({"database": ""}, "database is ''"),
        ({"pipeline": [{"$match": {}, "$limit": 1}]}, "a stage is a dict of one operator"),
        ({"schema": {"n": int}}, "give a pyarrow.Schema"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], text: str) -> None:
    given = {"uri": URI, "database": "shop", "collection": "orders"} | arguments
    with pytest.raises(InvalidArgumentError, match=text.replace("$", r"\$")):
        shoal.data.read_mongo(**given)
