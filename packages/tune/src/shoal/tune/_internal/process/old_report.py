"""Programs whose trials call `shoal.train.report` or `shoal.air.session.report`: they speak to the search, too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any

from shoal.tune import context

if TYPE_CHECKING:
    from shoal.train import Checkpoint

_WORDS = frozenset({"shoal.train", "shoal.air", "train", "air", "session"})


class TrialFunctions:
    """What `shoal.train` hands on to a trial."""

    def report(self, metrics: Mapping[str, Any], *, checkpoint: Checkpoint | None = None) -> None:
        context.report(metrics, checkpoint=checkpoint)

    def get_checkpoint(self) -> Checkpoint | None:
        return context.get_checkpoint()

    def get_context(self) -> context.TuneContext:
        return context.get_context()


def answer_for_train(trainable: Any) -> None:
    """Has `shoal.train`'s functions speak to the trials of this process, where it is there, or the trainable's code mentions it."""
    if "shoal.train" not in sys.modules and not _mentions(getattr(trainable, "__code__", None)):
        return
    from shoal.air.session import delegate_to

    delegate_to(TrialFunctions())


def _mentions(code: Any) -> bool:
    """Whether a function imports it when it runs. Loading it for nobody would cost each process a quarter of a second."""
    if not isinstance(code, CodeType):
        return False
    return not _WORDS.isdisjoint(code.co_names) or any(_mentions(one) for one in code.co_consts)
