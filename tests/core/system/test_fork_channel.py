"""Packets with descriptors between two ends."""

from __future__ import annotations

import gc
import os
import select
from collections.abc import Iterator

import pytest

from shoal._core.system.fork_channel import ChannelClosed, ForkChannel, content_of, memfd_of


@pytest.fixture
def ends() -> Iterator[tuple[ForkChannel, ForkChannel]]:
    ends = ForkChannel.pair()
    yield ends
    for end in ends:
        end.close()


def open_fds() -> int:
    # What other tests have left to the collector may hold descriptors too.
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_packets_stay_apart(ends: tuple[ForkChannel, ForkChannel]) -> None:
    here, there = ends
    assert there.receive() is None
    for payload in (b"one", b"", b"three"):
        here.send(payload)
    assert [there.receive() for _ in range(4)] == [(b"one", []), (b"", []), (b"three", []), None]


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_descriptors_come_with_their_packet(ends: tuple[ForkChannel, ForkChannel], size: int) -> None:
    here, there = ends
    before = open_fds()
    reading, writing = os.pipe()
    here.send(b"x" * size, [writing])
    here.send(b"another")
    os.close(writing)
    payload, fds = there.receive() or (b"", [])
    assert (payload, len(fds)) == (b"x" * size, 1)
    assert not os.get_inheritable(fds[0])
    os.write(fds[0], b"hello")
    assert os.read(reading, 10) == b"hello"
    assert there.receive() == (b"another", [])
    for fd in (reading, *fds):
        os.close(fd)
    assert open_fds() == before


def test_what_has_no_room_waits_with_its_descriptors(ends: tuple[ForkChannel, ForkChannel]) -> None:
    here, there = ends
    before = open_fds()
    sent = 0
    while not here.wants_write:
        with open("/dev/null") as file:
            here.send(b"%8d" % sent + b"x" * 8000, [file.fileno()])
        sent += 1
    here.send(b"%8d" % sent)
    received = 0
    while received <= sent:
        packet = there.receive()
        if packet is None:
            assert select.select([], [here], [], 20)[1]
            here.flush()
            continue
        assert int(packet[0][:8]) == received
        assert len(packet[1]) == (received < sent)
        for fd in packet[1]:
            os.close(fd)
        received += 1
    assert not here.wants_write
    assert open_fds() == before


def test_the_other_end_is_gone(ends: tuple[ForkChannel, ForkChannel]) -> None:
    here, there = ends
    here.send(b"last words")
    here.close()
    assert there.receive() == (b"last words", [])
    with pytest.raises(ChannelClosed):
        there.receive()
    with pytest.raises(ChannelClosed):
        there.send(b"anybody?")


def test_closing_releases_what_waits() -> None:
    before = open_fds()
    here, there = ForkChannel.pair()
    while not here.wants_write:
        here.send(b"x" * 8000, [0])
    here.close()
    there.close()
    assert open_fds() == before


def test_an_inherited_end(ends: tuple[ForkChannel, ForkChannel]) -> None:
    here, there = ends
    inherited = ForkChannel.from_fd(os.dup(there.fileno()))
    here.send(b"hello")
    assert inherited.receive() == (b"hello", [])
    inherited.close()


def test_a_file_in_memory_holds_a_message() -> None:
    before = open_fds()
    assert content_of(memfd_of(b"message")) == b"message"
    assert open_fds() == before
