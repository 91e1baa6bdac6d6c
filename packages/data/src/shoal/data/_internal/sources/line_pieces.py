"""Cutting streams of lines into pieces that can be parsed alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def line_pieces(stream: Any, piece_bytes: int) -> Iterator[bytes]:
    """Yields the bytes of a stream in pieces of whole lines.

    Args:
        stream: an open file; lines end with a newline.
        piece_bytes: of a piece, about; a longer line is a piece of its own.
    """
    rest = b""
    while block := stream.read(piece_bytes):
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            continue
        yield rest + block[:end] if rest else block[:end]
        rest = block[end:]
    if rest:
        yield rest
