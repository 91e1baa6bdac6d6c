"""Who hears of a graph's tasks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar

_HOOKS = ("presubmit", "postsubmit", "pretask", "posttask", "postsubmit_all", "finish")


class ShoalDaskCallback:
    """Hooks around the tasks of graphs that are computed while the context manager is open. Override what is of interest.

    Each hook may also have the name that Ray gives it (`_ray_presubmit`, ...), and may be given to the constructor as a function.

    Hooks (none is called where it is not defined):
        _shoal_presubmit(task, key, deps): before a task is submitted, in this process; what it returns, if not None, is the task's result.
        _shoal_postsubmit(task, key, deps, object_ref): after that.
        _shoal_pretask(key, object_refs): before the task, in its worker; what it returns is handed to posttask.
        _shoal_posttask(key, result, pre_state): after the task, in its worker.
        _shoal_postsubmit_all(object_refs, dsk): once all are submitted, in this process.
        _shoal_finish(result): with the results.

    Example:
        >>> import dask
        >>> from shoal.util.dask import ShoalDaskCallback, shoal_dask_get
        >>> class Names(ShoalDaskCallback):
        ...     def _shoal_presubmit(self, task, key, deps):
        ...         print(str(key).partition("-")[0])
        >>> with Names():
        ...     dask.delayed(abs)(-1).compute(scheduler=shoal_dask_get)
        abs
        1
    """

    active: ClassVar[list[ShoalDaskCallback]] = []

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        for name, hook in hooks.items():
            plain = name.removeprefix("shoal_").removeprefix("ray_")
            if plain not in _HOOKS:
                raise TypeError(
                    f"there is no hook {name!r}; there are {', '.join('shoal_' + known for known in _HOOKS)}"
                )
            setattr(self, f"_shoal_{plain}", hook)

    def __enter__(self) -> ShoalDaskCallback:
        self.register()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    def register(self) -> None:
        """Calls the hooks from now on."""
        ShoalDaskCallback.active.append(self)

    def unregister(self) -> None:
        """Calls them no more."""
        ShoalDaskCallback.active.remove(self)


class Hooks:
    """The hooks of several callbacks.

    Args:
        callbacks: whose.
    """

    def __init__(self, callbacks: list[Any]) -> None:
        self._callbacks = callbacks

    def of(self, name: str) -> list[Callable[..., Any]]:
        """Returns the hooks of a name, such as "pretask"."""
        found = (
            getattr(callback, f"_shoal_{name}", None) or getattr(callback, f"_ray_{name}", None)
            for callback in self._callbacks
        )
        return [hook for hook in found if hook is not None]


class ProgressBarCallback(ShoalDaskCallback):
    """Shows how many of a graph's tasks have ended, on a terminal."""

    def _shoal_postsubmit_all(self, object_refs: list[Any], dsk: Any) -> None:
        if not sys.stderr.isatty():
            return
        import shoal

        left = list(object_refs)
        while left:
            _, left = shoal.wait(left)
            sys.stderr.write(f"\r{len(object_refs) - len(left)} of {len(object_refs)} tasks")
        sys.stderr.write("\n")
