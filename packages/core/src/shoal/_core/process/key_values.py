"""The session's key-value store: small bytes by (namespace, key), kept by the head."""

from __future__ import annotations


class KeyValues:
    """A dictionary of dictionaries; see `shoal.experimental.internal_kv`."""

    def __init__(self) -> None:
        self._spaces: dict[str, dict[bytes, bytes]] = {}

    def put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool:
        """Returns True if the key existed already (whether or not it was overwritten)."""
        space = self._spaces.setdefault(namespace, {})
        existed = key in space
        if overwrite or not existed:
            space[key] = value
        return existed

    def get(self, namespace: str, key: bytes) -> bytes | None:
        return self._spaces.get(namespace, {}).get(key)

    def delete(self, namespace: str, key: bytes) -> bool:
        return self._spaces.get(namespace, {}).pop(key, None) is not None

    def keys(self, namespace: str, prefix: bytes) -> list[bytes]:
        return [key for key in self._spaces.get(namespace, {}) if key.startswith(prefix)]
