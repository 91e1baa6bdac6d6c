"""What handles of named actors need: Ray finds an actor by its name, and knows no template."""

from __future__ import annotations

import ray
from ray.experimental import internal_kv

_SPACE = b"shoal-actors"
_ACTOR_ID_SIZE = 16
_SWEPT_EACH = 100


class ActorNames:
    """Notes of named actors in Ray's key-value store, so that whoever finds one need not ask the actor itself.

    Args:
        namespace: of names that come without one.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._noted = 0

    def note(self, name: str, namespace: str | None, actor_id: bytes, template: bytes) -> None:
        """Notes an actor that has just been made. Each hundredth time, the first among them, notes of dead actors go."""
        if self._noted % _SWEPT_EACH == 0:
            self._forget_the_dead()
        self._noted += 1
        internal_kv._internal_kv_put(self._key(name, namespace), actor_id + template, namespace=_SPACE)

    def template(self, name: str, namespace: str | None, actor_id: bytes) -> bytes | None:
        """Returns the pickled template of the actor of a name and an id; None where its maker has not come to note it."""
        found = internal_kv._internal_kv_get(self._key(name, namespace), namespace=_SPACE)
        return found[_ACTOR_ID_SIZE:] if found is not None and found[:_ACTOR_ID_SIZE] == actor_id else None

    def _key(self, name: str, namespace: str | None) -> bytes:
        return f"{namespace or self._namespace}\0{name}".encode()

    def _forget_the_dead(self) -> None:
        # Asked in this order: whoever has been noted was alive then, and those who come in between are not among the noted.
        noted = internal_kv._internal_kv_list(b"", namespace=_SPACE)
        if noted:
            rows = ray.util.list_named_actors(all_namespaces=True)
            living = {self._key(row["name"], row["namespace"]) for row in rows}
            for key in set(noted) - living:
                internal_kv._internal_kv_del(key, namespace=_SPACE)
