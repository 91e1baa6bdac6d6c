"""The node's object store, as far as owners are concerned: written, read, freed."""

from __future__ import annotations

from shoal._core.schema.ids import owner_of


class Store:
    """Values that do not travel in messages."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self._owners_gone: set[bytes] = set()

    def write(self, object_id: bytes, data: bytes) -> None:
        """A second attempt's result is as good as the first's, which stays. What a dead process owns is not kept."""
        if owner_of(object_id) not in self._owners_gone:
            self.blocks.setdefault(object_id, data)

    def read(self, object_id: bytes) -> bytes | None:
        return self.blocks.get(object_id)

    def free(self, object_id: bytes) -> bool:
        """Returns False where it is not there."""
        return self.blocks.pop(object_id, None) is not None

    def owner_gone(self, owner: bytes) -> None:
        self._owners_gone.add(owner)
        for object_id in [object_id for object_id in self.blocks if object_id.startswith(owner)]:
            del self.blocks[object_id]
