"""What goes wrong, by name. Each says which argument or environment, what it was given, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RLlibError(Exception):
    """The base of all errors of this package."""


class ConfigError(RLlibError, ValueError):
    """A configuration that cannot work."""


class UnknownSettingError(ConfigError, TypeError, AttributeError):
    """A setting that does not exist."""


class FrozenConfigError(ConfigError, AttributeError):
    """A change to a configuration that an algorithm already goes by."""


class NotThereYetError(ConfigError, NotImplementedError):
    """What RLlib has, and is not there as yet."""


class UnsupportedSpaceException(ConfigError):
    """A space of observations or actions that a module or an algorithm cannot deal with."""


class EnvError(RLlibError, ValueError):
    """An environment that raised, hung, or answered with what its spaces do not have."""


class MultiAgentEnvError(EnvError):
    """A multi-agent environment that answered with what it must not."""


class CheckpointError(RLlibError, ValueError):
    """A folder that is no checkpoint, or one of something else."""


class StoppedError(RLlibError, RuntimeError):
    """An algorithm that was stopped is asked to go on."""


class EnvRunnerLostError(RLlibError, RuntimeError):
    """An environment runner that died more often than it may be replaced."""


class LearnerLostError(RLlibError, RuntimeError):
    """A learner whose process has ended, with what it had learned since the last checkpoint."""


class NonFiniteLossError(RLlibError, ArithmeticError):
    """A loss that came out infinite, or as no number."""


class OfflineDataError(RLlibError, ValueError):
    """Recorded data that cannot be learned from: columns are missing, or values are not in their spaces."""


class MissingLibraryError(RLlibError, ImportError):
    """A library that is not installed, and is needed for what was asked for."""


class NoEffectWarning(UserWarning):
    """A setting was changed that changes nothing; the text says what to do instead."""


class NotSerializable(RLlibError, TypeError):
    """What cannot be sent to another process."""


def close_matches(name: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean ...?` where something that is known looks like `name`, and otherwise an empty text."""
    found = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.6)
    if not found:
        return ""
    return f" Did you mean {' or '.join(repr(match) for match in found)}?"
