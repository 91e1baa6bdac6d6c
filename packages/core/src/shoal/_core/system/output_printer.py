"""Shows worker output in the driver: `(name pid=123) text`, on the driver's own standard output and error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

OutputLine = tuple[str, int, bool, str]
"""(name, pid, whether it is stderr, text), as in the message `OutputLines`."""

_PREFIX_COLOUR = "\x1b[36m"
_NORMAL = "\x1b[0m"


class OutputPrinter:
    """Prints lines of workers, each with a prefix that says whose it is; in colour on a terminal.

    Args:
        colour: True or False to insist; None for colour on terminals, unless the variable NO_COLOR is set, or SHOAL_COLOR_PREFIX is 0.
    """

    __slots__ = ("_colour",)

    def __init__(self, colour: bool | None = None) -> None:
        if colour is None and (os.environ.get("NO_COLOR") or os.environ.get("SHOAL_COLOR_PREFIX") == "0"):
            colour = False
        self._colour = colour

    def print(self, lines: Iterable[OutputLine], node: str = "") -> None:
        """Prints the lines to the present `sys.stdout` and `sys.stderr`, each batch in one write.

        Args:
            lines: what to print, in order.
            node: address of the machine they come from; '' for this one, which is not shown.
        """
        batches: dict[bool, list[OutputLine]] = {}
        for line in lines:
            batches.setdefault(line[2], []).append(line)
        for is_stderr, batch in batches.items():
            stream = sys.stderr if is_stderr else sys.stdout
            if stream is None:
                continue  # A program without a console.
            before, after = (_PREFIX_COLOUR, _NORMAL) if self._in_colour(stream) else ("", "")
            where = f", ip={node}" if node else ""
            text = "".join(f"{before}({name} pid={pid}{where}){after} {line}\n" for name, pid, _, line in batch)
            _write(stream, text)

    def _in_colour(self, stream: TextIO) -> bool:
        return stream.isatty() if self._colour is None else self._colour


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except ValueError:
        return  # The program has closed its output.
    stream.flush()


def repeats_are_counted(environ: Mapping[str, str]) -> bool:
    """Returns whether lines that several workers print are to be shown once, with a count (SHOAL_DEDUP_LOGS,
    RAY_DEDUP_LOGS)."""
    return environ.get("SHOAL_DEDUP_LOGS", environ.get("RAY_DEDUP_LOGS", "1")) != "0"
