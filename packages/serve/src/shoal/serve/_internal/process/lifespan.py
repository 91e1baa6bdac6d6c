"""The start and the end of an ASGI application, as the ASGI specification has them (Lifespan Protocol 2.0)."""

from __future__ import annotations

import asyncio
from typing import Any


class Lifespan:
    """Starts one application, and ends it.

    Args:
        app: the application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}
        """What the application wants to find in the scopes of its requests."""

    async def start(self) -> None:
        """Returns when the application is ready. Raises RuntimeError where it says that it cannot start."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the ASGI application does not start: {answer.get('message', '')}")

    async def end(self) -> None:
        """Returns when the application has cleaned up."""
        if self._task is not None and not self._task.done():
            await self._ask("lifespan.shutdown")

    async def _ask(self, kind: str) -> dict[str, Any] | None:
        self._incoming.put_nowait({"type": kind})
        return await self._answers.get()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._incoming.get, self._answers.put)
        except Exception:
            # The specification's way of saying that an application has no such protocol; those that have it answer with `failed`.
            self._task = None
        finally:
            self._answers.put_nowait(None)
