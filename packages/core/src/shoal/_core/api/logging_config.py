"""How programs and their workers write logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal._core.api.checks import text
from shoal.exceptions import InvalidOptionError

ENCODINGS = ("TEXT", "JSON")


class LoggingConfig:
    """How the root logger of the driver and of all workers writes, for `shoal.init(logging_config=...)`.

    Args:
        encoding: 'TEXT' or 'JSON' (one object a line).
        log_level: level name, as in 'INFO'.
        additional_log_standard_attrs: further attributes of `logging.LogRecord` to write, as in ['name', 'lineno'].

    Raises:
        InvalidOptionError: (a ValueError) for an encoding that does not exist.
    """

    def __init__(
        self, encoding: str = "TEXT", log_level: str = "INFO", additional_log_standard_attrs: Sequence[str] = ()
    ) -> None:
        if encoding not in ENCODINGS:
            raise InvalidOptionError("encoding", encoding, f"give one of {ENCODINGS}")
        self.encoding = encoding
        self.log_level = text("log_level", log_level)
        self.additional_log_standard_attrs = [
            text("additional_log_standard_attrs", name) for name in additional_log_standard_attrs
        ]

    def as_dict(self) -> dict[str, Any]:
        """Returns the settings as plain data."""
        return {
            "encoding": self.encoding,
            "log_level": self.log_level,
            "additional_log_standard_attrs": self.additional_log_standard_attrs,
        }

    def __repr__(self) -> str:
        return f"LoggingConfig({', '.join(f'{key}={value!r}' for key, value in self.as_dict().items())})"


def configure_logging(level: int | str | None, format: str | None, settings: Mapping[str, Any]) -> None:
    """Sets up the program's loggers as `init` was asked: `shoal`'s own by level and format, the root logger by a config's settings."""
    if level is None and format is None and not settings:
        return
    import logging

    from shoal._core.system.log_format import TEXT_FORMAT, configure_logger, configure_root_logger

    if level is not None or format is not None:
        configure_logger("shoal", logging.Formatter(format or TEXT_FORMAT), level)
        logging.getLogger("shoal").propagate = False
    if settings:
        configure_root_logger(settings)
