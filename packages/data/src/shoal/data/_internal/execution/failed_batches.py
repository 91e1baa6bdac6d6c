"""Batches on which the user's function raised, saved for a look at them afterwards."""

from __future__ import annotations

import re
import uuid

import pyarrow as pa

from shoal.data._internal.sources.paths import resolve_paths

_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def save_failed(folder: str, step: str, table: pa.Table, error: BaseException) -> None:
    """Writes the rows to an Arrow file, and notes its path on the error: the user's error is what is raised, whatever becomes of this.

    Args:
        folder: path or URI; it is made.
        step: the name of the step that failed.
        table: the rows.
        error: what the function raised.
    """
    name = f"{_NO_NAME.sub('-', step).strip('-')[:60]}-{uuid.uuid4().hex[:12]}.arrow"
    try:
        filesystem, (path,) = resolve_paths(folder)
        filesystem.create_dir(path, recursive=True)
        target = f"{path.rstrip('/')}/{name}"
        with filesystem.open_output_stream(target) as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
    except Exception as failure:
        error.add_note(f"the batch could not be saved to {folder!r}: {failure}")
        return
    error.add_note(f"the batch is in {target}: read it with pyarrow.ipc.open_file, or shoal.data.read_arrow")
