"""What this is a version of. One place, read by the build and by the program."""

from __future__ import annotations

VERSION = "0.1.0"
COMMIT = "unknown"
"""The commit that this was built from; written by release builds."""
