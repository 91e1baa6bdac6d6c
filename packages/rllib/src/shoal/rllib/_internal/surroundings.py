"""What an algorithm tells of the machine it runs on, and what it sets of its process."""

from __future__ import annotations

import logging

from shoal.rllib._internal.config.settings import LOG_LEVEL


def set_log_level(level: str) -> None:
    """Sets the level of this package's loggers, where another than the default is asked for: the program may have set one."""
    if level != LOG_LEVEL:
        logging.getLogger("shoal.rllib").setLevel(level)


def system_usage() -> dict[str, float]:
    """Returns how busy the machine's processors were since the last call, and how full its memory is, in percent."""
    import psutil  # core depends on it

    return {
        "cpu_util_percent": float(psutil.cpu_percent(interval=None)),
        "ram_util_percent": float(psutil.virtual_memory().percent),
    }
