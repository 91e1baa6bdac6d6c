"""Datasets in the Lance format, by fragments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.data._internal.sources.shares import even_shares
from shoal.data._internal.sources.simple_filters import is_simple
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.expressions import Expr

_OWN_OPTIONS = frozenset({"columns", "filter", "fragments"})


@dataclass(frozen=True)
class _Scan:
    """What is read, of one version."""

    uri: str
    version: int
    storage_options: Mapping[str, str] | None
    columns: tuple[str, ...] | None
    condition: Any
    options: Mapping[str, Any]

    def dataset(self) -> Any:
        import lance

        return lance.dataset(self.uri, version=self.version, storage_options=_as_dict(self.storage_options))

    def scanner(self, dataset: Any, fragments: Sequence[int] | None = None) -> Any:
        """Of these fragments, by id; None for all of them."""
        chosen = None if fragments is None else [dataset.get_fragment(number) for number in fragments]
        columns = list(self.columns) if self.columns is not None else None
        return dataset.scanner(columns=columns, filter=self.condition, fragments=chosen, **self.options)


class LanceSource(Source):
    """One version of a dataset.

    Args:
        uri: of the dataset.
        version: number or tag; None for the latest.
        columns: just these; None for all.
        filter: a condition, in Lance's SQL or of pyarrow; None for all rows.
        storage_options: for the object store.
        scanner_options: other arguments of `lance.LanceDataset.scanner`.

    Raises:
        FileReadError: (an OSError) there is no such dataset, or no such version.
        ColumnNotFoundError: a column of `columns` is not there.
        ImportError: pylance is not installed.
    """

    name = "Lance"

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        version: int | str | None = None,
        columns: Sequence[str] | None = None,
        filter: Any = None,
        storage_options: Mapping[str, str] | None = None,
        scanner_options: Mapping[str, Any] | None = None,
    ) -> None:
        options = dict(scanner_options or {})
        for name in sorted(_OWN_OPTIONS & set(options)):
            raise InvalidArgumentError(
                f"read_lance: scanner_options has {name!r}; give it as an argument of read_lance"
            )
        dataset = _opened(os.fspath(uri), version, storage_options)
        for column in columns or ():
            if column not in dataset.schema.names:
                raise ColumnNotFoundError(column, dataset.schema.names, "read_lance")
        kept = tuple(columns) if columns is not None else None
        self._scan = _Scan(os.fspath(uri), dataset.version, storage_options, kept, filter, options)
        self._schema = self._scan.scanner(dataset).projected_schema
        self._fragments = [(fragment.fragment_id, fragment.count_rows()) for fragment in dataset.get_fragments()]

    def schema(self) -> pa.Schema:
        return self._schema

    def num_rows(self) -> int | None:
        plain = self._scan.condition is None and not self._scan.options
        return sum(rows for _, rows in self._fragments) if plain else None

    def with_columns(self, columns: list[str]) -> LanceSource | None:
        if self._scan.options:
            return None  # they may make columns of their own
        schema = pa.schema([self._schema.field(name) for name in columns])
        return self._with(replace(self._scan, columns=tuple(columns)), schema)

    def with_filter(self, predicate: Expr) -> LanceSource | None:
        # A condition of the user's is in another language, and options may change which rows there are.
        if self._scan.condition is not None or self._scan.options or not is_simple(predicate, self._schema):
            return None
        return self._with(replace(self._scan, condition=predicate.to_pyarrow()), self._schema)

    def _with(self, scan: _Scan, schema: pa.Schema) -> LanceSource:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _scan=scan, _schema=schema)
        return other

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        # What an option such as `limit` or `nearest` says holds for all fragments together.
        shares: list[Any] = [None]
        if self._fragments and not self._scan.options:
            shares = list(even_shares(self._fragments, lambda fragment: fragment[1], parallelism))
        exact = self._scan.condition is None and not self._scan.options
        tasks = []
        for share in shares:
            rows = sum(count for _, count in share) if share is not None and exact else None
            numbers = [number for number, _ in share] if share is not None else None
            read = partial(_read, self._scan, numbers, self._schema)
            tasks.append(ReadTask(read, BlockMetadata(rows, None), self._schema, row_limit))
        return tasks


def _opened(uri: str, version: int | str | None, storage_options: Mapping[str, str] | None) -> Any:
    try:
        import lance
    except ImportError as error:
        raise ImportError('read_lance needs pylance: pip install "shoal-data[lance]"') from error
    if version is not None and (isinstance(version, bool) or not isinstance(version, (int, str))):
        raise InvalidArgumentError(f"read_lance: version is {version!r}; give a number, a tag, or None for the latest")
    try:
        return lance.dataset(uri, version=version, storage_options=_as_dict(storage_options))
    except (ValueError, OSError) as error:
        what = "Lance dataset" if version is None else f"version {version!r} of a Lance dataset"
        raise FileReadError(f"{uri}: there is no {what}: {error}") from error


def _as_dict(options: Mapping[str, str] | None) -> dict[str, str] | None:
    return dict(options) if options is not None else None


def _read(scan: _Scan, fragments: Sequence[int] | None, schema: pa.Schema) -> Iterator[pa.Table]:
    made = False
    for batch in scan.scanner(scan.dataset(), fragments).to_batches():
        if batch.num_rows:
            made = True
            yield pa.Table.from_batches([batch])
    if not made:
        yield schema.empty_table()
