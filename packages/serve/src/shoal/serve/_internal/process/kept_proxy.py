"""A proxy's actor, of HTTP or gRPC: made once it is wanted, and again where it dies, to listen where it did."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import shoal
from shoal.serve._internal.process.background_tasks import BackgroundTasks
from shoal.serve._internal.process.controller_link import NAMESPACE
from shoal.serve.config import HTTPOptions, gRPCOptions

logger = logging.getLogger("shoal.serve")

Options = TypeVar("Options", HTTPOptions, gRPCOptions)
Address = tuple[str, int]


class KeptProxy(Generic[Options]):
    """One proxy.

    Args:
        kind: its class.
        name: of its actor.
        concurrency: calls that it works on at a time.
        arguments: of its constructor, by its options.
        first: what it is told when it starts, since it hears of changes only later.
        changed: called when there is another one: what is saved of it is to be saved again.
        tasks: for those that nobody waits for.
    """

    def __init__(
        self,
        kind: type,
        name: str,
        concurrency: int,
        arguments: Callable[[Options], tuple[Any, ...]],
        first: Callable[[], Any],
        changed: Callable[[], None],
        tasks: BackgroundTasks,
    ) -> None:
        self.options: Options | None = None
        """What it is started with, or is to be."""
        self.address: Address | None = None
        self.actor: Any = None
        self._kind = kind
        self._name = name
        self._concurrency = concurrency
        self._arguments: Callable[[Options], tuple[Any, ...]] = arguments
        self._first = first
        self._changed = changed
        self._tasks = tasks
        self._starting = asyncio.Lock()

    async def start(self, options: Options | None = None) -> Address | None:
        """Has it listen, unless it does: with these options, or else with those that it has. Returns where; None where it is not wanted.
        Raises what its `start` raises."""
        async with self._starting:
            wanted = options if options is not None else self.options
            if wanted is not None and self.actor is None:
                await self._start(wanted)
        return self.address

    async def stop(self) -> None:
        """Ends it: it is not made again."""
        actor, self.actor, self.options, self.address = self.actor, None, None, None
        if actor is not None:
            with contextlib.suppress(shoal.exceptions.ActorError):  # It is dead already.
                await actor.stop.remote()
            shoal.kill(actor)

    async def take_over(self, options: Options | None, address: Address | None) -> None:
        """Goes on with the one that is there, whose options and address these are; makes it where it is not there any more."""
        self.options, self.address = options, address
        if options is None:
            return
        try:
            self.actor = shoal.get_actor(self._name, namespace=NAMESPACE)
        except ValueError:
            await self._start_again()
            return
        self._tasks.start(self._until_it_dies(self.actor))

    async def _start(self, options: Options) -> None:
        actor: Any = (
            shoal.remote(self._kind)
            .options(
                name=self._name,
                namespace=NAMESPACE,
                lifetime="detached",
                num_cpus=0,
                max_concurrency=self._concurrency,
            )
            .remote(*self._arguments(options))
        )
        try:
            address: Address = await actor.start.remote(self._first())
        except BaseException:
            shoal.kill(actor)
            raise
        self.actor, self.address = actor, address
        # One that is made again listens where this one did.
        self.options = options.model_copy(update={"port": address[1]})
        self._changed()
        self._tasks.start(self._until_it_dies(actor))

    async def _until_it_dies(self, actor: Any) -> None:
        try:
            await actor.until_it_ends.remote()
        except shoal.exceptions.ShoalError:
            if self.actor is actor:
                self.actor = None
                await self._start_again()

    async def _start_again(self) -> None:
        try:
            await self.start()
        except Exception:
            logger.exception("%s died, and does not come back; serve.start() tries again", self._name)
