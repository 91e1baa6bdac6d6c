"""How programs and their workers write logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal._core.api.checks import text
from shoal.exceptions import InvalidOptionError

ENCODINGS = ("TEXT", "JSON")
TEXT_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"


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


def configure_logging(level: int | str | None, format: str | None, config: LoggingConfig | None) -> None:
    """Sets up the program's loggers as `init` was asked: `shoal`'s own by level and format, the root logger by a config."""
    if level is None and format is None and config is None:
        return
    import logging

    if level is not None or format is not None:
        _set_up(logging.getLogger("shoal"), logging.Formatter(format or TEXT_FORMAT), level)
        logging.getLogger("shoal").propagate = False
    if config is not None:
        _set_up(logging.getLogger(), _formatter(config), config.log_level)


def _set_up(logger: Any, formatter: Any, level: int | str | None) -> None:
    import logging

    for handler in logger.handlers:
        if handler.get_name() == "shoal":
            break
    else:
        handler = logging.StreamHandler()
        handler.set_name("shoal")
        logger.addHandler(handler)
    handler.setFormatter(formatter)
    if level is not None:
        logger.setLevel(level.upper() if isinstance(level, str) else level)


def _formatter(config: LoggingConfig) -> Any:
    import logging

    extra = config.additional_log_standard_attrs
    if config.encoding == "TEXT":
        return logging.Formatter("\t".join([TEXT_FORMAT, *(f"{name}=%({name})s" for name in extra)]))

    import json

    class JsonFormatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            line: dict[str, Any] = {
                "asctime": self.formatTime(record),
                "levelname": record.levelname,
                "message": record.getMessage(),
                "filename": record.filename,
                "lineno": record.lineno,
            }
            line.update({name: getattr(record, name, None) for name in extra})
            if record.exc_info:
                line["exc_text"] = self.formatException(record.exc_info)
            return json.dumps(line, default=str)

    return JsonFormatter()
