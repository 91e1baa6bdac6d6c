"""Writing datasets to files and databases."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.data._internal.api.arguments import compute_of
from shoal.data._internal.api.base import DatasetBase
from shoal.data._internal.plan.identity import write_id_of
from shoal.data._internal.sinks.save_mode import SaveMode
from shoal.data.exceptions import InvalidArgumentError

Path = str | os.PathLike[str]


class Writing(DatasetBase):
    """Part of `Dataset`. Writing runs the dataset; files appear when they are complete.

    All writers of files take `filesystem` (of pyarrow or fsspec; None to find it by the path), `try_create_dir`, `arrow_open_stream_args`,
    `filename_provider`, `min_rows_per_file`, `mode` (a `SaveMode`, or its name), `ray_remote_args` (options of the tasks that write) and
    `concurrency` (most such tasks at a time). Files are named by the plan and its inputs, so that a job that is run again replaces its own.
    """

    def write_parquet(
        self,
        path: Path,
        *,
        partition_cols: Sequence[str] | None = None,
        arrow_parquet_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        max_rows_per_file: int | None = None,
        min_bytes_per_file: int | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        **arrow_parquet_args: Any,
    ) -> None:
        """Writes Parquet files into a directory.

        Args:
            path: the directory, or a URI such as `s3://bucket/folder`.
            partition_cols: columns whose values become directories (`name=value`).
            arrow_parquet_args_fn: returns arguments of `pyarrow.parquet.ParquetWriter`, in the task.
            min_rows_per_file: rows that are gathered for a file.
            max_rows_per_file: rows after which another file begins.
            min_bytes_per_file: bytes in memory that are gathered for a file.
            arrow_parquet_args: arguments of `pyarrow.parquet.ParquetWriter`.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be.
            InvalidArgumentError: `mode` is ERROR, and there is something already.
            ColumnNotFoundError: a partition column is not there.

        Example:
            >>> import shoal, tempfile
            >>> folder = tempfile.mkdtemp()
            >>> shoal.data.range(3).write_parquet(folder)
            >>> shoal.data.read_parquet(folder).count()
            3
        """
        from shoal.data._internal.sinks.parquet_sink import ParquetSink

        sink = ParquetSink(
            path,
            partition_cols=partition_cols,
            arrow_parquet_args_fn=arrow_parquet_args_fn,
            min_rows_per_file=min_rows_per_file,
            max_rows_per_file=max_rows_per_file,
            min_bytes_per_file=min_bytes_per_file,
            arrow_parquet_args=arrow_parquet_args,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_csv(
        self,
        path: Path,
        *,
        arrow_csv_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        **arrow_csv_args: Any,
    ) -> None:
        """Writes CSV files into a directory; `arrow_csv_args` are arguments of `pyarrow.csv`. See `write_parquet` for the others."""
        from shoal.data._internal.sinks.csv_sink import CSVSink

        sink = CSVSink(
            path,
            arrow_csv_args_fn=arrow_csv_args_fn,
            min_rows_per_file=min_rows_per_file,
            arrow_csv_args=arrow_csv_args,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_json(
        self,
        path: Path,
        *,
        pandas_json_args_fn: Callable[[], Mapping[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        **pandas_json_args: Any,
    ) -> None:
        """Writes files of JSON lines into a directory; `pandas_json_args` are arguments of `DataFrame.to_json`. See `write_parquet`."""
        from shoal.data._internal.sinks.json_sink import JSONSink

        sink = JSONSink(
            path,
            pandas_json_args_fn=pandas_json_args_fn,
            min_rows_per_file=min_rows_per_file,
            pandas_json_args=pandas_json_args,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_numpy(
        self,
        path: Path,
        *,
        column: str,
        min_rows_per_file: int | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes one column as `.npy` files into a directory. See `write_parquet`."""
        from shoal.data._internal.sinks.numpy_sink import NumpySink

        sink = NumpySink(
            path,
            column=column,
            min_rows_per_file=min_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_images(
        self,
        path: Path,
        column: str,
        file_format: str = "png",
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes a column of images (height, width, channels; uint8) as files, one a row. See `write_parquet`."""
        from shoal.data._internal.sinks.images_sink import ImagesSink

        sink = ImagesSink(
            path,
            column,
            file_format,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_tfrecords(
        self,
        path: Path,
        *,
        tf_schema: Any = None,
        min_rows_per_file: int | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes TFRecord files of tf.train.Example into a directory. See `write_parquet`."""
        from shoal.data._internal.sinks.tfrecords_sink import TFRecordsSink

        sink = TFRecordsSink(
            path,
            tf_schema=tf_schema,
            min_rows_per_file=min_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_webdataset(
        self,
        path: Path,
        *,
        encoder: Any = True,
        min_rows_per_file: int | None = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes tar files in WebDataset's layout into a directory. See `write_parquet`."""
        from shoal.data._internal.sinks.webdataset_sink import WebDatasetSink

        sink = WebDatasetSink(
            path,
            encoder=encoder,
            min_rows_per_file=min_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            arrow_open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_datasink(
        self, datasink: Any, *, ray_remote_args: dict[str, Any] | None = None, concurrency: int | None = None
    ) -> None:
        """Writes to a sink of the program's own.

        Args:
            datasink: a `shoal.data.Datasink`.
            ray_remote_args: options of the tasks that write.
            concurrency: most such tasks at a time.

        Raises:
            InvalidArgumentError: (a ValueError) it is no sink.
        """
        from shoal.data._internal.execution.writing import write
        from shoal.data._internal.sinks.datasink import Datasink

        if not isinstance(datasink, Datasink):
            raise InvalidArgumentError(f"datasink is {type(datasink).__name__}; give a shoal.data.Datasink")
        compute = compute_of(False, None, concurrency, ray_remote_args or {})
        write(self, datasink, compute, write_id_of(self._plan))
