"""Many models behind one deployment: each replica keeps those that were asked for last."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar, overload

from shoal.serve._internal.process.request_context import CURRENT
from shoal.serve.exceptions import InvalidArgumentError

F = TypeVar("F", bound=Callable[..., Any])

_CACHES = "_shoal_serve_models"


class _ModelCache:
    """The models of one object, those used last at the end.

    Args:
        load: from an id to a model.
        most: models at a time, those that are being loaded among them; -1 for any number.
    """

    def __init__(self, load: Callable[[str], Any], most: int) -> None:
        self._load = load
        self._most = most
        self._models: OrderedDict[str, asyncio.Task[Any]] = OrderedDict()

    async def get(self, model_id: str) -> Any:
        task = self._models.get(model_id)
        if task is None:
            task = self._models[model_id] = asyncio.get_running_loop().create_task(self._make(model_id))
            task.add_done_callback(lambda done: self._loaded(model_id, done))
        else:
            self._models.move_to_end(model_id)
        # A caller that goes does not take the model from the others that wait for it.
        return await asyncio.shield(task)

    async def _make(self, model_id: str) -> Any:
        # Room is made before: two large models must not be there at the same time where one may.
        while 0 < self._most < len(self._models):
            oldest = next((one for one in self._models if one != model_id), None)
            if oldest is None:
                break
            await _let_go(self._models.pop(oldest))
        loaded = self._load(model_id)
        return await loaded if inspect.isawaitable(loaded) else loaded

    def _loaded(self, model_id: str, done: asyncio.Task[Any]) -> None:
        if (done.cancelled() or done.exception() is not None) and self._models.get(model_id) is done:
            del self._models[model_id]


async def _let_go(task: asyncio.Task[Any]) -> None:
    """Drops a model; one whose `__del__` is async is asked to clean up first."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return
    model = task.result()
    clean_up = getattr(type(model), "__del__", None)
    if inspect.iscoroutinefunction(clean_up):
        await clean_up(model)


@overload
def multiplexed(func: F, /) -> F: ...
@overload
def multiplexed(*, max_num_models_per_replica: int = 3) -> Callable[[F], F]: ...
def multiplexed(func: Any = None, /, *, max_num_models_per_replica: int = 3) -> Any:
    """Keeps what an async function of a model's id has loaded, and drops what was not asked for longest.

    Requests for a model go to the same replica while that has room. Loading is done once, however many ask.

    Args:
        max_num_models_per_replica: models at a time; -1 for any number.

    Raises:
        InvalidArgumentError: (a ValueError) the number is 0 or below -1, or the function takes no id.

    Example:
        >>> from shoal import serve
        >>> @serve.deployment
        ... class Models:
        ...     @serve.multiplexed(max_num_models_per_replica=2)
        ...     async def model(self, model_id):
        ...         return f"the model {model_id}"
        ...     async def __call__(self, request):
        ...         return await self.model(serve.get_multiplexed_model_id())
    """
    if (
        not isinstance(max_num_models_per_replica, int)
        or max_num_models_per_replica == 0
        or max_num_models_per_replica < -1
    ):
        raise InvalidArgumentError(
            f"max_num_models_per_replica is {max_num_models_per_replica!r}; give a whole number >= 1, or -1 for any number"
        )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        names = list(inspect.signature(function).parameters)
        has_self = bool(names) and names[0] == "self"
        if len(names) != 1 + has_self:
            raise InvalidArgumentError(
                f"@serve.multiplexed is on {getattr(function, '__name__', function)!r}, which takes {names}; "
                f"it has to take the model's id alone"
            )

        @functools.wraps(function)
        async def get(*args: Any) -> Any:
            holder = args[0] if has_self else get
            caches: dict[str, _ModelCache] = holder.__dict__.setdefault(_CACHES, {})
            key = function.__qualname__
            if key not in caches:
                load = functools.partial(function, args[0]) if has_self else function
                caches[key] = _ModelCache(load, max_num_models_per_replica)
            model_id = args[-1] if len(args) > has_self else get_multiplexed_model_id()
            if not isinstance(model_id, str) or not model_id:
                raise InvalidArgumentError(
                    "there is no model id: clients send the header serve_multiplexed_model_id, handles have "
                    "options(multiplexed_model_id=...)"
                )
            return await caches[key].get(model_id)

        return get

    return decorate if func is None else decorate(func)


def get_multiplexed_model_id() -> str:
    """Returns the id of the model that this request asks for; empty where it names none."""
    return CURRENT.get().model_id
