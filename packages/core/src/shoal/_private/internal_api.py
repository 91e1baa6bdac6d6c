"""Objects by hand: freeing them, and seeing what is there."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from shoal._core.api.runtime import SESSION
from shoal._core.process.object_ref import ObjectRef


def free(object_refs: ObjectRef[Any] | Sequence[ObjectRef[Any]], local_only: bool = False) -> None:
    """Frees objects although there are references to them: `get` then raises ObjectFreedError.

    Args:
        object_refs: a reference, or a list of references.
        local_only: kept for Ray's programs; all copies go.
    """
    refs = [object_refs] if isinstance(object_refs, ObjectRef) else list(object_refs)
    if refs:
        SESSION.running().free(refs)


def memory_summary(**ignored: Any) -> str:
    """Returns a table of the objects that are referred to: id, size in bytes, and who holds them."""
    rows = SESSION.require().state("objects")
    lines = [f"{'object':56}  {'bytes':>14}  {'reference':24}  process"]
    lines += [
        f"{row.get('object_id', ''):56}  {row.get('object_size') or 0:>14}  {row.get('reference_type', ''):24}  {row.get('pid', '')}"
        for row in rows
    ]
    return "\n".join(lines)


def global_gc() -> None:
    """Collects cyclic garbage of this process, which lets go of the references in it."""
    gc.collect()
