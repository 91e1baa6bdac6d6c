"""Forward passes that `torch.compile` has made faster ones of."""

from __future__ import annotations

from typing import Any

import torch

from shoal.rllib.utils.error import ConfigError


def compile_for_learning(module: Any, config: Any) -> None:
    """Has a module's `forward_train` compiled at its first call, as `framework(torch_compile_learner=True)` asks for.

    Raises:
        ConfigError: (a ValueError) another part of an update is to be compiled, or there is no such backend.
    """
    if not config.torch_compile_learner:
        return
    wanted = config.torch_compile_learner_what_to_compile
    wanted = getattr(wanted, "value", wanted)
    if wanted not in (None, "forward_train"):
        raise ConfigError(
            f"torch_compile_learner_what_to_compile is {wanted!r}; what is compiled is 'forward_train': losses are the algorithm's own code"
        )
    _compile(
        module,
        ("forward_train",),
        "torch_compile_learner_dynamo_backend",
        config.torch_compile_learner_dynamo_backend,
        config.torch_compile_learner_dynamo_mode,
    )


def compile_for_acting(module: Any, config: Any) -> None:
    """Has a module's passes that actions come of compiled at their first calls, as `framework(torch_compile_worker=True)` asks for.

    Raises:
        ConfigError: (a ValueError) there is no such backend.
    """
    if config.torch_compile_worker:
        _compile(
            module,
            ("forward_exploration", "forward_inference"),
            "torch_compile_worker_dynamo_backend",
            config.torch_compile_worker_dynamo_backend,
            config.torch_compile_worker_dynamo_mode,
        )


def _compile(module: Any, methods: tuple[str, ...], setting: str, backend: str | None, mode: str | None) -> None:
    known = torch.compiler.list_backends(exclude_tags=())
    if backend is not None and backend not in known:
        raise ConfigError(f"{setting} is {backend!r}; torch has {', '.join(known)}")
    for method in methods:
        compiled = torch.compile(getattr(module, method), backend=backend or "inductor", mode=mode)
        setattr(module, method, compiled)
