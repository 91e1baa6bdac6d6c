"""A name for what a plan writes: the same for the same plan over the same inputs, so that a job run again replaces its own files."""

from __future__ import annotations

import hashlib
import os
import uuid
from typing import Any

import pyarrow as pa

from shoal.data._internal.plan.operators import Blocks, Operator, Read, UserFunction

_LENGTH = 32


def write_id_of(plan: Operator) -> str:
    """Returns 32 hexadecimal digits: a hash of the plan, of the functions in it, and of the files that it reads (paths, sizes, times of
    change). Blocks in the object store have no content that can be told cheaply: what is made of them gets a name of chance."""
    digest = hashlib.blake2b(digest_size=_LENGTH // 2)
    if not _add(plan, digest):
        return uuid.uuid4().hex
    return digest.hexdigest()


def _add(plan: Operator, digest: Any) -> bool:
    digest.update(f"{plan.name}|{plan.details}|".encode())
    function = getattr(plan, "function", None)
    if isinstance(function, UserFunction):
        _add_function(function, digest)
    if isinstance(plan, Read):
        for path in plan.source.input_files():
            digest.update(path.encode())
            if os.path.exists(path):
                status = os.stat(path)
                digest.update(f"{status.st_size},{status.st_mtime_ns}".encode())
    if isinstance(plan, Blocks):
        for block in plan.blocks:
            if not isinstance(block, pa.Table):
                return False
            with pa.ipc.new_stream(_Hashing(digest), block.schema) as writer:
                writer.write_table(block)
    return all(_add(child, digest) for child in plan.inputs)


def _add_function(function: UserFunction, digest: Any) -> None:
    code = getattr(function.function, "__code__", None)
    if code is not None:
        digest.update(code.co_code + repr(code.co_consts).encode())
    digest.update(
        repr((function.args, function.kwargs, function.constructor_args, function.constructor_kwargs)).encode()
    )


class _Hashing:
    """A file that only hashes what is written to it."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        return

    def close(self) -> None:
        return

    def writable(self) -> bool:
        return True
