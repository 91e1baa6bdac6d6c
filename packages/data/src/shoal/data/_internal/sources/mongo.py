"""Collections of MongoDB: ranges of `_id`, read by tasks with connections of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_rows
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata

_ROWS_A_TABLE = 1_000
_DOCUMENT_BY_DOCUMENT = frozenset(
    {"$addFields", "$match", "$project", "$redact", "$replaceRoot", "$replaceWith", "$set", "$unset", "$unwind"}
)
"""Stages of pipelines that may be run over each part of a collection by itself."""


@dataclass(frozen=True)
class Collection:
    """Where documents are.

    Args:
        uri: of the server, with what it takes to log in.
        database: its name.
        name: the collection's.
        options: further arguments of `pymongo.MongoClient`.
    """

    uri: str
    database: str
    name: str
    options: Mapping[str, Any]

    def opened(self) -> Any:
        """Returns a new client, and the collection. Raises ImportError."""
        try:
            import pymongo
        except ImportError as error:
            raise ImportError("read_mongo needs pymongo: pip install 'shoal-data[mongo]'") from error
        client: Any = pymongo.MongoClient(self.uri, **self.options)
        return client, client[self.database][self.name]


class MongoSource(Source):
    """The documents of a collection, or what a pipeline makes of them, in the order of `_id`.

    Args:
        collection: where they are.
        pipeline: of MongoDB's aggregation; one that does more than look at one document after the other is run by one task.
        schema: of the result; None to let the values tell.
    """

    name = "Mongo"

    def __init__(self, collection: Collection, pipeline: Sequence[Mapping[str, Any]], schema: pa.Schema | None) -> None:
        self._collection = collection
        self._pipeline = tuple(pipeline)
        self._schema = schema

    def schema(self) -> pa.Schema | None:
        return self._schema

    def num_rows(self) -> int | None:
        if self._pipeline:
            return None
        client, documents = self._collection.opened()
        try:
            return int(documents.count_documents({}))
        finally:
            client.close()

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        ranges = self._ranges(parallelism) if self._may_be_split() else [(None, None)]
        return [
            ReadTask(
                partial(_read, self._collection, self._pipeline, self._schema, start, end),
                BlockMetadata(None, None, input_files=[]),
                self._schema,
            )
            for start, end in ranges
        ]

    def _may_be_split(self) -> bool:
        return all(_DOCUMENT_BY_DOCUMENT.issuperset(stage) for stage in self._pipeline)

    def _ranges(self, parallelism: int) -> list[tuple[Any, Any]]:
        """Returns first ids of ranges of like numbers of documents, and the first ids behind them; None for no bound."""
        client, documents = self._collection.opened()
        try:
            count = documents.count_documents({})
            pieces = max(1, min(parallelism, count // _ROWS_A_TABLE))
            cuts = [
                documents.find({}, {"_id": 1}).sort("_id", 1).skip(count * piece // pieces).limit(1)[0]["_id"]
                for piece in range(1, pieces)
            ]
        finally:
            client.close()
        # A comparison finds ids of the bound's own type alone: all must be of one.
        if len({type(cut) for cut in cuts}) > 1:
            return [(None, None)]
        return list(itertools.pairwise([None, *cuts, None]))


def _read(
    collection: Collection,
    pipeline: Sequence[Mapping[str, Any]],
    schema: pa.Schema | None,
    start: Any,
    end: Any,
) -> Iterator[pa.Table]:
    bounds = {name: bound for name, bound in (("$gte", start), ("$lt", end)) if bound is not None}
    stages: list[Mapping[str, Any]] = [{"$match": {"_id": bounds}}] if bounds else []
    by_document = all(_DOCUMENT_BY_DOCUMENT.issuperset(stage) for stage in pipeline)
    client, documents = collection.opened()
    try:
        rows = documents.aggregate([*stages, *([{"$sort": {"_id": 1}}] if by_document else []), *pipeline])
        while some := list(itertools.islice(rows, _ROWS_A_TABLE)):
            table = table_of_rows([_plain(row) for row in some])
            yield _as(table, schema) if schema is not None else table
    finally:
        client.close()


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _plain(value: Any) -> Any:
    """Types of MongoDB that Arrow does not know: ids and numbers become text, the rest stays."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value).__module__.partition(".")[0] == "bson":
        return int(value) if isinstance(value, int) else str(value)
    return value
