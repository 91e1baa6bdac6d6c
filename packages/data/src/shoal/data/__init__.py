"""Lazy, streaming datasets of Arrow blocks on tasks and actors. What is here is imported when it is first used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.data._internal.api.arguments import ActorPoolStrategy as ActorPoolStrategy
    from shoal.data._internal.api.arguments import TaskPoolStrategy as TaskPoolStrategy
    from shoal.data._internal.version import __version__ as __version__
    from shoal.data.context import DataContext as DataContext
    from shoal.data.context import DatasetContext as DatasetContext
    from shoal.data.context import ExecutionOptions as ExecutionOptions
    from shoal.data.context import ExecutionResources as ExecutionResources
    from shoal.data.context import NodeIdStr as NodeIdStr
    from shoal.data.context import ShuffleStrategy as ShuffleStrategy
    from shoal.data.dataset import Dataset as Dataset
    from shoal.data.dataset import MaterializedDataset as MaterializedDataset
    from shoal.data.datasource.datasink import BlockBasedFileDatasink as BlockBasedFileDatasink
    from shoal.data.datasource.datasink import Datasink as Datasink
    from shoal.data.datasource.datasink import RowBasedFileDatasink as RowBasedFileDatasink
    from shoal.data.datasource.datasource import Datasource as Datasource
    from shoal.data.datasource.datasource import ReadTask as ReadTask
    from shoal.data.datasource.file_based_datasource import FileShuffleConfig as FileShuffleConfig
    from shoal.data.datasource.save_mode import SaveMode as SaveMode
    from shoal.data.from_libraries import from_daft as from_daft
    from shoal.data.from_libraries import from_dask as from_dask
    from shoal.data.from_libraries import from_huggingface as from_huggingface
    from shoal.data.from_libraries import from_modin as from_modin
    from shoal.data.from_libraries import from_spark as from_spark
    from shoal.data.from_libraries import from_tf as from_tf
    from shoal.data.from_libraries import from_torch as from_torch
    from shoal.data.from_memory import from_arrow as from_arrow
    from shoal.data.from_memory import from_arrow_refs as from_arrow_refs
    from shoal.data.from_memory import from_blocks as from_blocks
    from shoal.data.from_memory import from_items as from_items
    from shoal.data.from_memory import from_numpy as from_numpy
    from shoal.data.from_memory import from_numpy_refs as from_numpy_refs
    from shoal.data.from_memory import from_pandas as from_pandas
    from shoal.data.from_memory import from_pandas_refs as from_pandas_refs
    from shoal.data.grouped_data import GroupedData as GroupedData
    from shoal.data.iterator import DataIterator as DataIterator
    from shoal.data.preprocessors.preprocessor import Preprocessor as Preprocessor
    from shoal.data.read_api import range as range
    from shoal.data.read_api import range_tensor as range_tensor
    from shoal.data.read_api import read_datasource as read_datasource
    from shoal.data.read_files import read_arrow as read_arrow
    from shoal.data.read_files import read_audio as read_audio
    from shoal.data.read_files import read_avro as read_avro
    from shoal.data.read_files import read_binary_files as read_binary_files
    from shoal.data.read_files import read_csv as read_csv
    from shoal.data.read_files import read_images as read_images
    from shoal.data.read_files import read_json as read_json
    from shoal.data.read_files import read_numpy as read_numpy
    from shoal.data.read_files import read_orc as read_orc
    from shoal.data.read_files import read_parquet as read_parquet
    from shoal.data.read_files import read_text as read_text
    from shoal.data.read_files import read_tfrecords as read_tfrecords
    from shoal.data.read_files import read_videos as read_videos
    from shoal.data.read_files import read_webdataset as read_webdataset
    from shoal.data.read_tables import read_delta as read_delta
    from shoal.data.read_tables import read_iceberg as read_iceberg
    from shoal.data.read_tables import read_lance as read_lance
    from shoal.data.read_tables import read_mongo as read_mongo
    from shoal.data.read_tables import read_sql as read_sql
    from shoal.data.schema import Schema as Schema

_HOMES: dict[str, str] = {
    "ActorPoolStrategy": "_internal.api.arguments",
    "DataContext": "context",
    "DataIterator": "iterator",
    "Dataset": "dataset",
    "ExecutionOptions": "context",
    "ExecutionResources": "context",
    "GroupedData": "grouped_data",
    "MaterializedDataset": "dataset",
    "Schema": "schema",
    "ShuffleStrategy": "context",
    "TaskPoolStrategy": "_internal.api.arguments",
    "__version__": "_internal.version",
    "read_binary_files": "read_files",
    "read_csv": "read_files",
    "read_images": "read_files",
    "read_json": "read_files",
    "read_numpy": "read_files",
    "read_parquet": "read_files",
    "read_text": "read_files",
    "read_tfrecords": "read_files",
    "read_webdataset": "read_files",
    "Datasource": "datasource.datasource",
    "FileShuffleConfig": "datasource.file_based_datasource",
    "ReadTask": "datasource.datasource",
    "read_arrow": "read_files",
    "read_audio": "read_files",
    "read_avro": "read_files",
    "read_videos": "read_files",
    "read_datasource": "read_api",
    "read_orc": "read_files",
    "Datasink": "datasource.datasink",
    "SaveMode": "datasource.save_mode",
    "read_delta": "read_tables",
    "read_iceberg": "read_tables",
    "read_lance": "read_tables",
    "read_mongo": "read_tables",
    "read_sql": "read_tables",
    "from_daft": "from_libraries",
    "from_dask": "from_libraries",
    "from_huggingface": "from_libraries",
    "from_modin": "from_libraries",
    "from_spark": "from_libraries",
    "from_tf": "from_libraries",
    "from_torch": "from_libraries",
    "range": "read_api",
    "range_tensor": "read_api",
    "from_arrow": "from_memory",
    "from_arrow_refs": "from_memory",
    "from_blocks": "from_memory",
    "from_items": "from_memory",
    "from_numpy": "from_memory",
    "from_numpy_refs": "from_memory",
    "from_pandas": "from_memory",
    "from_pandas_refs": "from_memory",
}

_HOMES_OF_OTHERS: dict[str, str] = {
    "BlockBasedFileDatasink": "datasource.datasink",
    "DatasetContext": "context",
    "NodeIdStr": "context",
    "Preprocessor": "preprocessors.preprocessor",
    "RowBasedFileDatasink": "datasource.datasink",
}
"""Old names, and those of other modules, that Ray has here as well."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _HOMES.get(name) or _HOMES_OF_OTHERS.get(name)
    if home is not None:
        value = getattr(import_module(f"shoal.data.{home}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'shoal.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
