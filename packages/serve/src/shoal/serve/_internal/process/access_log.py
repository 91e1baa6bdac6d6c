"""The log of a replica: a line for each request, where that is wanted, and the traceback of each that failed."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from typing import Any

from shoal.serve._internal.logic.line_budget import LineBudget
from shoal.serve._internal.process.request_context import CURRENT
from shoal.serve.schema import EncodingType, LoggingConfig

NAMES = ("shoal.serve", "ray.serve")
"""Loggers that belong to a replica: programs written for Ray name the second."""
LINES_PER_SECOND = 200
"""Of the access log; what is more is counted. A line costs about 30 µs: at most 1 % of a core."""
TRACEBACKS_PER_SECOND = 10
FILE_BYTES, OLD_FILES = 100_000_000, 5


class _Formatter(logging.Formatter):
    """Adds the replica and the request.

    Args:
        names: what tells the replica apart: application, deployment, replica.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self._names = dict(names)
        self._where = " ".join(names.values())

    def format(self, record: logging.LogRecord) -> str:
        request_id = CURRENT.get().request_id
        text = f"{record.levelname} {self.formatTime(record)} {self._where} {request_id or '-'} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class _JsonFormatter(_Formatter):
    """The same as an object a line.

    Args:
        names: what tells the replica apart.
        attributes: more ones of the record.
    """

    def __init__(self, names: Mapping[str, str], attributes: tuple[str, ...]) -> None:
        super().__init__(names)
        self._attributes = attributes

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            **self._names,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        request_id = CURRENT.get().request_id
        if request_id:
            line["request_id"] = request_id
        for name in self._attributes:
            line[name] = getattr(record, name, None)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class ServeLog:
    """Sets the loggers of this process up, and writes to them.

    Without a configuration there is no access log: a deployment says that it wants one. Errors are always written to stderr.

    Args:
        config: of the deployment; None for none.
        names: what tells this process apart: application, deployment, replica.
    """

    def __init__(self, config: LoggingConfig | Mapping[str, Any] | None, names: Mapping[str, str]) -> None:
        self._logger = logging.getLogger(NAMES[0])
        self._access = LineBudget(LINES_PER_SECOND, LINES_PER_SECOND)
        self._tracebacks = LineBudget(TRACEBACKS_PER_SECOND, 2 * TRACEBACKS_PER_SECOND)
        checked = LoggingConfig.model_validate(config) if isinstance(config, Mapping) else config
        self.has_access_log = checked is not None and checked.enable_access_log
        self._set_up(checked or LoggingConfig(), names)

    def _set_up(self, config: LoggingConfig, names: Mapping[str, str]) -> None:
        formatter = (
            _JsonFormatter(names, tuple(config.additional_log_standard_attrs))
            if config.encoding is EncodingType.JSON
            else _Formatter(names)
        )
        handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
        if config.logs_dir is not None:
            os.makedirs(config.logs_dir, exist_ok=True)
            # A file says all; stderr, what somebody should see.
            handlers[0].setLevel(logging.ERROR)
            name = "_".join(names.values()).replace(os.sep, "-") + ".log"
            path = os.path.join(config.logs_dir, name)
            handlers.append(RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES))
        for handler in handlers:
            handler.setFormatter(formatter)
        for name in NAMES:
            logger = logging.getLogger(name)
            for old in list(logger.handlers):
                logger.removeHandler(old)
                old.close()
            for handler in handlers:
                logger.addHandler(handler)
            logger.setLevel(config.log_level)
            logger.propagate = False

    def answered(self, method: str, path: str, status: str, route: str, milliseconds: float) -> None:
        """A line of the access log, unless there have been too many in this second."""
        skipped = self._access.take(time.monotonic())
        if skipped is None:
            return
        more = f" (and {skipped} more, not written)" if skipped else ""
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "route": route,
            "latency_ms": round(milliseconds, 3),
            "not_written": skipped,
        }
        text = f"{method} {path} {status} {milliseconds:.1f} ms{more}"
        self._logger.info("%s", text, extra={"fields": fields})

    def failed(self, what: str, error: BaseException) -> None:
        """The traceback of what code raised, unless there have been too many in this second."""
        skipped = self._tracebacks.take(time.monotonic())
        if skipped is not None:
            more = f" ({skipped} more failed, and are not written)" if skipped else ""
            self._logger.error("%s failed%s", what, more, exc_info=error)

    def warn(self, text: str) -> None:
        """What is wrong, on stderr."""
        self._logger.error("%s", text)
