"""What is served, again whenever it has changed."""

from __future__ import annotations

from collections.abc import Iterator

import shoal
from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.process.controller import CHANGES
from shoal.serve._internal.process.controller_link import find_controller
from shoal.serve.status import ServeStatus


def status_changes() -> Iterator[ServeStatus]:
    """Yields the status now, and whenever it is another. Ends when serving does. Raises ServeError where nothing is served."""
    controller, name = find_controller(), CALL_IDS.next()
    shown: ServeStatus | None = None
    version = -1
    while True:
        try:
            version, _ = shoal.get(controller.listen.remote(name, {CHANGES: version}))[CHANGES]
            status: ServeStatus = shoal.get(controller.status.remote())
        except shoal.exceptions.ActorError:
            return
        if status != shown:
            yield status
            shown = status
