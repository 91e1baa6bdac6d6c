"""Processors: what is done before and after asking a model, and by whom it is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset

RowFunction = Callable[[dict[str, Any]], dict[str, Any]]
INFERENCE_ERROR = "__inference_error__"
"""The column of rows that could not be asked, where a configuration goes on after errors."""


@dataclass(frozen=True, kw_only=True)
class ProcessorConfig(ABC):
    """How a model is asked.

    Args:
        batch_size: rows at a time.
        accelerator_type: of the workers that ask; None for any.
        concurrency: workers that ask at a time; or (least, most).
    """

    batch_size: int = 64
    accelerator_type: str | None = None
    concurrency: int | tuple[int, int] = 1

    def __post_init__(self) -> None:
        sizes = self.concurrency if isinstance(self.concurrency, tuple) else (self.concurrency,)
        for name, values in (("batch_size", (self.batch_size,)), ("concurrency", sizes)):
            if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 1 for value in values):
                raise InvalidArgumentError(
                    f"{type(self).__name__}: {name}={getattr(self, name)!r}; give a number of 1 or more"
                )

    @abstractmethod
    def stage(self, ds: Dataset) -> Dataset:
        """Returns the rows with the model's answers."""


class Processor:
    """Asks a model for each row of a dataset. Made by `build_processor`; call it with a dataset."""

    def __init__(
        self,
        config: ProcessorConfig,
        preprocess: RowFunction | None,
        postprocess: RowFunction | None,
        preprocess_map_kwargs: Mapping[str, Any],
        postprocess_map_kwargs: Mapping[str, Any],
    ) -> None:
        self._config = config
        self._preprocess = preprocess
        self._postprocess = postprocess
        self._preprocess_map_kwargs = dict(preprocess_map_kwargs)
        self._postprocess_map_kwargs = dict(postprocess_map_kwargs)

    def __call__(self, ds: Dataset) -> Dataset:
        """Returns the dataset of answers; it runs when something is taken out of it."""
        if self._preprocess is not None:
            ds = ds.map(self._preprocess, **self._preprocess_map_kwargs)
        ds = self._config.stage(ds)
        if self._postprocess is None:
            return ds
        return ds.map(_UnlessFailed(self._postprocess).done, **self._postprocess_map_kwargs)


@dataclass(frozen=True, slots=True)
class _UnlessFailed:
    """What is done after asking, with rows that have an answer."""

    postprocess: RowFunction

    def done(self, row: dict[str, Any]) -> dict[str, Any]:
        return row if row.get(INFERENCE_ERROR) is not None else self.postprocess(row)


def build_processor(
    config: ProcessorConfig,
    preprocess: RowFunction | None = None,
    postprocess: RowFunction | None = None,
    preprocess_map_kwargs: Mapping[str, Any] | None = None,
    postprocess_map_kwargs: Mapping[str, Any] | None = None,
    builder_kwargs: Mapping[str, Any] | None = None,
) -> Processor:
    """Makes a processor.

    Args:
        config: how the model is asked: a `HttpRequestProcessorConfig` or `vLLMEngineProcessorConfig`.
        preprocess: from a row to one that has what the model is asked (for HTTP: `payload`).
        postprocess: from a row with the answer (for HTTP: `http_response`) to the row that is wanted.
        preprocess_map_kwargs: options of the `map` that preprocesses.
        postprocess_map_kwargs: options of the `map` that postprocesses.
        builder_kwargs: accepted for Ray's sake.

    Raises:
        InvalidArgumentError: (a ValueError) `config` is none.
    """
    if not isinstance(config, ProcessorConfig):
        raise InvalidArgumentError(
            f"build_processor: config={config!r}; give a HttpRequestProcessorConfig or vLLMEngineProcessorConfig"
        )
    return Processor(config, preprocess, postprocess, preprocess_map_kwargs or {}, postprocess_map_kwargs or {})


build_llm_processor = build_processor
"""The older name."""
