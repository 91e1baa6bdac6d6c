"""Tracebacks as text, without the frames of the runtime."""

from __future__ import annotations

from traceback import StackSummary, TracebackException, extract_tb
from types import TracebackType

from shoal._core.errors.remote_frames import is_runtime_file

_LONGEST = 20_000
"""Longer texts (characters) are cut in the middle."""


def frames_text(traceback: TracebackType | None) -> str:
    """Returns the frames as tracebacks show them."""
    summary = extract_tb(traceback)
    _drop_runtime_frames(summary)
    return "".join(summary.format())


def last_line(error: BaseException) -> str:
    """Returns what a traceback ends with: 'ValueError: bad value'. Several lines for a SyntaxError; without notes."""
    formatted = TracebackException(type(error), error, None)
    formatted.__notes__ = None
    return cut("".join(formatted.format_exception_only()).rstrip("\n"))


def full_text(error: BaseException) -> str:
    """Returns the traceback with its causes, contexts, members and notes."""
    formatted = TracebackException.from_exception(error)
    for part in _chain_of(formatted):
        _drop_runtime_frames(part.stack)
    return cut("".join(formatted.format()))


def one_line(error: BaseException) -> str:
    """Returns error and place: 'ValueError: bad value (train.py:7, in step)'."""
    text = last_line(error).partition("\n")[0]
    summary = extract_tb(error.__traceback__)
    _drop_runtime_frames(summary)
    if not summary:
        return text
    frame = summary[-1]
    return f"{text} ({frame.filename}:{frame.lineno}, in {frame.name})"


def cut(text: str) -> str:
    """Returns the text, without its middle if it is very long."""
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out) ...\n{text[-half:]}"


def _drop_runtime_frames(summary: StackSummary) -> None:
    summary[:] = [frame for frame in summary if not is_runtime_file(frame.filename)]


def _chain_of(formatted: TracebackException) -> list[TracebackException]:
    parts = [formatted]
    seen = {id(formatted)}
    for part in parts:
        for following in (part.__cause__, part.__context__, *(part.exceptions or ())):
            if following is not None and id(following) not in seen:
                seen.add(id(following))
                parts.append(following)
    return parts
