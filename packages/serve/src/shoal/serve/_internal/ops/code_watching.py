"""Tells when code has changed. The operating system says so: nothing is read again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import watchfiles

GATHERED_FOR_MS = 50
"""Changes that follow one another faster than that count as one: editors write a file in several steps."""


def code_changes(folders: Sequence[str]) -> Iterator[list[str]]:
    """Yields the changed files below folders whenever some change: Python and YAML. Ends never; Ctrl-C raises KeyboardInterrupt."""
    wanted = watchfiles.PythonFilter(extra_extensions=(".yaml", ".yml", ".json", ".toml"))
    changes = watchfiles.watch(*folders, watch_filter=wanted, debounce=GATHERED_FOR_MS, step=10, raise_interrupt=True)
    for some in changes:
        yield sorted({path for _, path in some})
