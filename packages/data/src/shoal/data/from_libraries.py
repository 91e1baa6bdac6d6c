"""Datasets of what other libraries hold."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from shoal.data._internal.api.arguments import positive
from shoal.data.dataset import Dataset, MaterializedDataset
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.from_memory import from_arrow, from_items, from_pandas
from shoal.data.read_api import reading


def from_huggingface(dataset: Any, concurrency: int | None = None, override_num_blocks: int | None = None) -> Dataset:
    """Makes a dataset of one of Hugging Face's.

    Args:
        dataset: a `datasets.Dataset` (tasks map its files into memory; one that is in memory becomes blocks at once), or an
            `IterableDataset` (which has as many tasks as shards, at most).
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.

    Raises:
        InvalidArgumentError: (a ValueError) it is a dict of splits, or no such dataset at all.
        ImportError: datasets is not installed.

    Example:
        >>> import datasets, shoal
        >>> shoal.data.from_huggingface(datasets.Dataset.from_dict({"text": ["a", "b"]})).take_all()
        [{'text': 'a'}, {'text': 'b'}]
    """
    try:
        import datasets
    except ImportError as error:
        raise ImportError('from_huggingface needs datasets: pip install "shoal-data[huggingface]"') from error
    from shoal.data._internal.sources.huggingface import HuggingFaceSource, HuggingFaceStreamSource, plain_table

    if isinstance(dataset, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        splits = list(dataset)
        raise InvalidArgumentError(
            f"from_huggingface: dataset has the splits {', '.join(map(repr, splits)) or 'none'}; give one of them"
            + (f", such as dataset[{splits[0]!r}]" if splits else "")
        )
    if isinstance(dataset, datasets.IterableDataset):
        return reading(HuggingFaceStreamSource(dataset), override_num_blocks, concurrency)
    if not isinstance(dataset, datasets.Dataset):
        raise InvalidArgumentError(
            f"from_huggingface: dataset is {type(dataset).__name__}; give a datasets.Dataset or IterableDataset"
        )
    if dataset.cache_files:
        return reading(HuggingFaceSource(dataset), override_num_blocks, concurrency)
    if concurrency is not None:
        positive("concurrency", concurrency)
    return from_arrow(plain_table(dataset.with_format("arrow")[:]), override_num_blocks=override_num_blocks)


def from_torch(dataset: Any, local_read: bool = False) -> Dataset:
    """Makes a dataset of one of torch's, with the column `item`; tuples become lists, tensors arrays.

    Args:
        dataset: with `__getitem__` and `__len__` (several tasks read it), or only with `__iter__` (one task does). Picklable.
        local_read: whether it is read on this node only, as it always is.

    Raises:
        InvalidArgumentError: (a ValueError) it is neither.

    Example:
        >>> import shoal
        >>> class Squares:
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, place):
        ...         return place**2
        >>> shoal.data.from_torch(Squares()).take_all()
        [{'item': 0}, {'item': 1}, {'item': 4}]
    """
    from shoal.data._internal.sources.torch_dataset import TorchIterableSource, TorchMapSource

    if isinstance(dataset, type):
        raise InvalidArgumentError(f"from_torch: dataset is the class {dataset.__name__}; give an object of it")
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return reading(TorchMapSource(dataset))
    if hasattr(dataset, "__iter__"):
        return reading(TorchIterableSource(dataset))
    raise InvalidArgumentError(
        f"from_torch: dataset is {type(dataset).__name__}, which has neither __getitem__ and __len__ nor __iter__; "
        "give a torch.utils.data.Dataset or IterableDataset"
    )


def from_tf(dataset: Any) -> MaterializedDataset:
    """Makes a dataset of a `tf.data.Dataset`, which is read here and now: it has to fit into memory.

    Args:
        dataset: its elements become rows if they are dicts, else the column `item`; tuples become lists.

    Raises:
        InvalidArgumentError: (a ValueError) it is no such dataset, or one without an end.
        ImportError: tensorflow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError("from_tf needs tensorflow: pip install tensorflow") from error
    if not isinstance(dataset, tf.data.Dataset):
        raise InvalidArgumentError(f"from_tf: dataset is {type(dataset).__name__}; give a tf.data.Dataset")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InvalidArgumentError("from_tf: dataset has no end; give dataset.take(n)")
    return from_items([_listed(element) for element in dataset.as_numpy_iterator()])


def from_dask(df: Any) -> MaterializedDataset:
    """Makes a dataset of a Dask DataFrame: its partitions are computed now, by Dask, and become blocks.

    Raises:
        InvalidArgumentError: (a ValueError) it is no Dask DataFrame.
        ImportError: dask is not installed.
    """
    try:
        dask: Any = import_module("dask")
        dd: Any = import_module("dask.dataframe")
    except ImportError as error:
        raise ImportError('from_dask needs dask: pip install "shoal-data[dask]"') from error
    if not isinstance(df, dd.DataFrame):
        raise InvalidArgumentError(f"from_dask: df is {type(df).__name__}; give a dask.dataframe.DataFrame")
    return from_pandas(list(dask.compute(*df.to_delayed())))


def from_modin(df: Any) -> MaterializedDataset:
    """Makes a dataset of a Modin DataFrame, which is gathered here.

    Raises:
        InvalidArgumentError: (a ValueError) it is no Modin DataFrame.
        ImportError: modin is not installed.
    """
    try:
        import modin.pandas
    except ImportError as error:
        raise ImportError('from_modin needs modin: pip install "shoal-data[modin]"') from error
    if not isinstance(df, modin.pandas.DataFrame):
        raise InvalidArgumentError(f"from_modin: df is {type(df).__name__}; give a modin.pandas.DataFrame")
    return from_pandas(df.modin.to_pandas())


def from_spark(
    df: Any, *, parallelism: int | None = None, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """Makes a dataset of a Spark DataFrame (Spark 4 or later), which is gathered here: it has to fit into memory.

    Args:
        df: a `pyspark.sql.DataFrame`.
        parallelism: an old name of `override_num_blocks`.
        override_num_blocks: into how many blocks; None to choose.

    Raises:
        InvalidArgumentError: (a ValueError) it is no Spark DataFrame, or one of an older Spark.
    """
    if not hasattr(df, "sparkSession"):
        raise InvalidArgumentError(f"from_spark: df is {type(df).__name__}; give a pyspark.sql.DataFrame")
    if not hasattr(df, "toArrow"):
        raise InvalidArgumentError("from_spark: df is of a Spark before 4.0; give from_pandas(df.toPandas())")
    return from_arrow(df.toArrow(), override_num_blocks=override_num_blocks or parallelism)


def from_daft(df: Any) -> MaterializedDataset:
    """Makes a dataset of a Daft DataFrame, which is computed now, by Daft.

    Raises:
        InvalidArgumentError: (a ValueError) it is no Daft DataFrame.
        ImportError: daft is not installed.
    """
    try:
        import daft
    except ImportError as error:
        raise ImportError('from_daft needs daft: pip install "shoal-data[daft]"') from error
    if not isinstance(df, daft.DataFrame):
        raise InvalidArgumentError(f"from_daft: df is {type(df).__name__}; give a daft.DataFrame")
    return from_arrow(df.to_arrow())


def _listed(value: Any) -> Any:
    """Tuples as lists: what columns can hold."""
    if isinstance(value, tuple):
        return [_listed(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _listed(part) for name, part in value.items()}
    return value
