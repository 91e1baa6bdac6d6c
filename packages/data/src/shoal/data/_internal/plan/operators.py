"""Logical operators: a dataset is a tree of them. Frozen; what they hold is data and the user's functions, nothing that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.data._internal.plan.compute import PLAIN, Compute
from shoal.data._internal.sources.source import Source

if TYPE_CHECKING:
    from shoal.data.aggregate import AggregateFn
    from shoal.data.expressions import Expr


@dataclass(frozen=True, eq=False)
class Operator:
    """One step. `inputs` are what it consumes."""

    @property
    def inputs(self) -> tuple[Operator, ...]:
        return ()

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def details(self) -> str:
        """For `explain`: what is special about this one."""
        return ""


@dataclass(frozen=True, eq=False)
class Read(Operator):
    """Blocks from a source."""

    source: Source
    blocks_wanted: int | None = None
    compute: Compute = PLAIN
    row_limit: int | None = None

    @property
    def name(self) -> str:
        return f"Read{self.source.name}"

    @property
    def details(self) -> str:
        schema = self.source.schema()
        columns = f"columns={schema.names}" if schema is not None else ""
        return ", ".join(
            part for part in (columns, f"limit={self.row_limit}" if self.row_limit is not None else "") if part
        )


@dataclass(frozen=True, eq=False)
class Blocks(Operator):
    """Blocks that exist already, here or in the object store."""

    blocks: tuple[Any, ...]
    """Tables, or references to tables."""
    row_counts: tuple[int, ...]
    sizes: tuple[int, ...]
    """Bytes."""
    block_schema: pa.Schema | None = None
    files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "Blocks"

    @property
    def details(self) -> str:
        return f"{len(self.blocks)} blocks, {sum(self.row_counts)} rows"


@dataclass(frozen=True, eq=False)
class OneInput(Operator):
    """A step with one input."""

    input: Operator

    @property
    def inputs(self) -> tuple[Operator, ...]:
        return (self.input,)


@dataclass(frozen=True)
class UserFunction:
    """A function of the user's, or a class whose objects are called, with what it is called with."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    constructor_args: tuple[Any, ...] = ()
    constructor_kwargs: dict[str, Any] = field(default_factory=dict)
    save_failed_to: str | None = None
    """Where batches are saved on which it raises; None: nowhere."""
    retried_errors: bool | tuple[str | type[BaseException], ...] = False
    """After which it is called again with the same row or batch: True for all; or types, and parts of what an error says."""
    retries: int = 0
    """How often at most."""

    @property
    def is_class(self) -> bool:
        return isinstance(self.function, type)

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", None) or type(self.function).__name__


@dataclass(frozen=True, eq=False)
class MapBatches(OneInput):
    """A function of whole batches."""

    function: UserFunction
    batch_size: int | None = None
    batch_format: str | None = "default"
    zero_copy: bool = True
    keeps_row_count: bool = False
    compute: Compute = PLAIN

    @property
    def name(self) -> str:
        return f"MapBatches({self.function.name})"


@dataclass(frozen=True, eq=False)
class MapRows(OneInput):
    """A function of one row that gives one row."""

    function: UserFunction
    compute: Compute = PLAIN

    @property
    def name(self) -> str:
        return f"Map({self.function.name})"


@dataclass(frozen=True, eq=False)
class FlatMap(OneInput):
    """A function of one row that gives any number of rows."""

    function: UserFunction
    compute: Compute = PLAIN

    @property
    def name(self) -> str:
        return f"FlatMap({self.function.name})"


@dataclass(frozen=True, eq=False)
class FilterRows(OneInput):
    """Keeps the rows for which a function is true."""

    function: UserFunction
    compute: Compute = PLAIN

    @property
    def name(self) -> str:
        return f"Filter({self.function.name})"


@dataclass(frozen=True, eq=False)
class FilterExpression(OneInput):
    """Keeps the rows for which an expression is true (not false, not null)."""

    predicate: Expr
    compute: Compute = PLAIN

    @property
    def name(self) -> str:
        return "Filter"

    @property
    def details(self) -> str:
        return repr(self.predicate)


@dataclass(frozen=True, eq=False)
class SelectColumns(OneInput):
    """Just these columns, in this order."""

    columns: tuple[str, ...]
    compute: Compute = PLAIN

    @property
    def details(self) -> str:
        return ", ".join(self.columns)


@dataclass(frozen=True, eq=False)
class DropColumns(OneInput):
    """All columns but these."""

    columns: tuple[str, ...]
    compute: Compute = PLAIN

    @property
    def details(self) -> str:
        return ", ".join(self.columns)


@dataclass(frozen=True, eq=False)
class RenameColumns(OneInput):
    """New names: for some columns (pairs), or for all in order."""

    pairs: tuple[tuple[str, str], ...] = ()
    all_names: tuple[str, ...] | None = None
    compute: Compute = PLAIN

    @property
    def details(self) -> str:
        return (
            ", ".join(self.all_names) if self.all_names is not None else ", ".join(f"{a} -> {b}" for a, b in self.pairs)
        )


