"""What environments may raise to be dealt with in a special way."""

from __future__ import annotations


class StepFailedRecreateEnvError(Exception):
    """Raised by an environment's step or reset: it is to be made anew, and sampling goes on without an error."""
