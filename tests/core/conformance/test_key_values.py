"""The key-value store of the session."""

from __future__ import annotations

import pytest

import shoal

kv = pytest.importorskip("shoal.experimental.internal_kv")


@pytest.fixture(autouse=True)
def clean(session):
    yield
    if shoal.is_initialized():
        for key in kv._internal_kv_list(b"", namespace=b"tests"):
            kv._internal_kv_del(key, namespace=b"tests")


@pytest.mark.short
def test_put_and_get() -> None:
    assert kv._internal_kv_get(b"key", namespace=b"tests") is None
    kv._internal_kv_put(b"key", b"value", namespace=b"tests")
    assert kv._internal_kv_get(b"key", namespace=b"tests") == b"value"
    assert kv._internal_kv_exists(b"key", namespace=b"tests")


def test_overwrite_is_a_choice() -> None:
    kv._internal_kv_put(b"key", b"first", namespace=b"tests")
    kv._internal_kv_put(b"key", b"second", overwrite=False, namespace=b"tests")
    assert kv._internal_kv_get(b"key", namespace=b"tests") == b"first"
    kv._internal_kv_put(b"key", b"second", overwrite=True, namespace=b"tests")
    assert kv._internal_kv_get(b"key", namespace=b"tests") == b"second"


def test_delete() -> None:
    kv._internal_kv_put(b"key", b"value", namespace=b"tests")
    kv._internal_kv_del(b"key", namespace=b"tests")
    assert not kv._internal_kv_exists(b"key", namespace=b"tests")
    kv._internal_kv_del(b"key", namespace=b"tests")


def test_list_by_prefix() -> None:
    for key in (b"a/1", b"a/2", b"b/1"):
        kv._internal_kv_put(key, b"x", namespace=b"tests")
    assert sorted(kv._internal_kv_list(b"a/", namespace=b"tests")) == [b"a/1", b"a/2"]


def test_namespaces() -> None:
    kv._internal_kv_put(b"key", b"value", namespace=b"tests")
    assert kv._internal_kv_get(b"key", namespace=b"other") is None


def test_tasks_see_the_same_store() -> None:
    @shoal.remote
    def write():
        kv._internal_kv_put(b"key", b"from a task", namespace=b"tests")

    shoal.get(write.remote())
    assert kv._internal_kv_get(b"key", namespace=b"tests") == b"from a task"
