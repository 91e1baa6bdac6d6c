"""Waiting for a GPU that another process is leaving."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import time

from shoal.tune.exceptions import InvalidArgumentError

QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.used,memory.total", "--format=csv,noheader,nounits")


def wait_for_gpu(
    gpu_id: int | str | None = None,
    target_util: float = 0.01,
    retry: int = 20,
    delay_s: float = 5,
    gpu_memory_limit: float | None = None,
) -> bool:
    """Waits until a GPU's memory is free. Call it at the beginning of a trial whose GPU another one has just left.

    Args:
        gpu_id: number or UUID of the GPU; None for the first that this process may see.
        target_util: share of its memory that may be in use.
        retry: how often it is looked at.
        delay_s: seconds between two looks.
        gpu_memory_limit: bytes that may be in use, instead of a share.

    Returns:
        True: it is free.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such GPU.
        RuntimeError: there is no `nvidia-smi`, or the GPU is still in use after the last look.
    """
    used = total = 0.0
    for look in range(retry):
        if look:
            time.sleep(delay_s)  # the driver tells nobody when memory becomes free
        used, total = _memory_of(gpu_id)
        limit = gpu_memory_limit / 2**20 if gpu_memory_limit is not None else target_util * total
        if used <= limit:
            return True
    raise RuntimeError(f"GPU {gpu_id} still has {used:g} of {total:g} MiB in use after {retry} looks")


def _memory_of(gpu_id: int | str | None) -> tuple[float, float]:
    """Returns MiB in use, and MiB in all."""
    if shutil.which(QUERY[0]) is None:
        raise RuntimeError("there is no nvidia-smi on this machine, so nothing is known of GPUs")
    answer = subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(answer)) if row]
    for index, uuid, used, total in rows:
        if gpu_id is None or str(gpu_id) in (index, uuid):
            return float(used), float(total)
    raise InvalidArgumentError(f"gpu_id is {gpu_id!r}; there are {', '.join(row[0] for row in rows)}")
