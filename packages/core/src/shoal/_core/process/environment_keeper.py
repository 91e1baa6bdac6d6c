"""The node's runtime environments: each is made once, in a process of its own, and then has a fork server for its workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from shoal._core.system.event_loop import READ, EventLoop
from shoal._core.system.fork_server import ForkServer
from shoal.exceptions import RuntimeEnvSetupError

if TYPE_CHECKING:
    from shoal._core.system.environment_process import PreparingProcess
    from shoal._core.system.environments import PreparedEnvironment


class EnvironmentKeeper:
    """All environments of one node, by key. Belongs to the daemon's loop.

    Args:
        loop: hears of the ends of preparing processes.
        store: folder in the session's for what environments are made of.
        entry: what workers run ('module:function').
        base_path: the driver's sys.path.
        on_ready: called with the key when workers can be started in an environment.
        on_failed: called with the key and the reason when it cannot be made.
    """

    def __init__(
        self,
        loop: EventLoop,
        store: str,
        entry: str,
        base_path: list[str],
        on_ready: Callable[[str], None],
        on_failed: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._store = store
        self._entry = entry
        self._base_path = base_path
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._json: dict[str, bytes] = {}
        self._making: dict[str, PreparingProcess] = {}
        self._prepared: dict[str, PreparedEnvironment] = {}

    def need(self, key: str, environment_json: bytes) -> bool:
        """Somebody wants workers in this environment. Returns whether it is there; else `on_ready` or `on_failed` follows."""
        if not key or key in self._prepared:
            return True
        if key not in self._making:
            self._json[key] = environment_json
            # Imported when the first environment is asked for: most sessions have none, and start faster without.
            from shoal._core.schema.runtime_environment import decode_environment
            from shoal._core.system.environment_process import PreparingProcess
            from shoal._core.system.environments import environment_cache, prepare_environment, takes_long

            environment = decode_environment(environment_json)
            cache = environment_cache()
            try:
                if not takes_long(environment, self._store):
                    self._prepared[key] = prepare_environment(environment, session_store=self._store, cache=cache)
                    return True
                process = PreparingProcess.start(environment, session_store=self._store, cache=cache)
            except RuntimeEnvSetupError as error:
                text = error.error_message or str(error)
                self._loop.call_soon(lambda: self._on_failed(key, text))
                return False
            except OSError as error:
                reason = f"no process could be started to make it: {error}"
                self._loop.call_soon(lambda: self._on_failed(key, reason))
                return False
            self._making[key] = process
            self._loop.watch(process.fileno(), READ, lambda events: self._made(key))
        return False

    def _made(self, key: str) -> None:
        process = self._making.pop(key)
        self._loop.unwatch(process.fileno())
        try:
            self._prepared[key] = process.result()
        except RuntimeEnvSetupError as error:
            self._on_failed(key, error.error_message or str(error))
        else:
            self._on_ready(key)

    def launch(self, key: str) -> ForkServer:
        """Starts a fork server in an environment that is there. Raises InvalidOptionError where its interpreter cannot be started."""
        prepared = self._prepared[key]
        return ForkServer.launch(
            self._entry,
            python_executable=prepared.python_executable,
            environ=prepared.environ(os.environ),
            cwd=prepared.cwd,
            sys_path=prepared.sys_path(self._base_path),
        )

    def setup_hook(self, key: str) -> str:
        """What workers of an environment run before their first task; empty for nothing."""
        prepared = self._prepared.get(key)
        return prepared.setup_hook if prepared is not None else ""

    def json(self, key: str) -> str:
        """The environment as it was asked for; '{}' for none."""
        return self._json.get(key, b"{}").decode()

    def rows(self) -> list[dict[str, object]]:
        """One row an environment, in the keys of `shoal.util.state.RuntimeEnvState`."""
        return [
            {
                "runtime_env": text.decode(),
                "success": key in self._prepared,
                "node_id": None,
                "ref_cnt": 0,
                "error": None,
            }
            for key, text in self._json.items()
        ]

    def close(self) -> None:
        """Gives up what is being made."""
        for process in self._making.values():
            process.kill()
