"""What all preprocessors have: fitted on a dataset, applied to datasets and single batches."""

from __future__ import annotations

import base64
import pickle
from abc import ABC
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from shoal.data._internal.blocks.build import table_of_batch
from shoal.data._internal.blocks.convert import to_batch
from shoal.data.exceptions import ColumnNotFoundError, DataError, InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.aggregate import AggregateFn
    from shoal.data.dataset import Dataset

_HEAD = "shoal-preprocessor-1:"


class PreprocessorNotFittedException(DataError, RuntimeError):
    """A preprocessor was applied before it was fitted."""


class FitStatus(StrEnum):
    """How far a preprocessor is fitted."""

    NOT_FITTABLE = "NOT_FITTABLE"
    NOT_FITTED = "NOT_FITTED"
    PARTIALLY_FITTED = "PARTIALLY_FITTED"
    """Of a chain: some of its parts."""
    FITTED = "FITTED"


class Preprocessor(ABC):
    """Changes columns by what it has learned of a dataset.

    To write one, override `_transform_pandas` or `_transform_numpy` and, where it learns, `_fit`, which keeps what it learned in
    `self.stats_`; where it learns nothing, set `_is_fittable = False`.

    Example:
        >>> import shoal
        >>> from shoal.data.preprocessors import Preprocessor
        >>> class AddOne(Preprocessor):
        ...     _is_fittable = False
        ...     def _transform_numpy(self, batch):
        ...         return {name: values + 1 for name, values in batch.items()}
        >>> AddOne().transform(shoal.data.range(2)).take_all()
        [{'id': 1}, {'id': 2}]
    """

    _is_fittable: ClassVar[bool] = True
    stats_: dict[str, Any]

    # --- fitting --------------------------------------------------------------------------------------------------------------

    def fit_status(self) -> FitStatus:
        """Returns how far it is fitted."""
        if not self._is_fittable:
            return FitStatus.NOT_FITTABLE
        return FitStatus.FITTED if self.has_stats() else FitStatus.NOT_FITTED

    def has_stats(self) -> bool:
        """Returns whether it has learned anything."""
        return bool(self.__dict__.get("stats_"))

    def fit(self, ds: Dataset) -> Self:
        """Learns of a dataset, in one pass over it; what was learned before is forgotten.

        Args:
            ds: the dataset.

        Returns:
            Itself.

        Raises:
            ColumnNotFoundError: a column is not there; close names are told.
            BatchTypeError: numbers are needed, and a column has others.
        """
        if self._is_fittable:
            self._fit(ds)
        return self

    def fit_transform(
        self,
        ds: Dataset,
        *,
        transform_num_cpus: float | None = None,
        transform_memory: float | None = None,
        transform_batch_size: int | None = None,
        transform_concurrency: int | None = None,
    ) -> Dataset:
        """Fits on a dataset and transforms it. See `fit` and `transform`."""
        return self.fit(ds).transform(
            ds,
            batch_size=transform_batch_size,
            num_cpus=transform_num_cpus,
            memory=transform_memory,
            concurrency=transform_concurrency,
        )

    # --- transforming ---------------------------------------------------------------------------------------------------------

    def transform(
        self,
        ds: Dataset,
        *,
        batch_size: int | None = None,
        num_cpus: float | None = None,
        memory: float | None = None,
        concurrency: int | None = None,
    ) -> Dataset:
        """Returns the dataset with changed columns; it runs when something is taken out of it.

        Args:
            ds: the dataset.
            batch_size: rows at a time; None for whole blocks.
            num_cpus: of each task.
            memory: of each task, in bytes.
            concurrency: most tasks at a time.

        Raises:
            PreprocessorNotFittedException: (a RuntimeError) it has to be fitted first.
        """
        self._check_fitted()
        options: dict[str, Any] = {"num_cpus": num_cpus, "memory": memory, "concurrency": concurrency}
        return ds.map_batches(
            self._transformed,
            batch_size=batch_size,
            batch_format=self._batch_format(),
            zero_copy_batch=True,
            udf_modifying_row_count=False,
            **{name: value for name, value in options.items() if value is not None},
        )

    def transform_batch(self, data: Any) -> Any:
        """Returns a batch with changed columns, in the format in which it came: dict of arrays, DataFrame or Arrow table.

        Raises:
            PreprocessorNotFittedException: (a RuntimeError) it has to be fitted first.
        """
        import pandas as pd
        import pyarrow as pa

        self._check_fitted()
        table = table_of_batch(data, f"{type(self).__name__}.transform_batch")
        made = self._transformed(to_batch(table, self._batch_format()))
        result = table_of_batch(made, type(self).__name__)
        if isinstance(data, pa.Table):
            return result
        return to_batch(result, "pandas" if isinstance(data, pd.DataFrame) else "numpy")

    def _check_fitted(self) -> None:
        if self.fit_status() in (FitStatus.NOT_FITTED, FitStatus.PARTIALLY_FITTED):
            raise PreprocessorNotFittedException(f"{self!r} is not fitted: call fit(dataset) before it is applied.")

    def _batch_format(self) -> Any:
        """'numpy' where only `_transform_numpy` is there, else 'pandas'."""
        own = type(self)
        if own._transform_pandas is not Preprocessor._transform_pandas:
            return "pandas"
        if own._transform_numpy is not Preprocessor._transform_numpy:
            return "numpy"
        raise NotImplementedError(f"{own.__name__} has to override _transform_pandas or _transform_numpy.")

    def _transformed(self, batch: Any) -> Any:
        available = list(batch)
        for column in self.get_input_columns():
            if column not in available:
                raise ColumnNotFoundError(column, available, type(self).__name__)
        return self._transform_pandas(batch) if self._batch_format() == "pandas" else self._transform_numpy(batch)

    # --- to be overridden -----------------------------------------------------------------------------------------------------

    def _fit(self, ds: Dataset) -> Any:
        """Learns of a dataset: sets `self.stats_`."""
        raise NotImplementedError(f"{type(self).__name__} has to override _fit.")

    def _transform_pandas(self, df: Any) -> Any:
        """Returns a DataFrame with changed columns; may change the one it gets."""
        raise NotImplementedError

    def _transform_numpy(self, np_data: Any) -> Any:
        """Returns a dict of arrays; must not change those that it gets."""
        raise NotImplementedError

    def get_input_columns(self) -> list[str]:
        """Returns the columns that it looks at."""
        return list(getattr(self, "columns", ()))

    def get_output_columns(self) -> list[str]:
        """Returns the columns that it makes or changes."""
        return list(getattr(self, "output_columns", None) or self.get_input_columns())

    # --- keeping --------------------------------------------------------------------------------------------------------------

    def serialize(self) -> str:
        """Returns it as text, with what it has learned. Read it with `deserialize`."""
        from shoal import cloudpickle

        return _HEAD + base64.b64encode(cloudpickle.dumps(self)).decode()

    @staticmethod
    def deserialize(serialized: str) -> Preprocessor:
        """Returns what `serialize` wrote. Only for text that you trust: it holds a pickle.

        Raises:
            InvalidArgumentError: it is something else.
        """
        if not isinstance(serialized, str) or not serialized.startswith(_HEAD):
            raise InvalidArgumentError("deserialize: this is not what Preprocessor.serialize has written")
        found = pickle.loads(base64.b64decode(serialized.removeprefix(_HEAD)))  # the docstring warns of it
        assert isinstance(found, Preprocessor)
        return found

    def __repr__(self) -> str:
        arguments = ", ".join(
            f"{name}={value!r}"
            for name, value in self.__dict__.items()
            if not name.startswith("_") and name != "stats_" and value is not None
        )
        return f"{type(self).__name__}({arguments})"


def checked_columns(columns: Any, argument: str = "columns") -> list[str]:
    """Returns a list of names. Raises InvalidArgumentError where it is none."""
    if isinstance(columns, str):
        raise InvalidArgumentError(f"{argument}={columns!r}: give a list, as in [{columns!r}]")
    names = list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidArgumentError(f"{argument}={columns!r}: give a list of names of columns")
    return names


def checked_outputs(columns: Sequence[str], output_columns: Any) -> list[str]:
    """Returns the names of the columns to make, one for each of `columns`; those themselves where none are given."""
    if output_columns is None:
        return list(columns)
    names = checked_columns(output_columns, "output_columns")
    if len(names) != len(columns):
        raise InvalidArgumentError(
            f"output_columns={names!r}: give one name for each of the {len(columns)} columns {list(columns)!r}"
        )
    return names


def learned(ds: Dataset, aggregations: Sequence[AggregateFn]) -> dict[str, Any]:
    """Returns the results of aggregations by name, all from one pass."""
    return ds.aggregate(*aggregations)
