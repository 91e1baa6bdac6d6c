"""Which engine a session runs on, and beginning it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from shoal._core.schema.session_request import ADAPTER, INLINE, JOIN, SessionRequest
from shoal.exceptions import InvalidOptionTypeError, SessionStartError, UnsupportedError

if TYPE_CHECKING:
    from shoal._core.api.engine import Engine

ENTRY_POINT_GROUP = "shoal.engines"
"""Entry points of this group are functions that take a SessionRequest and return an Engine; their names are address schemes."""

SURROUNDING_GROUP = "shoal.engines.surrounding"
"""Entry points of this group are functions without arguments that say whether this process is a worker of the engine of their name."""
_MODULES = {"ray": "ray", "dask": "distributed"}
"""Engine -> the module that all of its workers have imported: nothing else is looked at in processes without it."""
_CLIENTS = {"distributed": "dask"}
"""Module that has the class of clients -> engine."""


def engine_of_client(client: object) -> str:
    """Returns the name of the engine whose client is given. Raises InvalidOptionTypeError where it is none."""
    for cls in type(client).__mro__:
        engine = _CLIENTS.get(cls.__module__.partition(".")[0])
        if engine is not None and cls.__name__ == "Client":
            return engine
    raise InvalidOptionTypeError("client", client, "give a distributed.Client that is connected")


def surrounding_engine() -> str | None:
    """Returns the name of the engine that this process is a worker of; None for none."""
    loaded = [name for name, module in _MODULES.items() if module in sys.modules]
    if not loaded:
        return None
    from importlib.metadata import entry_points

    asked = entry_points(group=SURROUNDING_GROUP)
    return next((entry.name for entry in asked if entry.name in loaded and entry.load()()), None)


def start_engine(request: SessionRequest) -> Engine:
    """Begins or joins the session that is asked for.

    Raises SessionStartError, UnsupportedError (no such engine is installed).
    """
    if request.kind == INLINE:
        from shoal._core.process.inline.engine import InlineEngine

        return InlineEngine(request)
    if request.kind == ADAPTER:
        return _start_adapter(request)
    from shoal._core.process.launcher import connect_native, start_native

    return connect_native(request) if request.kind == JOIN else start_native(request)


def _start_adapter(request: SessionRequest) -> Engine:
    from importlib.metadata import entry_points

    installed = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    entry = installed.get(request.scheme)
    if entry is None:
        others = f" Installed engines: {', '.join(sorted(installed))}." if installed else ""
        raise UnsupportedError(
            f"init(address={request.address!r})",
            f"No engine for {request.scheme!r} is installed; the package that has one registers it in the entry-point group "
            f"'{ENTRY_POINT_GROUP}' (pip install 'shoal-integrations[{request.scheme}]').{others} "
            "Without address= the program runs on this machine.",
        )
    try:
        start = entry.load()
    except ImportError as error:
        raise SessionStartError(f"the engine {request.scheme!r} ({entry.value}) cannot be imported: {error}") from error
    engine: Engine = start(request)
    return engine
