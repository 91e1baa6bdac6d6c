"""Where callbacks are looked for."""

from shoal.air.callback import Callback, LoggerCallback

__all__ = ["Callback", "LoggerCallback"]
