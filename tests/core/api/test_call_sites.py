"""Where references were made is told where that was asked for."""

from __future__ import annotations

import inspect

import pytest

import shoal
from shoal.util.state import list_objects


@shoal.remote
def one():
    return 1


@pytest.mark.parametrize("asked", ["0", "1"])
def test_the_places_where_references_were_made(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shoal.shutdown()
    monkeypatch.setenv("SHOAL_record_ref_creation_sites", asked)
    shoal.init(num_cpus=1)
    try:
        line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
        kept = [shoal.put(1), one.remote()]
        shoal.get(kept, timeout=20)
        places = {row.object_id: row.call_site for row in list_objects(limit=100)}
        here = f"{__file__}:test_the_places_where_references_were_made:{line + 1}"
        assert [places[ref.hex()] for ref in kept] == ([here] * 2 if asked == "1" else [""] * 2)
    finally:
        shoal.shutdown()
