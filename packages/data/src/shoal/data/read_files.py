"""Readers of files. What a path may be, and the arguments that all of them have, are told at `read_csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.data._internal.api.old_parallelism import takes_parallelism
from shoal.data._internal.sources.file_extensions import (
    ARROW_EXTENSIONS,
    AUDIO_EXTENSIONS,
    AVRO_EXTENSIONS,
    CSV_EXTENSIONS,
    IMAGE_EXTENSIONS,
    JSON_EXTENSIONS,
    NUMPY_EXTENSIONS,
    ORC_EXTENSIONS,
    PARQUET_EXTENSIONS,
    TFRECORD_EXTENSIONS,
    VIDEO_EXTENSIONS,
    WEBDATASET_EXTENSIONS,
)
from shoal.data._internal.sources.listing import ErrorPolicy, FileShuffle
from shoal.data._internal.sources.partitioning import Partitioning, PathPartitionFilter
from shoal.data._internal.sources.paths import Paths
from shoal.data.dataset import Dataset
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.read_api import reading

_HIVE = Partitioning("hive")


@takes_parallelism
def read_csv(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = _HIVE,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = CSV_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_csv_args: Any,
) -> Dataset:
    """Reads CSV files: one row a line, names in the first, types told by the values.

    Args:
        paths: files, directories (read at any depth) and patterns with `*`, local or as URIs such as `s3://bucket/folder`.
        filesystem: of pyarrow or fsspec; None to find it by the first path.
        arrow_open_stream_args: for `pyarrow.fs.FileSystem.open_input_stream`: 'compression' (else told by the extension), 'buffer_size' in
            bytes.
        partition_filter: which files are read, by the columns in their paths.
        partitioning: which directories are columns; None for none. By default those named `name=value`.
        include_paths: adds the column `path`.
        ignore_missing_paths: pass over paths where there is nothing.
        shuffle: 'files' or a `FileShuffleConfig` to read files in another order than that of their paths.
        file_extensions: only such files are read, without dots; None for all.
        on_error: 'raise', or 'skip' to pass over files that cannot be read, each with a warning in the log of `shoal.data`.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks; None to choose.
        ray_remote_args: options of those tasks, and so are `num_cpus`, `num_gpus`, `memory` (bytes) and `resources`.
        arrow_csv_args: of `pyarrow.csv.read_csv`: read_options, parse_options, convert_options.

    Raises:
        FilesNotFoundError: (an OSError) there is nothing at a path, or no such file.
        FileReadError: (an OSError) when run: a file cannot be read.
        InvalidArgumentError: (a ValueError) an argument has a value that it cannot have.

    Example:
        >>> import pathlib, tempfile, shoal
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.csv").write_text("x,y\\n1,a\\n2,b\\n")
        >>> shoal.data.read_csv(folder).take_all()
        [{'x': 1, 'y': 'a'}, {'x': 2, 'y': 'b'}]
    """
    from shoal.data._internal.sources.csv import CSVSource

    source = CSVSource(
        paths,
        arrow_csv_args=arrow_csv_args,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_json(
    paths: Paths,
    *,
    lines: bool = False,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = _HIVE,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = JSON_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_json_args: Any,
) -> Dataset:
    """Reads files of JSON: an object a line, or one array of objects. See `read_csv` for the other arguments and errors.

    Args:
        paths: files, directories and patterns.
        lines: whether files are known to have one object a line; else their first character tells.
        arrow_json_args: of `pyarrow.json.read_json`: read_options, parse_options.
    """
    from shoal.data._internal.sources.json import JSONSource

    source = JSONSource(
        paths,
        lines=lines,
        arrow_json_args=arrow_json_args,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_parquet(
    paths: Paths,
    *,
    columns: Sequence[str] | None = None,
    schema: Any = None,
    filesystem: Any = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = _HIVE,
    include_paths: bool = False,
    include_row_hash: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = PARQUET_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    skip_paths: Paths | None = None,
    tensor_column_schema: Mapping[str, tuple[Any, Sequence[int]]] | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_parquet_args: Any,
) -> Dataset:
    """Reads Parquet files. Footers tell columns and numbers of rows; columns, filters by expression and limits are pushed into the reading.

    See `read_csv` for the other arguments.

    Args:
        paths: files, directories and patterns. Directories named `name=value` are columns of strings.
        columns: just these.
        schema: of all files; None to unify theirs.
        include_row_hash: adds the column `row_hash` (uint64): a number that tells rows apart and is the same in every run, made of the
            file's path and the row's place in the file, whatever the row has in it.
        skip_paths: files and directories that are not read.
        tensor_column_schema: columns of bytes that are tensors (`array.tobytes()`), to (dtype, shape).
        arrow_parquet_args: filter (an Arrow expression), batch_size (rows), use_threads, and those of `pyarrow.parquet.ParquetFile`.

    Raises:
        FilesNotFoundError: (an OSError) there is nothing at a path, or no such file.
        FileReadError: (an OSError) a file cannot be read.
        ColumnNotFoundError: a column of `columns` is not there.
        SchemaMismatchError: a field has types in two files that have none in common; it names file and field.

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
        schema=schema,
        filesystem=filesystem,
        file_extensions=file_extensions,
        partitioning=partitioning,
        partition_filter=partition_filter,
        include_paths=include_paths,
        include_row_hash=include_row_hash,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
        skip_paths=skip_paths,
        arrow_parquet_args=arrow_parquet_args,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    dataset = reading(source, override_num_blocks, concurrency, options)
    if tensor_column_schema is None:
        return dataset
    from shoal.data._internal.sources.serialized_tensors import ToTensors

    return dataset.map_batches(
        ToTensors.checked(tensor_column_schema), batch_format="pyarrow", udf_modifying_row_count=False
    )


