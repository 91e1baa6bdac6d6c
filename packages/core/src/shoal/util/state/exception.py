"""What the state API raises."""

from __future__ import annotations

from shoal.exceptions import ShoalError


class ShoalStateApiException(ShoalError):
    """The state of a session could not be read."""


class ServerUnavailable(ShoalStateApiException):
    """The session's daemon does not answer."""


class DataSourceUnavailable(ShoalStateApiException):
    """A part of the session does not answer."""


RayStateApiException = ShoalStateApiException
