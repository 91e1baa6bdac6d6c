"""What becomes of the trials of a search that is taken up again."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from shoal.tune.exceptions import InvalidArgumentError


class ResumeType(enum.Enum):
    """What becomes of a trial."""

    RESUME = "resume"
    """It goes on from its latest checkpoint."""
    RESTART = "restart"
    """It begins anew."""
    SKIP = "skip"
    """It stays as it is."""


_Type: TypeAlias = ResumeType


@dataclass(frozen=True)
class ResumeConfig:
    """What becomes of the trials of a search that is taken up again.

    Args:
        finished: of trials that ended as they should.
        unfinished: of trials that were not over.
        errored: of trials that failed.

    Example:
        >>> from shoal import tune
        >>> tune.ResumeConfig(errored=tune.ResumeConfig.ResumeType.RESTART).errored.value
        'restart'
    """

    ResumeType: ClassVar[type[ResumeType]] = ResumeType

    finished: _Type = ResumeType.SKIP
    unfinished: _Type = ResumeType.RESUME
    errored: _Type = ResumeType.SKIP

    def __post_init__(self) -> None:
        for name in ("finished", "unfinished", "errored"):
            if not isinstance(getattr(self, name), ResumeType):
                raise InvalidArgumentError(f"{name} is {getattr(self, name)!r}; give a ResumeConfig.ResumeType")

    @staticmethod
    def of(resume_unfinished: bool, resume_errored: bool, restart_errored: bool) -> ResumeConfig:
        """Returns what Tuner.restore's arguments say. Raises InvalidArgumentError."""
        if resume_errored and restart_errored:
            raise InvalidArgumentError("resume_errored and restart_errored are both True; give one of them")
        errored = ResumeType.RESUME if resume_errored else ResumeType.RESTART if restart_errored else ResumeType.SKIP
        return ResumeConfig(unfinished=ResumeType.RESUME if resume_unfinished else ResumeType.SKIP, errored=errored)
