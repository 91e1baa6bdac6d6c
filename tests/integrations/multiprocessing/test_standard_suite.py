"""CPython's own tests of its pool, with shoal's in its place. They come with the interpreter, where its packager has not left them out."""

from __future__ import annotations

import multiprocessing
import unittest
import unittest.mock
from typing import Any

import pytest

from shoal.util.multiprocessing import Pool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]

suite: Any = pytest.importorskip(
    "test._test_multiprocessing", reason="this interpreter comes without Python's own tests"
)

PRIVATE = "it looks at processes that the standard pool keeps in private attributes"


class TestPool(suite._TestPool, unittest.TestCase):
    """Order, errors, timeouts, callbacks, iterables that raise, the end of pools."""

    TYPE = "processes"
    Pool = staticmethod(Pool)

    @unittest.skip(PRIVATE)
    def test_make_pool(self) -> None: ...


class TestErrors(suite._TestPoolWorkerErrors, unittest.TestCase):
    """Errors of workers."""

    TYPE = "processes"

    def setUp(self) -> None:
        self.enterContext(unittest.mock.patch.object(multiprocessing, "Pool", Pool))

    @unittest.skip("its result is a lambda, which shoal sends")
    def test_unpickleable_result(self) -> None: ...


class TestLifetime(suite._TestPoolWorkerLifetime, unittest.TestCase):
    """Workers that are replaced."""

    TYPE = "processes"

    def setUp(self) -> None:
        self.enterContext(unittest.mock.patch.object(multiprocessing, "Pool", Pool))

    @unittest.skip(PRIVATE)
    def test_pool_worker_lifetime(self) -> None: ...

    @unittest.skip("it is about the standard pool's handler at exit")
    def test_worker_finalization_via_atexit_handler_of_multiprocessing(self) -> None: ...
