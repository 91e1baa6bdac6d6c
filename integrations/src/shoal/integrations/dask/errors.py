"""Errors in shoal's words: they travel inside of `Failed`, and Dask's own errors are translated."""

from __future__ import annotations

import os
import socket
import traceback
from concurrent.futures import CancelledError
from functools import cache
from typing import Any

import distributed
from distributed import KilledWorker

from shoal import cloudpickle
from shoal import exceptions as of_shoal
from shoal.integrations.engines.carried_errors import CarriedError, carried

_MACHINERY = (os.path.dirname(distributed.__file__), os.path.dirname(__file__))
CANCELLED = "shoal-cancel"
FREED = "shoal-free"


class Failed(CarriedError):
    """Carries an error of shoal's through Dask."""

    def __repr__(self) -> str:
        return self.text


def failed(error: of_shoal.ShoalError, function_name: str = "") -> Failed:
    """Returns what carries an error of the runtime."""
    return Failed(cloudpickle.dumps(error), function_name, f"{type(error).__name__}: {error}")


def cancelled(key: str) -> of_shoal.TaskCancelledError:
    """Returns the error of a task that has been cancelled."""
    return of_shoal.TaskCancelledError(key[-56:-8])


def captured(
    error: BaseException,
    function_name: str,
    actor_repr: str | None = None,
    actor_id: str | None = None,
) -> Failed:
    """Returns what a worker raises in the place of an error of the user's code.

    Args:
        error: what was raised.
        function_name: qualified name of the function or method.
        actor_repr: `repr` of the actor, for methods.
        actor_id: its id, hex.
    """
    return carried(
        Failed,
        error,
        function_name,
        machinery=_MACHINERY,
        ip=_own_ip(),
        actor_repr=actor_repr,
        actor_id=actor_id,
    )


@cache
def _own_ip() -> str:
    return socket.gethostbyname("localhost")


def error_from_dask(error: BaseException, key: str) -> BaseException:
    """Returns the error of shoal that says what an error of Dask's about a key says; other errors as they are.

    Args:
        error: what Dask raised.
        key: of the task or object.
    """
    if isinstance(error, Failed):
        return error.error()
    if isinstance(error, of_shoal.ShoalError):
        return error
    name = key.rpartition("-")[0]
    if isinstance(error, KilledWorker):
        return of_shoal.WorkerCrashedError(
            f"The workers that ran {name} died, {error.allowed_failures + 1} of them; the last was "
            f"{getattr(error.last_worker, 'address', error.last_worker)}. Their logs say why."
        )
    if isinstance(error, CancelledError):
        return _of_cancelled(error, key)
    if isinstance(error, TimeoutError | OSError):
        return of_shoal.ObjectLostError(key[-56:], reason=f"Dask could not bring it: {error}")
    text = "".join(traceback.format_exception(error))
    return of_shoal.TaskError(name, text, error).as_instanceof_cause()


def _of_cancelled(error: Any, key: str) -> BaseException:
    reason = getattr(error, "reason", None)
    if reason == CANCELLED:
        return cancelled(key)
    if reason == FREED:
        return of_shoal.ObjectFreedError(key[-56:])
    return of_shoal.ObjectLostError(key[-56:], reason=f"Dask has it no more ({reason or error})")
