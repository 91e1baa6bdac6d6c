"""Numbers by which Ray's programs tell kinds of processes apart."""

from __future__ import annotations

SCRIPT_MODE = 0
"""A program that began or joined a session."""
WORKER_MODE = 1
"""A process that runs tasks or an actor."""
LOCAL_MODE = 2
"""A program whose session runs in its own process."""
SPILL_WORKER_MODE = 3
RESTORE_WORKER_MODE = 4
