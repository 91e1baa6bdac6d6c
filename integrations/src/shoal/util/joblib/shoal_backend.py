"""joblib's batches, run in the session's workers."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping
from typing import Any

from joblib._parallel_backends import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend
from shoal.util.joblib.arguments import Item, SharedArguments, original
from shoal.util.remote_calls.remote_calls import Call, RemoteCalls
from shoal.util.remote_calls.sizing import cpu_options, session_cpus
from shoal.util.remote_calls.slots import TaskSlots

_LEAST_SHARED_BYTES = 2**20
"""joblib's own default of max_nbytes."""


_SECONDS_TO_END = 0.5
"""Running calls of a parallel loop that has failed have this long."""


class _BatchFuture(concurrent.futures.Future[Any]):
    call: Call | None = None


class ShoalBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc] # joblib ships no types
    """joblib's backend "shoal".

    Small calls travel in batches, as with joblib's own backends. Arguments of at least `max_nbytes` (1 MiB by default) go to the session's
    store once for each parallel loop, and workers map them; as loky's, these are read-only, unless `mmap_mode` is "c" or None, with which
    each call gets a copy that it may change. Smaller ones are always the call's own. Parallel loops in a call run on threads.

    Args:
        nesting_level: joblib's.
        inner_max_num_threads: threads of BLAS and OpenMP libraries in each worker; by default as many as CPUs a call has.
        ray_remote_args: resources and runtime_env of each batch, as `.options()` takes them.
        task_options: the same under shoal's name.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    supports_sharedmem = False
    uses_threads = False

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
        task_options: Mapping[str, Any] | None = None,
        **backend_kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **backend_kwargs)
        self._task_options = {**(ray_remote_args or {}), **(task_options or {})}
        self._calls: RemoteCalls | None = None
        self._arguments = SharedArguments(_LEAST_SHARED_BYTES)
        self._writable = False

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Returns how many calls run at once: `n_jobs`, counted from the session's CPUs where it is negative.

        Raises:
            ValueError: n_jobs is 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, session_cpus() + 1 + n_jobs)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        max_nbytes: int | str | None = _LEAST_SHARED_BYTES,
        mmap_mode: str | None = "r",
        **backend_kwargs: Any,
    ) -> int:
        """Called by joblib at the beginning of a parallel loop, or of several. Returns how many calls run at once.

        Raises:
            FallbackToBackend: one call at a time: joblib makes it itself.
        """
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._arguments = SharedArguments(_bytes(max_nbytes))
        self._writable = mmap_mode in (None, "c")
        options = {**cpu_options(count), **self._task_options}
        if self.inner_max_num_threads is not None:
            environment = dict(options.get("runtime_env") or {})
            threads = {name: str(self.inner_max_num_threads) for name in self.MAX_NUM_THREADS_VARS}
            environment["env_vars"] = {**threads, **environment.get("env_vars", {})}
            options["runtime_env"] = environment
        self._calls = RemoteCalls(TaskSlots(count, options), "shoal-joblib")
        return count

    def submit(
        self, func: Any, callback: Callable[[concurrent.futures.Future[Any]], object] | None = None
    ) -> concurrent.futures.Future[Any]:
        """Has a batch of joblib's called; returns a future of its results."""
        assert self._calls is not None, "joblib calls `configure` before"
        refs: list[Any] = []
        items = self._arguments.stand_ins(func.items, refs)
        future = _BatchFuture()
        if callback is not None:
            future.add_done_callback(callback)
        _, batch_kwargs = func.__reduce__()
        writable = None if items is func.items else self._writable
        arguments = (type(func), items, batch_kwargs[1:], writable)
        (future.call,) = self._calls.submit(
            run_batch, [(arguments, {}, lambda returned, value: _settle(future, returned, value))], shared=tuple(refs)
        )
        return future

    def retrieve_result_callback(self, out: concurrent.futures.Future[Any]) -> Any:
        """Returns a batch's results. Raises what a call raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Ends what runs, after an error."""
        if self._calls is not None:
            self._calls.terminate("another call of the parallel loop has failed", _SECONDS_TO_END)
            self._calls.join()
            self._calls = None
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)

    def stop_call(self) -> None:
        """Called by joblib at the end of each parallel loop."""
        self._arguments.clear()

    def terminate(self) -> None:
        """Called by joblib at the end of the last one."""
        self._arguments.clear()
        if self._calls is not None:
            self._calls.close()
            self._calls = None


def run_batch(batch: type[Any], items: list[Item], rest: tuple[Any, ...], writable: bool | None, *shared: Any) -> Any:
    """Calls a batch of joblib's. Runs in a worker.

    Args:
        batch: its class.
        items: calls, some of whose arguments are stood in for.
        rest: the batch's other arguments.
        writable: whether shared objects are copied; None where nothing is stood in for.
        shared: objects of the store.
    """
    if writable is not None:
        items = [
            (
                function,
                tuple(original(value, shared, writable) for value in args),
                {name: original(value, shared, writable) for name, value in kwargs.items()},
            )
            for function, args, kwargs in items
        ]
    return batch(items, *rest)()


def _settle(future: _BatchFuture, returned: bool, value: Any) -> None:
    if returned:
        future.set_result(value)
    else:
        future.set_exception(value)


def _bytes(size: int | str | None) -> int | None:
    if not isinstance(size, str):
        return size
    from joblib.disk import memstr_to_bytes

    return int(memstr_to_bytes(size))
