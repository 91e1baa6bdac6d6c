"""What `init` returns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shoal._core.version import COMMIT, VERSION

if TYPE_CHECKING:
    from types import TracebackType

    from shoal._core.schema.session import SessionInfo


class ShoalContext(Mapping[str, Any]):
    """The session that `init` began or joined. As a context manager it ends the session; as a mapping it is `address_info`.

    Attributes:
        address_info: where the session is: 'address' (what `init(address)` takes to join it), 'node_id', 'session_dir', ...
        dashboard_url: host and port of the dashboard, '' without one.
        python_version: as in '3.11.7'.
        shoal_version, ray_version: version of shoal.
        shoal_commit, ray_commit: commit that it was built from.

    Example:
        >>> import shoal
        >>> with shoal.init(num_cpus=2, local_mode=True) as context:
        ...     context["node_id"] == shoal.get_runtime_context().get_node_id()
        True
    """

    def __init__(self, info: SessionInfo, dashboard_url: str, end: Callable[[ShoalContext], None]) -> None:
        self._end = end
        self.dashboard_url = dashboard_url
        self.python_version = ".".join(str(part) for part in sys.version_info[:3])
        self.shoal_version = self.ray_version = VERSION
        self.shoal_commit = self.ray_commit = COMMIT
        self.address_info: dict[str, Any] = {
            "address": info.address,
            "gcs_address": info.address,
            "node_id": info.node_id.hex(),
            "node_ip_address": info.node_ip,
            "session_dir": info.session_dir,
            "namespace": info.namespace,
            "job_id": info.job_id.hex(),
            "webui_url": dashboard_url,
            "engine": info.engine,
            "joinable": info.joinable,
            "redis_address": None,
            "object_store_address": None,
            "raylet_socket_name": None,
            "metrics_export_port": -1,
            "dashboard_agent_listen_port": -1,
        }

    def disconnect(self) -> None:
        """Ends the session (see `shoal.shutdown`). Does nothing where another session has followed it."""
        self._end(self)

    def __enter__(self) -> ShoalContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __len__(self) -> int:
        return len(self.address_info)

    def __repr__(self) -> str:
        return (
            f"ShoalContext(dashboard_url={self.dashboard_url!r}, python_version={self.python_version!r}, "
            f"shoal_version={self.shoal_version!r}, shoal_commit={self.shoal_commit!r})"
        )
