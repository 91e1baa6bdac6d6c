"""Tables of Apache Iceberg: the catalog says which files belong to a snapshot, pyiceberg reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.data._internal.expressions.nodes import BinaryExpr, ColumnExpr, LiteralExpr, Operation, UnaryExpr
from shoal.data._internal.sources.shares import even_shares
from shoal.data._internal.sources.simple_filters import is_simple
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.expressions import Expr

_PLAIN = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


@dataclass(frozen=True)
class _Scan:
    """What is needed to read files, without the catalog. Picklable."""

    metadata: Any
    io: Any
    projection: Any
    row_filter: Any
    case_sensitive: bool
    schema: pa.Schema


class IcebergSource(Source):
    """One snapshot of a table.

    Args:
        table_identifier: namespace and name, with a dot between.
        catalog_kwargs: arguments of `pyiceberg.catalog.load_catalog`.
        row_filter: a condition of pyiceberg, or as a string; None for all rows.
        selected_fields: columns; ('*',) for all.
        snapshot_id: None for the latest.
        scan_kwargs: other arguments of `pyiceberg.table.Table.scan`.

    Raises:
        FileReadError: (an OSError) there is no such table.
        ColumnNotFoundError: a column of `selected_fields` is not there.
        InvalidArgumentError: there is no such snapshot, or the catalog cannot be loaded.
        ImportError: pyiceberg is not installed.
    """

    name = "Iceberg"

    def __init__(
        self,
        table_identifier: str,
        *,
        catalog_kwargs: Mapping[str, Any] | None = None,
        row_filter: Any = None,
        selected_fields: Sequence[str] = ("*",),
        snapshot_id: int | None = None,
        scan_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        table = _opened(table_identifier, catalog_kwargs)
        if snapshot_id is not None and table.snapshot_by_id(snapshot_id) is None:
            known = ", ".join(str(snapshot.snapshot_id) for snapshot in table.metadata.snapshots)
            raise InvalidArgumentError(
                f"read_iceberg: snapshot_id is {snapshot_id!r}, and {table_identifier} has the snapshots {known or 'none'}"
            )
        options = dict(scan_kwargs or {})
        if row_filter is not None:
            options["row_filter"] = row_filter
        self._scan = table.scan(snapshot_id=snapshot_id, **options)
        available = [field.name for field in self._scan.projection().fields]
        chosen = [selected_fields] if isinstance(selected_fields, str) else list(selected_fields)
        for column in chosen if "*" not in chosen else []:
            if column.split(".")[0] not in available:
                raise ColumnNotFoundError(column, available, "read_iceberg")
        self._scan = self._scan.update(selected_fields=tuple(chosen))

    def schema(self) -> pa.Schema:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        schema = schema_to_pyarrow(self._scan.projection(), include_field_ids=False)
        return pa.schema([field.with_type(_PLAIN.get(field.type, field.type)).remove_metadata() for field in schema])

    def num_rows(self) -> int | None:
        if not self._reads_all():
            return None
        tasks = self._files()
        return None if any(task.delete_files for task in tasks) else sum(task.file.record_count for task in tasks)

    def size_bytes(self) -> int:
        """As on the disk."""
        return sum(task.file.file_size_in_bytes for task in self._files())

    def input_files(self) -> list[str]:
        return [task.file.file_path for task in self._files()]

    def _reads_all(self) -> bool:
        from pyiceberg.expressions import AlwaysTrue

        return isinstance(self._scan.row_filter, AlwaysTrue) and self._scan.limit is None

    def _files(self) -> list[Any]:
        """Planned once for each scan: the snapshot does not change."""
        if "_planned" not in self.__dict__:
            self._planned: list[Any] = list(self._scan.plan_files())
        return self._planned

    def with_columns(self, columns: list[str]) -> IcebergSource | None:
        return self._with(self._scan.update(selected_fields=tuple(columns)))

    def with_filter(self, predicate: Expr) -> IcebergSource | None:
        return self._with(self._scan.filter(_condition(predicate))) if is_simple(predicate, self.schema()) else None

    def _with(self, scan: Any) -> IcebergSource:
        other = object.__new__(type(self))
        other._scan = scan
        return other

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        schema = self.schema()
        limit = self._scan.limit
        scan = _Scan(
            self._scan.table_metadata,
            self._scan.io,
            self._scan.projection(),
            self._scan.row_filter,
            self._scan.case_sensitive,
            schema,
        )
        files = self._files()
        if limit is not None:
            row_limit, parallelism = (limit if row_limit is None else min(limit, row_limit)), 1
        elif row_limit is not None and self.num_rows() is not None:
            files = _first(files, row_limit)
        shares = even_shares(files, lambda task: task.file.file_size_in_bytes, parallelism) if files else [[]]
        tasks = []
        for share in shares:
            exact = self._reads_all() and not any(task.delete_files for task in share)
            metadata = BlockMetadata(
                sum(task.file.record_count for task in share) if exact else None,
                sum(task.file.file_size_in_bytes for task in share),
                input_files=[task.file.file_path for task in share],
            )
            tasks.append(ReadTask(partial(_read, scan, share), metadata, schema, row_limit))
        return tasks


def _opened(identifier: str, catalog_kwargs: Mapping[str, Any] | None) -> Any:
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
    except ImportError as error:
        raise ImportError('read_iceberg needs pyiceberg: pip install "shoal-data[iceberg]"') from error
    if not isinstance(identifier, str) or not identifier:
        raise InvalidArgumentError(f"read_iceberg: table_identifier is {identifier!r}; give 'namespace.table'")
    try:
        catalog = load_catalog(**dict(catalog_kwargs or {}))
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(
            f"read_iceberg: catalog_kwargs={dict(catalog_kwargs or {})!r}: {error}. Give what pyiceberg.catalog.load_catalog takes, "
            "such as name, type, uri"
        ) from error
    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise FileReadError(f"read_iceberg: there is no table {identifier!r} in the catalog: {error}") from error


def _condition(expr: Expr) -> Any:
    """A simple expression in pyiceberg's terms."""
    import pyiceberg.expressions

    ice: Any = pyiceberg.expressions  # its own types know no names of columns
    if isinstance(expr, UnaryExpr):
        assert isinstance(expr.operand, ColumnExpr)
        return ice.IsNull(expr.operand.name) if expr.op is Operation.IS_NULL else ice.NotNull(expr.operand.name)
    assert isinstance(expr, BinaryExpr)
    if expr.op is Operation.AND:
        return ice.And(_condition(expr.left), _condition(expr.right))
    if expr.op is Operation.OR:
        return ice.Or(_condition(expr.left), _condition(expr.right))
    assert isinstance(expr.left, ColumnExpr)
    assert isinstance(expr.right, LiteralExpr)
    name, value = expr.left.name, expr.right.value
    if expr.op is Operation.IN:
        return ice.In(name, set(value))
    kinds = {
        Operation.EQ: ice.EqualTo,
        Operation.NE: ice.NotEqualTo,
        Operation.LT: ice.LessThan,
        Operation.LE: ice.LessThanOrEqual,
        Operation.GT: ice.GreaterThan,
        Operation.GE: ice.GreaterThanOrEqual,
    }
    return kinds[expr.op](name, value)


def _first(tasks: list[Any], rows: int) -> list[Any]:
    """As many files as are needed for so many rows."""
    for number, task in enumerate(tasks):
        rows -= task.file.record_count
        if rows <= 0:
            return tasks[: number + 1]
    return tasks


def _read(scan: _Scan, tasks: Sequence[Any]) -> Iterator[pa.Table]:
    from pyiceberg.io.pyarrow import ArrowScan

    reader = ArrowScan(scan.metadata, scan.io, scan.projection, scan.row_filter, scan.case_sensitive)
    made = False
    # Of several tasks it would read many files at a time, and keep them all in memory.
    for task in tasks:
        for batch in reader.to_record_batches([task]):
            if batch.num_rows:
                made = True
                yield pa.Table.from_batches([batch]).select(scan.schema.names).cast(scan.schema)
    if not made:
        yield scan.schema.empty_table()
