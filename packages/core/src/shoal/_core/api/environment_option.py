"""Reading `runtime_env=`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shoal.exceptions import InvalidOptionTypeError

if TYPE_CHECKING:
    from shoal._core.schema.runtime_environment import Environment


def parse_environment(value: object) -> Environment | None:
    """Returns the environment that a user gave as a dict or RuntimeEnv; None for none.

    Raises InvalidOptionError (ValueError), InvalidOptionTypeError (TypeError).
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidOptionTypeError("runtime_env", value, "give a dict, or a shoal.runtime_env.RuntimeEnv")
    from shoal._core.schema.runtime_environment import parse_environment as parse
    from shoal._core.system.definition_pickling import pickle_definition

    return parse(value, pickle=lambda hook: pickle_definition(hook)[0])
