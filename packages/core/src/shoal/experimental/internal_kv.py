"""The session's key-value store: small values by namespace and key, for libraries. Keys, values and namespaces are bytes or text."""

from __future__ import annotations

from shoal._core.api.runtime import SESSION
from shoal.exceptions import InvalidOptionTypeError

_Bytes = bytes | str


def _internal_kv_initialized() -> bool:
    """Returns whether there is a session."""
    return SESSION.engine is not None


def _internal_kv_put(key: _Bytes, value: _Bytes, overwrite: bool = True, *, namespace: _Bytes | None = None) -> bool:
    """Stores a value.

    Args:
        key: its key.
        value: the value.
        overwrite: False to leave a value alone that is there already.
        namespace: keys of different namespaces have nothing to do with each other.

    Returns:
        True if there was a value for the key before.
    """
    return SESSION.require().kv_put(_text(namespace), _bytes("key", key), _bytes("value", value), overwrite)


def _internal_kv_get(key: _Bytes, *, namespace: _Bytes | None = None) -> bytes | None:
    """Returns the value for a key; None for none."""
    return SESSION.require().kv_get(_text(namespace), _bytes("key", key))


def _internal_kv_exists(key: _Bytes, *, namespace: _Bytes | None = None) -> bool:
    """Returns whether there is a value for a key."""
    return _internal_kv_get(key, namespace=namespace) is not None


def _internal_kv_del(key: _Bytes, *, del_by_prefix: bool = False, namespace: _Bytes | None = None) -> int:
    """Deletes a key, or all keys that begin with it. Returns how many were deleted."""
    engine = SESSION.require()
    space = _text(namespace)
    keys = engine.kv_keys(space, _bytes("key", key)) if del_by_prefix else [_bytes("key", key)]
    return sum(engine.kv_delete(space, each) for each in keys)


def _internal_kv_list(prefix: _Bytes, *, namespace: _Bytes | None = None) -> list[bytes]:
    """Returns the keys that begin with a prefix."""
    return SESSION.require().kv_keys(_text(namespace), _bytes("prefix", prefix))


def _bytes(argument: str, value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise InvalidOptionTypeError(argument, value, "give bytes or text")
    return value


def _text(namespace: _Bytes | None) -> str:
    return namespace.decode() if isinstance(namespace, bytes) else namespace or ""
