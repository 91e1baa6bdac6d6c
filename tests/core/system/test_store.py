"""A client's arenas: what one process writes another reads, and the last view lets go."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import pytest

from shoal._core.system.store import ArenaMap
from shoal.exceptions import ShoalSystemError

np = pytest.importorskip("numpy")

MIB = 1 << 20
SIZE = 64 * MIB


def nothing() -> None:
    """Releases nobody."""


class Released:
    """Counts releases."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def arena_fd() -> Iterator[int]:
    fd = os.memfd_create("shoal-test-arena")
    os.ftruncate(fd, SIZE)
    yield fd
    os.close(fd)


@pytest.fixture
def arenas(arena_fd: int) -> ArenaMap:
    arenas = ArenaMap()
    arenas.add(1, arena_fd, SIZE)
    return arenas


def mapped(name: str = "shoal-test-arena") -> int:
    """How many mappings this process has of an arena."""
    with open("/proc/self/maps") as maps:
        return sum(name in line for line in maps)


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 300_001, 5 * MIB + 7, 20 * MIB])
@pytest.mark.parametrize("warm", ["cold", "warm", "half"])
def test_what_is_written_is_read(arenas: ArenaMap, size: int, warm: str) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
    writer = arenas.writer(1, 64, size, {"cold": 0, "warm": size, "half": size // 2}[warm])
    third = size // 3
    writer[0:third] = data[:third]
    writer[third:size] = data[third:]
    assert bytes(arenas.readable(1, 64, size, nothing)) == data


def test_a_block_is_written_well_whatever_the_node_says_of_its_pages(arenas: ArenaMap) -> None:
    for warm in (MIB, 0, MIB, 70_000, MIB):
        data = os.urandom(MIB)
        arenas.writer(1, 4096, MIB, warm)[0:MIB] = data
        assert bytes(arenas.readable(1, 4096, MIB, nothing)) == data


def test_neighbours_are_not_touched(arenas: ArenaMap) -> None:
    arenas.writable(1, 0, 3 * MIB)[:] = b"\xff" * (3 * MIB)
    arenas.writer(1, MIB, MIB, MIB // 2)[100_000:900_000] = bytes(800_000)
    everything = np.frombuffer(arenas.readable(1, 0, 3 * MIB, nothing), np.uint8)
    assert everything[: MIB + 100_000].min() == 255
    assert everything[MIB + 100_000 : MIB + 900_000].max() == 0
    assert everything[MIB + 900_000 :].min() == 255


def test_any_contiguous_buffer_can_be_written(arenas: ArenaMap) -> None:
    array = np.arange(100_000, dtype=np.float64)
    arenas.writer(1, 0, array.nbytes)[0 : array.nbytes] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    arenas.writer(1, MIB, array.nbytes, array.nbytes)[0 : array.nbytes] = read_only
    for offset in (0, MIB):
        assert (np.frombuffer(arenas.readable(1, offset, array.nbytes, nothing)) == array).all()


def test_data_of_another_length_is_refused(arenas: ArenaMap) -> None:
    with pytest.raises(ShoalSystemError, match="100000 bytes were to be written to 200000"):
        arenas.writer(1, 0, MIB)[0:200_000] = bytes(100_000)
    with pytest.raises(ValueError):
        arenas.writer(1, 0, MIB)[0:20] = bytes(10)


@pytest.mark.slow
def test_a_block_of_a_gigabyte(arena_fd: int) -> None:
    size = 1 << 30
    fd = os.memfd_create("shoal-test-arena")
    os.ftruncate(fd, 3 * size)
    arenas = ArenaMap()
    arenas.add(7, fd, 3 * size)
    os.close(fd)
    data = np.arange(size // 8)
    arenas.writer(7, size, size)[0:size] = data
    assert (np.frombuffer(arenas.readable(7, size, size, nothing), data.dtype) == data).all()


def test_the_ends_of_a_block_of_a_gigabyte() -> None:
    size = 1 << 30
    fd = os.memfd_create("shoal-test-arena")
    os.ftruncate(fd, 2 * size)
    arenas = ArenaMap()
    arenas.add(7, fd, 2 * size)
    os.close(fd)
    writer = arenas.writer(7, size, size)
    writer[0:MIB] = b"a" * MIB
    writer[size - MIB : size] = b"z" * MIB
    view = arenas.readable(7, size, size, nothing)
    assert (view.nbytes, view[0], view[MIB], view[size - 1]) == (size, ord("a"), 0, ord("z"))


# --- reading ----------------------------------------------------------------------------------------------------------


def test_views_for_reading_are_read_only(arenas: ArenaMap) -> None:
    view = arenas.readable(1, 0, 100, nothing)
    assert (view.readonly, view.format, view.nbytes) == (True, "B", 100)
    with pytest.raises(TypeError):
        view[0] = 1
    array = np.frombuffer(view, np.uint8)
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_a_view_shows_the_shared_memory_itself(arenas: ArenaMap) -> None:
    view = arenas.readable(1, 0, 5, nothing)
    arenas.writable(1, 0, 5)[:] = b"hello"
    assert bytes(view) == b"hello"


def test_the_last_derived_view_lets_go_once(arenas: ArenaMap) -> None:
    released = Released()
    view = arenas.readable(1, 0, 8000, released)
    array = np.frombuffer(view[:4000], np.float64)
    piece = array.reshape(10, 50)[3, 7:20]
    del view, array
    gc.collect()
    assert released.count == 0
    assert piece.sum() == 0
    del piece
    assert released.count == 1
    gc.collect()
    assert released.count == 1


def test_a_view_in_a_cycle_is_found_by_the_collector(arenas: ArenaMap) -> None:
    released = Released()
    cycle: list[object] = [arenas.readable(1, 0, 10, released)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert released.count == 1


def test_each_view_lets_go_for_itself(arenas: ArenaMap) -> None:
    released = Released()
    views = [arenas.readable(1, 0, 10, released) for _ in range(5)]
    views.pop()
    assert released.count == 1
    views.clear()
    assert released.count == 5


def test_the_last_view_may_go_on_any_thread(arenas: ArenaMap) -> None:
    threads: list[int] = []
    views = [arenas.readable(1, 0, 10, lambda: threads.append(threading.get_ident()))]
    thread = threading.Thread(target=views.clear)
    thread.start()
    ident = thread.ident
    thread.join()
    assert threads == [ident]


def test_arrow_buffers_keep_the_view(arenas: ArenaMap) -> None:
    pa = pytest.importorskip("pyarrow")
    released = Released()
    array = pa.Array.from_buffers(pa.int64(), 10, [None, pa.py_buffer(arenas.readable(1, 0, 80, released))])
    part = array.slice(3, 2)
    del array
    assert part.to_pylist() == [0, 0]
    assert released.count == 0
    del part
    assert released.count == 1


def test_a_forked_child_does_not_let_go(arenas: ArenaMap) -> None:
    released_in: list[int] = []

    def release() -> None:
        released_in.append(os.getpid())

    def in_child(use: Callable[[], None]) -> int:
        """How many releases there were in a forked child."""
        pid = os.fork()
        if pid == 0:
            use()
            os._exit(len(released_in))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    views = [arenas.readable(1, 0, 10, release)]
    assert in_child(views.clear) == 0
    assert in_child(lambda: arenas.readable(1, 0, 10, release).release()) == 1, "a view that the child made is its own"
    assert released_in == []
    views.clear()
    assert released_in == [os.getpid()]


# --- arenas -----------------------------------------------------------------------------------------------------------


def test_an_arena_is_mapped_when_it_is_used(arenas: ArenaMap) -> None:
    assert 1 in arenas
    assert mapped() == 0
    view = arenas.readable(1, 0, 10, nothing)
    assert mapped() == 1
    arenas.writable(1, 0, 10)
    assert mapped() == 2
    assert view.nbytes == 10


def test_a_removed_arena_is_unmapped_when_its_last_view_is_gone(arenas: ArenaMap) -> None:
    view = arenas.readable(1, 0, 10, nothing)
    writer = arenas.writer(1, 0, MIB)
    arenas.remove(1)
    assert 1 not in arenas
    assert mapped() == 2
    writer[0:MIB] = b"x" * MIB
    assert bytes(view) == b"x" * 10
    del view, writer
    assert mapped() == 0


def test_removing_an_unknown_arena_does_nothing(arenas: ArenaMap) -> None:
    arenas.remove(99)
    assert 1 in arenas


@pytest.mark.parametrize("use", [ArenaMap.writable, ArenaMap.writer])
@pytest.mark.parametrize(
    ("arena", "offset", "size"), [(2, 0, 1), (1, -1, 1), (1, SIZE, 1), (1, 0, -1), (1, 0, SIZE + 1)]
)
def test_only_blocks_of_known_arenas(
    arenas: ArenaMap, use: Callable[..., object], arena: int, offset: int, size: int
) -> None:
    with pytest.raises(ShoalSystemError, match=f"arena {arena}"):
        use(arenas, arena, offset, size)
    with pytest.raises(ShoalSystemError, match=f"arena {arena}"):
        arenas.readable(arena, offset, size, nothing)


# --- other processes --------------------------------------------------------------------------------------------------

CHILD = """
    import pickle, socket, sys
    import numpy as np
    from shoal._core.system.store import ArenaMap

    def main():
        line = socket.socket(fileno=int(sys.argv[1]))
        message, (fd,), _, _ = socket.recv_fds(line, 1000, 1)
        size, length, *lengths = pickle.loads(message)
        arenas = ArenaMap()
        arenas.add(1, fd, size)
        released = []
        view = arenas.readable(1, 0, length + sum(lengths), lambda: released.append(1))
        buffers, position = [], length
        for each in lengths:
            buffers.append(view[position:position + each])
            position += each
        value = pickle.loads(view[:length], buffers=buffers)
        assert not value["a"].flags.writeable
        del view, buffers
        doubled = np.ascontiguousarray(value["a"] * 2)
        assert released == []
        del value
        assert released == [1]
        arenas.writer(1, 1 << 24, doubled.nbytes)[0:doubled.nbytes] = doubled
        line.sendall(b"done")

    main()
"""


def run_child(code: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(program, pass_fds=pass_fds, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def test_values_cross_between_processes_without_a_copy_on_the_way(arenas: ArenaMap, arena_fd: int) -> None:
    value = {"a": np.arange(1_000_000, dtype=np.float64), "b": np.ones((3, 4)), "c": "text"}
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    pieces = [stream.ljust(-(-len(stream) // 64) * 64, b"."), *(buffer.raw() for buffer in buffers)]
    writer, position = arenas.writer(1, 0, sum(map(len, pieces))), 0
    for piece in pieces:
        writer[position : position + len(piece)] = piece
        position += len(piece)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = run_child(CHILD, str(theirs.fileno()), pass_fds=(theirs.fileno(),))
        message = pickle.dumps((SIZE, *map(len, pieces)))
        socket.send_fds(ours, [message], [arena_fd])
        theirs.close()
        assert ours.recv(100) == b"done"
        assert child.wait(30) == 0
    doubled = np.frombuffer(arenas.readable(1, 1 << 24, value["a"].nbytes, nothing))
    assert (doubled == value["a"] * 2).all()


def test_a_stray_write_to_what_is_read_is_a_crash_and_changes_nothing(arenas: ArenaMap, arena_fd: int) -> None:
    code = """
        import ctypes, sys
        from shoal._core.system.store import ArenaMap
        import numpy as np

        arenas = ArenaMap()
        arenas.add(1, int(sys.argv[1]), 1 << 20)
        array = np.frombuffer(arenas.readable(1, 0, 100, int), np.uint8)
        ctypes.memset(array.ctypes.data, 1, 1)
    """
    child = run_child(code, str(arena_fd), pass_fds=(arena_fd,))
    assert child.wait(30) == -signal.SIGSEGV
    assert bytes(arenas.readable(1, 0, 1, nothing)) == b"\0"
