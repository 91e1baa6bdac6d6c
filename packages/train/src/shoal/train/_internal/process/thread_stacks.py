"""Where the threads of this process are."""

from __future__ import annotations

import sys
import threading
import traceback

LOOP_THREAD = "train-loop"
"""The thread that runs the training loop."""


def loop_stack() -> str:
    """Returns the Python stack of the training loop, innermost frame last; '' where none runs."""
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread.name == LOOP_THREAD and thread.ident in frames:
            return "".join(traceback.format_stack(frames[thread.ident]))
    return ""
