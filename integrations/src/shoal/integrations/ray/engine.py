"""The ray engine: what shoal's API asks, in Ray's public API.

Ray counts references, places, retries and restarts. What differs from shoal's own engine follows from that: a request that nobody can
meet waits for a cluster that grows, waits that cannot end are not found, and errors tell of deaths what Ray tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ray
from ray.experimental import internal_kv

from shoal.engines import STREAMING
from shoal.exceptions import NotSupportedByEngineError, SessionEndedError
from shoal.integrations.ray import context, placement_groups
from shoal.integrations.ray.actors import Actors, HeldActor, actor_parts
from shoal.integrations.ray.cancellations import Cancellations
from shoal.integrations.ray.errors import error_from_ray
from shoal.integrations.ray.joining import check_fits, is_worker, join
from shoal.integrations.ray.limits import RAY, RAY_CLIENT
from shoal.integrations.ray.metrics import Metrics
from shoal.integrations.ray.open_futures import OpenFutures
from shoal.integrations.ray.references import RayObjectRef, held_refs, values_of
from shoal.integrations.ray.sessions import check_not_ended
from shoal.integrations.ray.tasks import Tasks

if TYPE_CHECKING:
    from shoal.engines import (
        ActorTemplate,
        ExecutionContext,
        MethodTemplate,
        ObjectRef,
        SessionInfo,
        SessionRequest,
        TaskTemplate,
    )
    from shoal.integrations.ray.host import Host
    from shoal.integrations.ray.streams import RayStream


class RayEngine:
    """The Ray of this process as a session of shoal (see `shoal.engines.Engine`).

    Args:
        request: what `init` was asked for.

    Raises:
        SessionStartError: the cluster cannot be reached.
        InvalidOptionError: something cannot be chosen, since this process has joined Ray already.
    """

    name = "ray"

    def __init__(self, request: SessionRequest) -> None:
        self._began = not ray.is_initialized()
        if self._began:
            join(request)
        else:
            check_fits(request)
        self._is_client = bool(ray.util.client.ray.is_connected())
        self._limits = RAY_CLIENT if self._is_client else RAY
        self._address = request.address if self._is_client else ""
        self._is_worker = not self._is_client and is_worker()
        self._tasks = Tasks()
        self._metrics = Metrics()
        self._cancellations = Cancellations()
        self.open_futures = OpenFutures()
        self.host: Host | None = None
        """The actor that this process is, if shoal has made it."""

    @property
    def capabilities(self) -> frozenset[str]:
        capabilities = self._limits.capabilities
        return capabilities if self._has_dashboard else capabilities - {"state"}

    @cached_property
    def _has_dashboard(self) -> bool:
        """Whether the cluster has what Ray's state API asks."""
        return not self._is_client and bool(internal_kv._internal_kv_get(b"webui:url", namespace=b"dashboard"))

    @property
    def capture_children(self) -> bool:
        """Whether the calling task's own tasks run in its placement group."""
        return self._is_worker and bool(ray.get_runtime_context().should_capture_child_tasks_in_placement_group)

    @cached_property
    def session(self) -> SessionInfo:
        return context.session_info(self._address or "")

    @cached_property
    def _actors(self) -> Actors:
        return Actors(self.session.namespace)

    def context(self) -> ExecutionContext:
        return context.execution_context(not self._is_worker, self.host)

    # --- tasks and actors -------------------------------------------------------------------------------------------------------

    def submit_task(
        self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | RayStream:
        self._check_streaming(template.options.num_returns)
        return self._tasks.submit(template, args, kwargs)

    def create_actor(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldActor:
        return self._actors.create(template, args, kwargs)

    def call_actor(
        self, actor: HeldActor, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | RayStream:
        self._check_streaming(template.options.num_returns)
        return actor.call(template, args, kwargs)

    def _check_streaming(self, num_returns: int) -> None:
        if self._is_client and num_returns == STREAMING:
            raise self._limits.refusal("streaming", "A generator task called by Ray Client (ray://)")

    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None:
        self._actors.kill(actor_id, no_restart)

    def named_actor(self, name: str, namespace: str | None) -> HeldActor:
        return self._actors.named(name, namespace)

    def named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        own = self.session.namespace
        rows = ray.util.list_named_actors(all_namespaces=True)
        return [(row["namespace"], row["name"]) for row in rows if all_namespaces or row["namespace"] == own]

    def actor_parts(self, actor: HeldActor) -> tuple[Any, ...]:
        return actor_parts(actor)

    def rebuild_actor(self, parts: tuple[Any, ...]) -> HeldActor:
        return self._actors.rebuild(parts)

    def current_actor(self) -> HeldActor:
        if self.host is None:
            raise NotSupportedByEngineError(
                "current_actor of an actor that shoal has not made",
                "Ask Ray: ray.get_runtime_context().current_actor.",
                "ray",
            )
        return self._actors.own(self.host)

    def exit_actor(self) -> None:
        ray.actor.exit_actor()

    def cancel(self, ref: Any, force: bool, recursive: bool) -> None:
        self._cancellations.cancel(ref, force, recursive)

    # --- objects ----------------------------------------------------------------------------------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        try:
            return RayObjectRef(ray.put(value))
        except Exception as error:
            raise error_from_ray(error) from None

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        return values_of(refs, timeout)

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None, fetch_local: bool
    ) -> list[int]:
        held = held_refs(refs)
        try:
            ready, _ = ray.wait(held, num_returns=num_returns, timeout=timeout, fetch_local=fetch_local)
        except Exception as error:
            raise error_from_ray(error) from None
        except SystemExit:
            check_not_ended()
            raise
        chosen = set(ready)
        return [position for position, ref in enumerate(held) if ref in chosen]

    def wait_with_streams(self, waitables: Sequence[Any], num_returns: int, timeout: float | None) -> list[int]:
        return self.wait(waitables, num_returns, timeout, fetch_local=True)

    def free(self, refs: Sequence[ObjectRef[Any]]) -> None:
        raise NotSupportedByEngineError(
            "Freeing objects by hand", "Let go of all references: Ray frees them then.", "ray"
        )

    def object_locations(self, refs: Sequence[ObjectRef[Any]]) -> list[dict[str, Any]]:
        if self._is_client:
            raise NotSupportedByEngineError(
                "The places of objects by Ray Client (ray://)", "Ask in a task: it runs in the cluster.", "ray"
            )
        held = held_refs(refs)
        locations = ray.experimental.get_object_locations(held)
        unknown: dict[str, Any] = {"node_ids": [], "object_size": None}  # Ray leaves out what it could not find out
        return [dict(locations.get(ref, unknown)) for ref in held]

    # --- the cluster ------------------------------------------------------------------------------------------------------------

    def total_resources(self) -> dict[str, float]:
        resources: dict[str, float] = ray.cluster_resources()
        return resources

    def available_resources(self) -> dict[str, float]:
        resources: dict[str, float] = ray.available_resources()
        return resources

    def nodes(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = ray.nodes()
        return nodes

    def create_placement_group(
        self,
        bundles: list[dict[str, float]],
        strategy: str,
        name: str,
        detached: bool,
        label_selectors: list[dict[str, str]],
    ) -> bytes:
        return placement_groups.create_group(bundles, strategy, name, detached, label_selectors)

    def placement_group_ready(self, group_id: bytes, value: Any) -> ObjectRef[Any]:
        return RayObjectRef(placement_groups.ready_ref(group_id, value))

    def remove_placement_group(self, group_id: bytes) -> None:
        placement_groups.remove_group(group_id)

    def placement_groups(self) -> list[dict[str, Any]]:
        return placement_groups.group_rows()

    def kv_put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool:
        existed: bool = internal_kv._internal_kv_put(key, value, overwrite, namespace=_space(namespace))
        return existed

    def kv_get(self, namespace: str, key: bytes) -> bytes | None:
        value: bytes | None = internal_kv._internal_kv_get(key, namespace=_space(namespace))
        return value

    def kv_delete(self, namespace: str, key: bytes) -> bool:
        return bool(internal_kv._internal_kv_del(key, namespace=_space(namespace)))

    def kv_keys(self, namespace: str, prefix: bytes) -> list[bytes]:
        return list(internal_kv._internal_kv_list(prefix, namespace=_space(namespace)))

    # --- looking inside ---------------------------------------------------------------------------------------------------------

    def state(self, what: str) -> list[dict[str, Any]]:
        from shoal.integrations.ray.state import state_rows

        return state_rows(what)

    def timeline(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = ray.timeline()
        return events

    def record_metric(
        self, kind: str, name: str, description: str, tags: dict[str, str], value: float, boundaries: list[float]
    ) -> None:
        self._metrics.record(kind, name, description, tags, value, boundaries)

    def preload(self, modules: Sequence[str]) -> None:
        """Nothing: Ray's workers import what they need when they need it."""

    # --- the end ----------------------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Leaves Ray, or ends the one that `init` has started. What the program began itself goes on."""
        if self._began:
            ray.shutdown()
            self.open_futures.end(SessionEndedError("the session ended while this waited"))


def _space(namespace: str) -> bytes:
    # Ray ends namespaces at their first colon.
    return b"shoal-" + namespace.encode().hex().encode()
