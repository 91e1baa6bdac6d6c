"""Actors: made, called, found by name and passed on, as actors of Ray."""

from __future__ import annotations

import weakref
from typing import Any

import ray

from shoal.engines import DYNAMIC, STREAMING, ActorTemplate, MethodTemplate, ObjectRef
from shoal.exceptions import ActorAlreadyExistsError, NotSupportedByEngineError
from shoal.integrations.engines.templates import template_data, template_of
from shoal.integrations.ray.actor_names import ActorNames
from shoal.integrations.ray.errors import error_from_ray
from shoal.integrations.ray.host import Host, direct, host_class
from shoal.integrations.ray.options import actor_keywords, method_keywords
from shoal.integrations.ray.references import results_of, to_ray
from shoal.integrations.ray.sessions import Arrival
from shoal.integrations.ray.streams import RayStream

_KEPT_CALLS = 256
_TERMINATE = ("__ray_terminate__", "__shoal_terminate__")


class HeldActor:
    """A hold on an actor: Ray's handle, which counts, and what shoal's handles know.

    Args:
        handle: Ray's handle.
        template: the actor's class and options.
        weak: whether it came by the actor's name, or is the actor's own.
    """

    __slots__ = ("__weakref__", "_calls", "actor_id", "handle", "template", "weak")

    def __init__(self, handle: Any, template: ActorTemplate, weak: bool = False) -> None:
        self.handle = handle
        self.template = template
        self.weak = weak
        self.actor_id: bytes = handle._actor_id.binary()
        self._calls: dict[int, tuple[MethodTemplate, Any]] = {}

    def call(
        self, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | RayStream:
        """Calls a method. Raises what Ray objects with, in shoal's words (PendingCallsLimitExceeded, SerializationError)."""
        prepared = self._calls.get(id(template))
        method, first = prepared[1] if prepared is not None else self._prepare(template)
        args, kwargs = to_ray(args, kwargs)
        try:
            answer = method.remote(*first, *args, **kwargs)
        except Exception as error:
            raise error_from_ray(error) from None
        return RayStream(answer) if template.options.num_returns == STREAMING else results_of(answer)

    def _prepare(self, template: MethodTemplate) -> tuple[Any, tuple[Any, ...]]:
        options = template.options
        if template.name in _TERMINATE:
            prepared: tuple[Any, tuple[Any, ...]] = (self.handle.__ray_terminate__, ())
        else:
            keywords = method_keywords(options, options.name or f"{self.template.definition.name}.{template.name}")
            yields = options.num_returns in (STREAMING, DYNAMIC)
            if template.name in self.template.methods and not yields and not options.retry_exceptions:
                prepared = getattr(self.handle, direct(template.name)).options(**keywords), ()
            else:
                method = self.handle.stream if yields else self.handle.call
                prepared = method.options(**keywords), ((template.name, options.retry_exceptions),)
        if len(self._calls) >= _KEPT_CALLS:
            self._calls.clear()  # options of a call may make a new template each time
        self._calls[id(template)] = (template, prepared)  # the template too, so that its id stays its own
        return prepared


class Actors:
    """All actors that this process has holds on.

    Args:
        namespace: where names are looked up.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._names = ActorNames(namespace)
        self._held: weakref.WeakSet[HeldActor] = weakref.WeakSet()
        self._classes: dict[tuple[Any, ...], Any] = {}

    def create(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HeldActor:
        """Makes an actor. Raises ActorAlreadyExistsError."""
        options = template.options
        if options.get_if_exists:
            try:
                return self.named(options.name, options.namespace)
            except ValueError:
                pass  # there is none: Ray is asked for it again below, so that of two who come at once one makes it
        data = template_data(template)
        args, kwargs = to_ray(args, kwargs)
        made = self._class_of(template).options(**actor_keywords(options))
        try:
            handle = made.remote(template.definition.data, data, *args, **kwargs)
        except Exception as error:
            if options.name and isinstance(error, ValueError) and "already" in str(error):
                raise ActorAlreadyExistsError(str(error)) from None
            raise error_from_ray(error) from None
        held = self._hold(HeldActor(handle, template))
        if options.name:
            self._names.note(options.name, options.namespace, held.actor_id, data)
        return held

    def _class_of(self, template: ActorTemplate) -> Any:
        """Returns the host's class for the user's class, by whose name Ray shows it."""
        name = template.definition.name
        groups = template.options.concurrency_groups
        key = (name, template.is_async, tuple(template.methods), *sorted(groups.items()))
        made = self._classes.get(key)
        if made is None:
            host = host_class(name, template.is_async, template.methods)
            made = ray.remote(concurrency_groups=dict(groups))(host) if groups else ray.remote(host)
            self._classes[key] = made
        return made

    def named(self, name: str, namespace: str | None) -> HeldActor:
        """Returns a weak hold on the living actor of a name. Raises ValueError where there is none."""
        handle = ray.get_actor(name, namespace=namespace or self._namespace)
        if not hasattr(handle, "shoal_template"):
            raise NotSupportedByEngineError(
                f"get_actor({name!r}) of an actor that shoal has not made",
                "Find and call it with Ray: ray.get_actor(name).",
                "ray",
            )
        data = self._names.template(name, namespace, handle._actor_id.binary())
        if data is None:
            try:
                data = ray.get(handle.shoal_template.remote())
            except ray.exceptions.RayError as error:
                raise ValueError(f"the actor named {name!r} does not answer: {error}") from None
        return self._hold(HeldActor(handle, template_of(data), weak=True))

    def _hold(self, held: HeldActor) -> HeldActor:
        self._held.add(held)
        return held

    def kill(self, actor_id: bytes, no_restart: bool) -> None:
        """Ends an actor at once."""
        held = next((held for held in list(self._held) if held.actor_id == actor_id), None)
        if held is not None:
            ray.kill(held.handle, no_restart=no_restart)

    def rebuild(self, parts: tuple[Any, ...]) -> HeldActor:
        """Makes the hold of `actor_parts` in this process."""
        _, handle, data, weak = parts
        return self._hold(HeldActor(handle, template_of(data), weak))

    def own(self, host: Host) -> HeldActor:
        """Returns a weak hold on the actor that this process is."""
        return self._hold(HeldActor(ray.get_runtime_context().current_actor, host.template, weak=True))


def actor_parts(actor: HeldActor) -> tuple[Any, ...]:
    """Returns what another process needs to rebuild a hold. The session has to be there first."""
    return Arrival(), actor.handle, template_data(actor.template), actor.weak
