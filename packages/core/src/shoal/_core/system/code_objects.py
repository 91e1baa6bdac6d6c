"""Code objects on their way to other processes keep the name of their file.

cloudpickle 3.1.3 puts `<dynamic-code>` in its place, so that equal code pickles equally wherever it stands. Tracebacks, breakpoints and
coverage go by the file's name, and users of shoal look at those.
"""

from __future__ import annotations

from types import CodeType
from typing import Any

import cloudpickle

_PLACEHOLDER = "<dynamic-code>"


def reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Returns what cloudpickle makes a code object of, with the name of its file."""
    make, arguments, *rest = cloudpickle.Pickler.dispatch_table[CodeType](code)
    kept = tuple(code.co_filename if isinstance(one, str) and one == _PLACEHOLDER else one for one in arguments)
    return make, kept, *rest
