"""Stack frames of another process: plain tuples that travel, and traceback objects made of them."""

from __future__ import annotations

import os
from itertools import islice
from types import TracebackType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    FrameLine: TypeAlias = tuple[str, str, int, int, int, int]
    """File name, function name, first line, last line, first column, last column (-1 where unknown)."""

_RUNTIME_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
"""Frames of files in here are shoal's own and say nothing to users."""

_MOST_FRAMES = 100
"""How many frames of one traceback travel: the outermost and the innermost halves of it."""


def is_runtime_file(filename: str) -> bool:
    """Returns whether a source file belongs to shoal's runtime (not to a library built on it)."""
    return filename.startswith(_RUNTIME_FOLDER)


def frame_lines(traceback: TracebackType | None) -> tuple[FrameLine, ...]:
    """Returns the frames of a traceback without those of the runtime, outermost first."""
    lines: list[FrameLine] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_runtime_file(code.co_filename):
            first, last, column, end_column = _position(traceback)
            lines.append((code.co_filename, code.co_name, first, last, column, end_column))
        traceback = traceback.tb_next
    if len(lines) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        lines = lines[:half] + lines[-half:]
    return tuple(lines)


def _position(traceback: TracebackType) -> tuple[int, int, int, int]:
    line = traceback.tb_lineno or 1
    if traceback.tb_lasti >= 0:
        positions = traceback.tb_frame.f_code.co_positions()
        first, last, column, end_column = next(islice(positions, traceback.tb_lasti // 2, None), (None,) * 4)
        if first is not None and last is not None and column is not None and end_column is not None:
            return first, last, column, end_column
    return line, line, -1, -1


def remade_traceback(lines: tuple[FrameLine, ...]) -> TracebackType | None:
    """Returns a traceback that prints (and shows in debuggers) as the remote one did; None for no frames."""
    made: TracebackType | None = None
    for line in reversed(lines):
        try:
            made = _remade_frame(line, made)
        except (ValueError, SyntaxError):
            # A place that no source code can have (made by a tool): the other frames do without it.
            continue
    return made


def _remade_frame(line: FrameLine, inner: TracebackType | None) -> TracebackType:
    import ast

    filename, name, first, last, column, end_column = line
    place = {
        "lineno": first,
        "end_lineno": last,
        "col_offset": max(column, 0),
        "end_col_offset": max(end_column, 0),
    }
    # A frame exists only by running code: a statement that fails, said to stand where the remote one stood.
    failing = ast.Raise(exc=ast.Name(id="StopAsyncIteration", ctx=ast.Load(), **place), cause=None, **place)
    code = compile(ast.Module(body=[failing], type_ignores=[]), filename, "exec").replace(co_name=name)
    try:
        exec(code, {"__name__": "", "__file__": filename})
    except StopAsyncIteration as stopped:
        own = stopped.__traceback__
        assert own is not None and own.tb_next is not None
        frame = own.tb_next
        return TracebackType(inner, frame.tb_frame, frame.tb_lasti, first)
    raise AssertionError("a raise statement did not raise")