@dataclass(frozen=True, eq=False)
class WithColumns(OneInput):
    """Adds columns, or replaces those of the same name, by expressions over the columns before."""

    columns: tuple[tuple[str, Expr], ...]
    compute: Compute = PLAIN

    @property
    def details(self) -> str:
        return ", ".join(f"{name}={expr!r}" for name, expr in self.columns)


@dataclass(frozen=True, eq=False)
class Limit(OneInput):
    """The first rows."""

    count: int

    @property
    def details(self) -> str:
        return str(self.count)


@dataclass(frozen=True, eq=False)
class RandomSample(OneInput):
    """Each row with a probability; decided by the seed and the position of the row alone."""

    fraction: float
    seed: int

    @property
    def details(self) -> str:
        return f"{self.fraction}, seed={self.seed}"


@dataclass(frozen=True, eq=False)
class Union(Operator):
    """All rows of all inputs, one input after the other."""

    parts: tuple[Operator, ...]

    @property
    def inputs(self) -> tuple[Operator, ...]:
        return self.parts


@dataclass(frozen=True, eq=False)
class Zip(Operator):
    """Columns of all inputs side by side; they must have the same number of rows."""

    parts: tuple[Operator, ...]

    @property
    def inputs(self) -> tuple[Operator, ...]:
        return self.parts


@dataclass(frozen=True, eq=False)
class Repartition(OneInput):
    """The same rows in exactly so many blocks, in order."""

    blocks: int

    @property
    def details(self) -> str:
        return f"{self.blocks} blocks"


@dataclass(frozen=True, eq=False)
class RepartitionRows(OneInput):
    """The same rows in blocks of so many rows; `strict`: each of exactly that, but the last."""

    rows: int
    strict: bool = False

    @property
    def details(self) -> str:
        return f"{self.rows} rows a block"


@dataclass(frozen=True, eq=False)
class RepartitionKeys(OneInput):
    """Rows of equal keys in the same block."""

    keys: tuple[str, ...]
    blocks: int
    sort: bool = False

    @property
    def details(self) -> str:
        return f"{', '.join(self.keys)} into {self.blocks} blocks"


@dataclass(frozen=True, eq=False)
class RandomShuffle(OneInput):
    """All rows in an order that the seed decides."""

    seed: int
    blocks: int | None = None

    @property
    def details(self) -> str:
        return f"seed={self.seed}"


@dataclass(frozen=True, eq=False)
class RandomizeBlockOrder(OneInput):
    """The blocks in an order that the seed decides."""

    seed: int


@dataclass(frozen=True, eq=False)
class Sort(OneInput):
    """All rows in the order of keys."""

    keys: tuple[str, ...]
    descending: tuple[bool, ...]
    boundaries: tuple[Any, ...] | None = None

    @property
    def details(self) -> str:
        return ", ".join(
            key + (" descending" if down else "") for key, down in zip(self.keys, self.descending, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Aggregate(OneInput):
    """One row a group (or one in all, without keys)."""

    keys: tuple[str, ...]
    aggregations: tuple[AggregateFn, ...]
    partitions: int | None = None

    @property
    def details(self) -> str:
        return f"by {', '.join(self.keys) or 'nothing'}: {', '.join(fn.name for fn in self.aggregations)}"


@dataclass(frozen=True, eq=False)
class MapGroups(OneInput):
    """A function of all rows of a group."""

    keys: tuple[str, ...]
    function: UserFunction
    batch_format: str | None = "default"
    zero_copy: bool = True
    compute: Compute = PLAIN
    partitions: int | None = None

    @property
    def name(self) -> str:
        return f"MapGroups({self.function.name})"


@dataclass(frozen=True, eq=False)
class Join(Operator):
    """Rows of two inputs side by side where keys are equal."""

    left: Operator
    right: Operator
    how: str
    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    left_suffix: str
    right_suffix: str
    partitions: int | None = None

    @property
    def inputs(self) -> tuple[Operator, ...]:
        return (self.left, self.right)

    @property
    def details(self) -> str:
        return f"{self.how} on {', '.join(self.left_on)}"


@dataclass(frozen=True, eq=False)
class Write(OneInput):
    """Blocks handed to a sink; what comes out says how much was written."""

    sink: Any
    write_id: str
    compute: Compute = PLAIN

    @property
    def name(self) -> str:
        return f"Write{self.sink.get_name()}"


RowWise = (
    MapBatches
    | MapRows
    | FlatMap
    | FilterRows
    | FilterExpression
    | SelectColumns
    | DropColumns
    | RenameColumns
    | WithColumns
)


def with_inputs(operator: Operator, inputs: Sequence[Operator]) -> Operator:
    """Returns the same step over other inputs."""
    from dataclasses import replace

    if isinstance(operator, OneInput):
        return replace(operator, input=inputs[0])
    if isinstance(operator, Union | Zip):
        return replace(operator, parts=tuple(inputs))
    if isinstance(operator, Join):
        return replace(operator, left=inputs[0], right=inputs[1])
    return operator
