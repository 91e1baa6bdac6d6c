"""Datasets of databases and of tables that keep versions: SQL, Delta Lake, Iceberg, Lance."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shoal.data._internal.api.arguments import names
from shoal.data._internal.api.old_parallelism import takes_parallelism
from shoal.data.dataset import Dataset
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.read_api import reading


@takes_parallelism
def read_sql(
    sql: str,
    connection_factory: Callable[[], Any],
    *,
    sql_params: Sequence[Any] | Mapping[str, Any] | None = None,
    shard_keys: Sequence[str] | None = None,
    shard_hash_fn: str | None = "MD5",
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """Reads the result of a SQL statement, over any driver of Python's DB-API 2.0. Types are told by the values.

    One task reads it, in the order of the database. With `shard_keys` several tasks do, each with its own connection; rows come in the
    order of the shards, and tables that change while they are read are seen by each task as they are then.

    Args:
        sql: the statement.
        connection_factory: returns a new connection; called in the tasks.
        sql_params: for the placeholders in `sql`, as the driver wants them: a list, or a dict of names.
        shard_keys: columns of the result by whose values it is divided, as they are written in SQL.
        shard_hash_fn: a function of the database that makes a whole number of a key (PostgreSQL: 'hashtext'); None to divide by ranges of
            one key of whole numbers, which are in the order of the key. Where the database has no such MD5, ranges are taken for the
            default.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks, with `shard_keys`; None to choose.
        ray_remote_args: options of those tasks, and so are `options`.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be, or the database cannot divide by such keys.
        Exception: when run, errors of the driver are raised as they are, with a note that has the statement.

    Example:
        >>> import shoal, sqlite3, tempfile
        >>> file = tempfile.mkdtemp() + "/films.db"
        >>> with sqlite3.connect(file) as connection:
        ...     _ = connection.execute("CREATE TABLE film (title TEXT, year INTEGER)")
        ...     _ = connection.execute("INSERT INTO film VALUES ('Metropolis', 1927)")
        >>> shoal.data.read_sql("SELECT * FROM film", lambda: sqlite3.connect(file)).take_all()
        [{'title': 'Metropolis', 'year': 1927}]
    """
    from shoal.data._internal.sources.sql import Query, SqlSource, shards_of

    if not isinstance(sql, str) or not sql.strip():
        raise InvalidArgumentError(f"read_sql: sql is {sql!r}; give a statement, such as 'SELECT * FROM t'")
    if not callable(connection_factory):
        raise InvalidArgumentError(
            f"read_sql: connection_factory is {connection_factory!r}; give a function that returns a new connection"
        )
    if sql_params is not None and (
        isinstance(sql_params, (str, bytes)) or not isinstance(sql_params, (Sequence, Mapping))
    ):
        raise InvalidArgumentError(f"read_sql: sql_params is {sql_params!r}; give a list, or a dict of names")
    if shard_hash_fn is not None and (not isinstance(shard_hash_fn, str) or not shard_hash_fn):
        raise InvalidArgumentError(
            f"read_sql: shard_hash_fn is {shard_hash_fn!r}; give the name of a function, or None"
        )
    query = Query(sql, connection_factory, sql_params)
    shards = None
    if shard_keys is not None:
        keys = names("shard_keys", shard_keys)
        if not keys:
            raise InvalidArgumentError("read_sql: shard_keys is empty; name a column, or leave it out")
        shards = shards_of(query, keys, shard_hash_fn)
    return reading(SqlSource(query, shards), override_num_blocks, concurrency, ray_remote_args, **options)


@takes_parallelism
def read_delta(
    path: str | os.PathLike[str],
    version: int | str | datetime.datetime | None = None,
    *,
    storage_options: Mapping[str, str] | None = None,
    filesystem: Any = None,
    catalog: Any = None,
    columns: Sequence[str] | None = None,
    shuffle: Any = None,
    include_paths: bool = False,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_parquet_args: Any,
) -> Dataset:
    """Reads a version of a Delta Lake table. The log tells columns and numbers of rows; columns and filters by expression are pushed into
    the reading. Needs `shoal-data[delta]`.

    Args:
        path: of the table, local or as a URI such as `s3://bucket/table`.
        version: its number, or a time (datetime, or text in ISO 8601); None for the latest. It does not change when the table does.
        storage_options: for the object store.
        filesystem: of pyarrow, to read the files with; None for that of deltalake.
        catalog: is not supported: name the table by its path.
        columns: just these.
        shuffle: 'files' for the files in an order of chance, or `FileShuffleConfig(seed)`.
        include_paths: adds the column `path`.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.
        arrow_parquet_args: arguments of `pyarrow.dataset.Fragment.scanner`.

    Raises:
        FileReadError: (an OSError) there is no such table or version; when run: a file cannot be read.
        ColumnNotFoundError: a column of `columns` is not there.
        InvalidArgumentError: (a ValueError) an argument cannot be.
        ImportError: deltalake is not installed.
    """
    from shoal.data._internal.sources.delta import DeltaSource

    _no_catalog("read_delta", catalog, "path")
    source = DeltaSource(
        path,
        version,
        storage_options=storage_options,
        filesystem=filesystem,
        columns=columns,
        shuffle=shuffle,
        include_paths=include_paths,
        arrow_parquet_args=arrow_parquet_args,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


@takes_parallelism
def read_iceberg(
    *,
    table_identifier: str,
    row_filter: Any = None,
    selected_fields: Sequence[str] = ("*",),
    snapshot_id: int | None = None,
    scan_kwargs: Mapping[str, Any] | None = None,
    catalog_kwargs: Mapping[str, Any] | None = None,
    catalog: Any = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """Reads a snapshot of an Apache Iceberg table. Columns and simple filters by expression are pushed into the reading. Needs
    `shoal-data[iceberg]`.

    Args:
        table_identifier: namespace and name, with a dot between.
        row_filter: a condition of pyiceberg, or in its SQL; None for all rows.
        selected_fields: columns; ('*',) for all.
        snapshot_id: None for the latest. It does not change when the table does.
        scan_kwargs: other arguments of `pyiceberg.table.Table.scan`.
        catalog_kwargs: arguments of `pyiceberg.catalog.load_catalog`.
        catalog: is not supported: give `catalog_kwargs`.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks, and so are `options`.

    Raises:
        FileReadError: (an OSError) there is no such table.
        ColumnNotFoundError: a column of `selected_fields` is not there.
        InvalidArgumentError: (a ValueError) an argument cannot be.
        ImportError: pyiceberg is not installed.
    """
    from shoal.data._internal.sources.iceberg import IcebergSource

    _no_catalog("read_iceberg", catalog, "catalog_kwargs")
    source = IcebergSource(
        table_identifier,
        catalog_kwargs=catalog_kwargs,
        row_filter=row_filter,
        selected_fields=selected_fields,
        snapshot_id=snapshot_id,
        scan_kwargs=scan_kwargs,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args, **options)


@takes_parallelism
def read_lance(
    uri: str | os.PathLike[str],
    *,
    version: int | str | None = None,
    columns: Sequence[str] | None = None,
    filter: Any = None,
    storage_options: Mapping[str, str] | None = None,
    scanner_options: Mapping[str, Any] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """Reads a version of a Lance dataset. Columns and simple filters by expression are pushed into the reading. Needs `shoal-data[lance]`.

    Args:
        uri: of the dataset, local or such as `s3://bucket/dataset`.
        version: number or tag; None for the latest. It does not change when the dataset does.
        columns: just these.
        filter: a condition, in Lance's SQL or of pyarrow; None for all rows.
        storage_options: for the object store.
        scanner_options: other arguments of `lance.LanceDataset.scanner`; with them one task reads.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks, and so are `options`.

    Raises:
        FileReadError: (an OSError) there is no such dataset or version.
        ColumnNotFoundError: a column of `columns` is not there.
        InvalidArgumentError: (a ValueError) an argument cannot be.
        ImportError: pylance is not installed.
    """
    from shoal.data._internal.sources.lance import LanceSource

    source = LanceSource(
        uri,
        version=version,
        columns=columns,
        filter=filter,
        storage_options=storage_options,
        scanner_options=scanner_options,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args, **options)


@takes_parallelism
def read_mongo(
    uri: str,
    database: str,
    collection: str,
    *,
    pipeline: Sequence[Mapping[str, Any]] | None = None,
    schema: Any = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **mongo_args: Any,
) -> Dataset:
    """Reads a collection of MongoDB, in the order of `_id`. Needs `shoal-data[mongo]`.

    Tasks read ranges of `_id`, each over its own connection; a pipeline that groups, sorts or limits is run by one. Ids become text.

    Args:
        uri: of the server: `mongodb://…`.
        database: its name.
        collection: its name.
        pipeline: stages of MongoDB's aggregation; None for the documents as they are.
        schema: of the result (pyarrow), to which values are cast; None to let the values tell.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.
        mongo_args: further arguments of `pymongo.MongoClient`.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
        ImportError: pymongo is not installed.
    """
    from shoal.data._internal.sources.mongo import Collection, MongoSource

    for name, value in (("uri", uri), ("database", database), ("collection", collection)):
        if not isinstance(value, str) or not value:
            raise InvalidArgumentError(f"{name} is {value!r}; give a text")
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise InvalidArgumentError(f"uri is {uri!r}; it begins with mongodb:// or mongodb+srv://")
    stages = list(pipeline or [])
    for stage in stages:
        if not isinstance(stage, Mapping) or len(stage) != 1 or not next(iter(stage)).startswith("$"):
            raise InvalidArgumentError(f"pipeline has {stage!r}; a stage is a dict of one operator: {{'$match': …}}")
    if schema is not None and not isinstance(schema, pa.Schema):
        raise InvalidArgumentError(f"schema is {schema!r}; give a pyarrow.Schema, or None")
    source = MongoSource(Collection(uri, database, collection, mongo_args), stages, schema)
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def _no_catalog(where: str, catalog: Any, instead: str) -> None:
    if catalog is not None:
        raise InvalidArgumentError(
            f"{where}: catalog is {catalog!r}, and such catalogs are not supported; give {instead}"
        )
