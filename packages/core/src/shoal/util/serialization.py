"""How values of a class are pickled, chosen by the program."""

from __future__ import annotations

from shoal._core.system.serialization import deregister_serializer as deregister_serializer
from shoal._core.system.serialization import register_serializer as register_serializer
