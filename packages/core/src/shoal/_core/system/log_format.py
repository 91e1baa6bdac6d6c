"""How this process's loggers write: on standard error, as text or as one JSON object a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TEXT_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
_OUR_HANDLER = "shoal"


def configure_root_logger(settings: Mapping[str, Any]) -> None:
    """Sets up the root logger.

    Args:
        settings: `encoding` ('TEXT' or 'JSON'), `log_level` (a name), `additional_log_standard_attrs` (attributes of LogRecord).
    """
    import logging

    extra = settings["additional_log_standard_attrs"]
    if settings["encoding"] == "JSON":
        formatter = _json_formatter(extra)
    else:
        formatter = logging.Formatter("\t".join([TEXT_FORMAT, *(f"{name}=%({name})s" for name in extra)]))
    configure_logger("", formatter, settings["log_level"])


def configure_logger(name: str, formatter: Any, level: int | str | None) -> None:
    """Gives a logger ('' for the root) one handler of ours; the program's own handlers stay."""
    import logging

    logger = logging.getLogger(name or None)
    for handler in logger.handlers:
        if handler.get_name() == _OUR_HANDLER:
            break
    else:
        handler = logging.StreamHandler()
        handler.set_name(_OUR_HANDLER)
        logger.addHandler(handler)
    handler.setFormatter(formatter)
    if level is not None:
        logger.setLevel(level.upper() if isinstance(level, str) else level)


def _json_formatter(extra: Sequence[str]) -> Any:
    import json
    import logging

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
