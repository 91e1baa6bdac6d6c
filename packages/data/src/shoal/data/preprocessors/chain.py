"""Preprocessors one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.data.exceptions import InvalidArgumentError
from shoal.data.preprocessors.preprocessor import FitStatus, Preprocessor

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset


class Chain(Preprocessor):
    """Each preprocessor is fitted on what those before it make of the dataset.

    Args:
        preprocessors: in their order.
    """

    def __init__(self, *preprocessors: Preprocessor) -> None:
        for item in preprocessors:
            if not isinstance(item, Preprocessor):
                raise InvalidArgumentError(f"Chain: {item!r} is no preprocessor")
        if not preprocessors:
            raise InvalidArgumentError("Chain: give at least one preprocessor")
        self.preprocessors = preprocessors

    def fit_status(self) -> FitStatus:
        fittable = [item.fit_status() for item in self.preprocessors if item.fit_status() != FitStatus.NOT_FITTABLE]
        if not fittable:
            return FitStatus.NOT_FITTABLE
        if all(status == FitStatus.FITTED for status in fittable):
            return FitStatus.FITTED
        fitted = any(status != FitStatus.NOT_FITTED for status in fittable)
        return FitStatus.PARTIALLY_FITTED if fitted else FitStatus.NOT_FITTED

    def has_stats(self) -> bool:
        return any(item.has_stats() for item in self.preprocessors)

    def _fit(self, ds: Dataset) -> None:
        for item in self.preprocessors[:-1]:
            ds = item.fit_transform(ds)
        self.preprocessors[-1].fit(ds)

    def transform(self, ds: Dataset, **options: Any) -> Dataset:
        self._check_fitted()
        for item in self.preprocessors:
            ds = item.transform(ds, **options)
        return ds

    def transform_batch(self, data: Any) -> Any:
        self._check_fitted()
        for item in self.preprocessors:
            data = item.transform_batch(data)
        return data

    def get_input_columns(self) -> list[str]:
        made: set[str] = set()
        found: dict[str, None] = {}
        for item in self.preprocessors:
            found.update(dict.fromkeys(name for name in item.get_input_columns() if name not in made))
            made.update(item.get_output_columns())
        return list(found)

    def get_output_columns(self) -> list[str]:
        return list(dict.fromkeys(name for item in self.preprocessors for name in item.get_output_columns()))

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.preprocessors))})"
