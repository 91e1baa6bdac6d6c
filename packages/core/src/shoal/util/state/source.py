"""Where the state API reads from: the session of this process, or another one, by its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shoal._core.api.runtime import SESSION
from shoal.exceptions import LocalDaemonDiedError, SessionStartError
from shoal.util.state.exception import ServerUnavailable

_ROWS_OF = {"cluster_events": "events"}


@contextmanager
def engine_at(address: str | None) -> Iterator[Any]:
    """Yields the engine to ask. Raises ServerUnavailable where there is no session at the address."""
    if address in (None, "auto", "local"):
        yield SESSION.require()
        return
    engine = SESSION.engine
    if engine is not None and engine.session.session_dir == address:
        yield engine
        return
    from shoal._core.process.launcher import attach_tool

    assert address is not None
    try:
        tool = attach_tool(address)
    except SessionStartError as error:
        raise ServerUnavailable(str(error)) from None
    try:
        yield tool
    finally:
        tool.shutdown()


def read_rows(what: str, address: str | None) -> list[dict[str, Any]]:
    """Returns all rows of one kind. Raises ServerUnavailable."""
    with engine_at(address) as engine:
        try:
            rows: list[dict[str, Any]] = engine.state(_ROWS_OF.get(what, what))
        except (LocalDaemonDiedError, TimeoutError) as error:
            raise ServerUnavailable(str(error)) from None
    return rows
