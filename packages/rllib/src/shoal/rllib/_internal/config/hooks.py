"""Whether what is given as callbacks can be called as their hooks are."""

from __future__ import annotations

import inspect
from typing import Any

from shoal.rllib.callbacks.callbacks import HOOKS, RLlibCallback
from shoal.rllib.utils.error import ConfigError


def check_hook(name: str, function: Any) -> None:
    """Checks that a function can be called as a hook is.

    Raises:
        ConfigError: (a ValueError) it is no function, or does not take all arguments of the hook.
    """
    if not callable(function):
        raise ConfigError(f"{name} is {function!r}; give a function of the hook's keyword arguments, or a list")
    given = [
        argument.name
        for argument in inspect.signature(getattr(RLlibCallback, name)).parameters.values()
        if argument.kind is argument.KEYWORD_ONLY
    ]
    try:
        signature = inspect.signature(function)
    except ValueError:  # what is written in C may not tell
        return
    try:
        signature.bind(**dict.fromkeys(given))
    except TypeError as error:
        raise ConfigError(
            f"{name} is called with the keywords {', '.join(given)}, but {getattr(function, '__qualname__', function)} takes "
            f"{signature} ({error}); name those it needs, and add **kwargs for the others"
        ) from None


def check_callbacks_class(cls: type) -> None:
    """Checks the hooks that a class of callbacks overrides, as `check_hook` does."""
    for name in HOOKS:
        hook = inspect.getattr_static(cls, name, None)
        if hook is not None and hook is not vars(RLlibCallback)[name]:
            bound = hook.__get__(object(), cls) if hasattr(hook, "__get__") else hook
            check_hook(name, bound)
