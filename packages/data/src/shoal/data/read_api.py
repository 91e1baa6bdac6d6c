"""Datasets of numbers, files and sources of the program's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.data._internal.api.arguments import compute_of, not_negative, positive
from shoal.data._internal.plan.operators import Read
from shoal.data._internal.sources.ranges import RangeSource
from shoal.data._internal.sources.source import Source
from shoal.data.dataset import Dataset
from shoal.data.exceptions import InvalidArgumentError

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def range(n: int, *, concurrency: int | None = None, override_num_blocks: int | None = None) -> Dataset:  # noqa: A001  Ray's name
    """Makes a dataset of the numbers 0 to n - 1, in the column `id`.

    Args:
        n: how many rows.
        concurrency: most tasks that make them at a time.
        override_num_blocks: in how many blocks; None to choose.

    Raises:
        InvalidArgumentError: (a ValueError) a number that cannot be.

    Example:
        >>> import shoal
        >>> shoal.data.range(3).take_all()
        [{'id': 0}, {'id': 1}, {'id': 2}]
    """
    return reading(RangeSource(not_negative("n", n)), override_num_blocks, concurrency)


def range_tensor(
    n: int, *, shape: Sequence[int] = (1,), concurrency: int | None = None, override_num_blocks: int | None = None
) -> Dataset:
    """Makes a dataset of tensors, each filled with its row's number, in the column `data`.

    Args:
        n: how many rows.
        shape: of each tensor.
        concurrency: most tasks that make them at a time.
        override_num_blocks: in how many blocks; None to choose.
    """
    sizes = tuple(positive("shape", size) for size in shape)
    return reading(RangeSource(not_negative("n", n), sizes), override_num_blocks, concurrency)


def reading(
    source: Source,
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """Makes a dataset of a source; checks what all readers take.

    Args:
        source: where the rows come from.
        override_num_blocks: read tasks; None to choose.
        concurrency: most such tasks at a time.
        ray_remote_args: options of the tasks, and so are `options`.
    """
    if not isinstance(source, Source):
        raise InvalidArgumentError(f"{source!r} is no source")
    blocks = positive("override_num_blocks", override_num_blocks) if override_num_blocks is not None else None
    compute = compute_of(False, None, concurrency, {**(ray_remote_args or {}), **options})
    return Dataset(Read(source, blocks, compute))


def read_csv(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = ("csv",),
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_csv_args: Any,
) -> Dataset:
    """Reads CSV files: one row a line, types told by the values.

    Args:
        paths: files and directories (read at any depth), local or as URIs such as `s3://bucket/folder`.
        filesystem: of pyarrow; None to find it by the first path.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        file_extensions: only such files are read, without dots; None for all.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.
        arrow_csv_args: arguments of `pyarrow.csv.read_csv`: read_options, parse_options, convert_options.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, no such file, or one that cannot be read.
    """
    from shoal.data._internal.sources.formats import csv_source

    source = csv_source(
        paths,
        include_paths,
        dict(arrow_csv_args),
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_json(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = ("json", "jsonl"),
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_json_args: Any,
) -> Dataset:
    """Reads files of JSON lines, or of one array of objects.

    Args:
        paths: files and directories (read at any depth), local or as URIs such as `s3://bucket/folder`.
        filesystem: of pyarrow; None to find it by the first path.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        file_extensions: only such files are read, without dots; None for all.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.
        arrow_json_args: arguments of `pyarrow.json.read_json`: read_options, parse_options.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, no such file, or one that cannot be read.
    """
    from shoal.data._internal.sources.formats import json_source

    source = json_source(
        paths,
        include_paths,
        dict(arrow_json_args),
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_numpy(
    paths: Paths,
    *,
    allow_pickle: bool = False,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = ("npy", "npz"),
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **numpy_load_args: Any,
) -> Dataset:
    """Reads `.npy` and `.npz` files: the first axis are the rows, the column is `data`.

    Args:
        paths: files and directories (read at any depth), local or as URIs such as `s3://bucket/folder`.
        allow_pickle: whether files may hold pickled objects: only for files that are trusted.
        filesystem: of pyarrow; None to find it by the first path.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        file_extensions: only such files are read, without dots; None for all.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.
        numpy_load_args: arguments of `numpy.load`.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, no such file, or one that cannot be read.
    """
    from shoal.data._internal.sources.formats import numpy_source

    source = numpy_source(
        paths,
        include_paths,
        {"allow_pickle": allow_pickle, **numpy_load_args},
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_text(
    paths: Paths,
    *,
    encoding: str = "utf-8",
    drop_empty_lines: bool = True,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads lines of text, in the column `text`.

    Args:
        paths: files and directories (read at any depth), local or as URIs such as `s3://bucket/folder`.
        encoding: of the files.
        drop_empty_lines: leave lines out that are empty.
        filesystem: of pyarrow; None to find it by the first path.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        file_extensions: only such files are read, without dots; None for all.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, no such file, or one that cannot be read.
    """
    from shoal.data._internal.sources.formats import text_source

    source = text_source(
        paths,
        include_paths,
        encoding,
        drop_empty_lines,
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_binary_files(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads whole files, one a row, in the column `bytes`.

    Args:
        paths: files and directories (read at any depth), local or as URIs such as `s3://bucket/folder`.
        filesystem: of pyarrow; None to find it by the first path.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        file_extensions: only such files are read, without dots; None for all.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, no such file, or one that cannot be read.
    """
    from shoal.data._internal.sources.formats import binary_source

    source = binary_source(
        paths,
        include_paths,
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_images(
    paths: Paths,
    *,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp"),
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads images, one a row, in the column `image` (height, width, channels; uint8).

    Args:
        paths: files and directories (read at any depth), local or as URIs such as `s3://bucket/folder`.
        size: (height, width) to resize to.
        mode: of Pillow to convert to: 'RGB', 'L', ….
        filesystem: of pyarrow; None to find it by the first path.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        file_extensions: only such files are read, without dots; None for all.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, no such file, or one that cannot be read.
    """
    from shoal.data._internal.sources.formats import images_source

    source = images_source(
        paths,
        include_paths,
        size,
        mode,
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_parquet(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    filesystem: Any = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = ("parquet",),
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_parquet_args: Any,
) -> Dataset:
    """Reads Parquet files. Footers tell columns and numbers of rows; columns and filters by expression are pushed into the reading.

    Args:
        paths: files and directories (read at any depth), local or as URIs such as `s3://bucket/folder`. Directories named `name=value`
            are columns of strings.
        columns: just these.
        filesystem: of pyarrow; None to find it by the first path.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        file_extensions: only such files are read, without dots; None for all.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks.
        arrow_parquet_args: arguments of `pyarrow.dataset.Fragment.scanner`.

    Raises:
        FileReadError: (an OSError) there is nothing at a path, no such file, or one that cannot be read.
        ColumnNotFoundError: a column of `columns` is not there.
        SchemaMismatchError: when run: a file's column cannot have the dataset's type.

    Example:
        >>> import shoal, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> shoal.data.range(3).write_parquet(folder)
        >>> shoal.data.read_parquet(folder).sum("id")
        3
    """
    from shoal.data._internal.sources.parquet import ParquetSource

    source = ParquetSource(
        paths,
        columns=columns,
        filesystem=filesystem,
        file_extensions=file_extensions,
        ignore_missing_paths=ignore_missing_paths,
        include_paths=include_paths,
        arrow_parquet_args=arrow_parquet_args,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_tfrecords(
    paths: Paths,
    *,
    tf_schema: Any = None,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = ("tfrecords", "tfrecord"),
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads TFRecord files of tf.train.Example, one a row. See `read_csv` for the arguments.

    Args:
        paths: files and directories.
        tf_schema: of tensorflow_metadata; None to tell types by the values.
    """
    from shoal.data._internal.sources.tfrecords import TFRecordsSource

    source = TFRecordsSource(
        paths,
        tf_schema=tf_schema,
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)


def read_webdataset(
    paths: Paths,
    *,
    decoder: Any = True,
    fileselect: Any = None,
    filerename: Any = None,
    suffixes: Any = None,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    ignore_missing_paths: bool = False,
    file_extensions: Sequence[str] | None = ("tar",),
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads tar files in WebDataset's layout, one sample a row. See `read_csv` for the arguments.

    Args:
        paths: files and directories.
        decoder: True for the usual decoders by extension, False for bytes, or functions of a sample.
        fileselect: which members are read.
        filerename: how members are renamed.
        suffixes: extensions that are kept.
    """
    from shoal.data._internal.sources.webdataset import WebDatasetSource

    source = WebDatasetSource(
        paths,
        decoder=decoder,
        fileselect=fileselect,
        filerename=filerename,
        suffixes=suffixes,
        filesystem=filesystem,
        arrow_open_stream_args=arrow_open_stream_args,
        ignore_missing_paths=ignore_missing_paths,
        file_extensions=file_extensions,
    )
    return reading(source, override_num_blocks, concurrency, ray_remote_args)