@takes_parallelism
def read_text(
    paths: Paths,
    *,
    encoding: str = "utf-8",
    drop_empty_lines: bool = True,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = None,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads lines of text, in the column `text`. See `read_csv` for the other arguments and errors.

    Args:
        paths: files, directories and patterns.
        encoding: of the files.
        drop_empty_lines: leave out lines of nothing but whitespace.
    """
    from shoal.data._internal.sources.text import TextSource

    source = TextSource(
        paths,
        encoding=encoding,
        drop_empty_lines=drop_empty_lines,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_binary_files(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = None,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads whole files, one a row, in the column `bytes`. See `read_csv` for the arguments and errors."""
    from shoal.data._internal.sources.binary import BinarySource

    source = BinarySource(
        paths,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_images(
    paths: Paths,
    *,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    arrow_open_file_args: Mapping[str, Any] | None = None,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = IMAGE_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads images, one a row, in the column `image` (height, width, channels; uint8). Needs Pillow.

    See `read_csv` for the other arguments and errors.

    Args:
        paths: files, directories and patterns.
        size: (height, width) in pixels to resize to.
        mode: of Pillow to convert to: 'RGB', 'L', ….
        arrow_open_file_args: another name for `arrow_open_stream_args`: images are opened as streams. Give one of them.
    """
    if arrow_open_file_args and arrow_open_stream_args:
        raise InvalidArgumentError(
            "read_images: arrow_open_file_args and arrow_open_stream_args are the same; give one of them"
        )
    from shoal.data._internal.sources.images import ImagesSource

    source = ImagesSource(
        paths,
        size=size,
        mode=mode,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_file_args or arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_numpy(
    paths: Paths,
    *,
    allow_pickle: bool = False,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = NUMPY_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **numpy_load_args: Any,
) -> Dataset:
    """Reads `.npy` and `.npz` files: the first axis are the rows, in the column `data`. See `read_csv` for the other arguments and errors.

    Args:
        paths: files, directories and patterns.
        allow_pickle: whether files may hold pickled objects: only for files that are trusted.
        numpy_load_args: of `numpy.load`.
    """
    from shoal.data._internal.sources.numpy import NumpySource

    source = NumpySource(
        paths,
        allow_pickle=allow_pickle,
        numpy_load_args=numpy_load_args,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_arrow(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = ARROW_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads files and streams of Arrow's IPC format, Feather among them. See `read_csv` for the arguments and errors."""
    from shoal.data._internal.sources.arrow_ipc import ArrowSource

    source = ArrowSource(
        paths,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_orc(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = ORC_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads ORC files, stripe by stripe. See `read_csv` for the arguments and errors."""
    from shoal.data._internal.sources.orc import ORCSource

    source = ORCSource(
        paths,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_avro(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = AVRO_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads Avro files. Needs fastavro. See `read_csv` for the arguments and errors."""
    from shoal.data._internal.sources.avro import AvroSource

    source = AvroSource(
        paths,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_audio(
    paths: Paths,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = AUDIO_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads files of sound, one a row: `amplitude` (channels, samples) and `sample_rate`. Needs soundfile.

    See `read_csv` for the arguments and errors."""
    from shoal.data._internal.sources.audio import AudioSource

    source = AudioSource(
        paths,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_videos(
    paths: Paths,
    *,
    include_timestamps: bool = False,
    fps: float | None = None,
    resize: tuple[int, int] | None = None,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = VIDEO_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads files of moving pictures, one picture a row: `frame` (height, width, 3; uint8) and `frame_index`. Needs av.

    See `read_csv` for the other arguments and errors.

    Args:
        paths: files, directories and patterns.
        include_timestamps: adds `frame_timestamp`: begin and end in seconds.
        fps: pictures a second, taken from those that there are; None for all.
        resize: (height, width) in pixels.
    """
    from shoal.data._internal.sources.videos import VideosSource

    source = VideosSource(
        paths,
        include_timestamps=include_timestamps,
        fps=fps,
        resize=resize,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_tfrecords(
    paths: Paths,
    *,
    tf_schema: Any = None,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = TFRECORD_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads TFRecord files of tf.train.Example, one a row. See `read_csv` for the other arguments and errors.

    Args:
        paths: files, directories and patterns.
        tf_schema: of tensorflow_metadata, or a dict of names to 'bytes', 'float', 'int'; None to tell types by the values.
    """
    from shoal.data._internal.sources.tfrecords import TFRecordsSource

    source = TFRecordsSource(
        paths,
        tf_schema=tf_schema,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


@takes_parallelism
def read_webdataset(
    paths: Paths,
    *,
    decoder: Any = True,
    fileselect: Any = None,
    filerename: Any = None,
    suffixes: Any = None,
    verbose_open: bool = False,
    expand_json: bool = False,
    filesystem: Any = None,
    arrow_open_stream_args: Mapping[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: FileShuffle = None,
    file_extensions: Sequence[str] | None = WEBDATASET_EXTENSIONS,
    on_error: ErrorPolicy = "raise",
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads tar files in WebDataset's layout, one sample a row. See `read_csv` for the other arguments and errors.

    Args:
        paths: files, directories and patterns.
        decoder: True to decode by extension, 'PIL' for images of Pillow, a function of a row or a list of such, None for bytes.
        fileselect: which members are read: patterns, or a function of the name.
        filerename: a function from a name to another.
        suffixes: which extensions become columns.
        verbose_open: accepted for Ray's sake.
        expand_json: whether the fields of the column `json` become columns.
    """
    from shoal.data._internal.sources.webdataset import WebDatasetSource

    source = WebDatasetSource(
        paths,
        decoder=decoder,
        fileselect=fileselect,
        filerename=filerename,
        suffixes=suffixes,
        expand_json=expand_json,
        file_extensions=file_extensions,
        filesystem=filesystem,
        arrow_open_stream_args=dict(arrow_open_stream_args or {}),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        on_error=on_error,
    )
    options = _options(ray_remote_args, num_cpus, num_gpus, memory, resources)
    return reading(source, override_num_blocks, concurrency, options)


def _options(
    ray_remote_args: dict[str, Any] | None,
    num_cpus: float | None,
    num_gpus: float | None,
    memory: float | None,
    resources: dict[str, float] | None,
) -> dict[str, Any]:
    given = {"num_cpus": num_cpus, "num_gpus": num_gpus, "memory": memory, "resources": resources}
    return {**(ray_remote_args or {}), **{name: value for name, value in given.items() if value is not None}}
