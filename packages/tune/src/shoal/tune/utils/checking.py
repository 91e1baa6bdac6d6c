"""Find out before a long search whether a trainable can be stored, restored and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shoal
from shoal.tune.exceptions import TuneError

if TYPE_CHECKING:
    from shoal.tune.trainable.trainable import Trainable

STEPS = 3


def diagnose_serialization(trainable: Any) -> bool | set[Any]:
    """Prints what in a trainable cannot be pickled, which it has to be to get to its trials.

    Args:
        trainable: a function or class.

    Returns:
        True where all is well; else a set of what is not.

    Example:
        >>> from shoal import tune
        >>> tune.utils.diagnose_serialization(lambda config: {"loss": 1})
        True
    """
    from shoal.util import inspect_serializability

    name = getattr(trainable, "__name__", None) or type(trainable).__name__
    works, failures = inspect_serializability(trainable, name=name)
    return True if works else set(failures)


def validate_save_restore(
    trainable_cls: type[Trainable], config: dict[str, Any] | None = None, num_gpus: int = 0
) -> bool:
    """Trains in one process, saves, restores in another one, and trains on.

    Args:
        trainable_cls: a class with `save_checkpoint` and `load_checkpoint`.
        config: that it is set up with.
        num_gpus: of each of the two.

    Returns:
        True: it works.

    Raises:
        TuneError: it does not go on where it was.

    Example:
        >>> from shoal import tune
        >>> class Count(tune.Trainable):
        ...     def setup(self, config):
        ...         self.count = 0
        ...     def step(self):
        ...         self.count += 1
        ...         return {"count": self.count}
        ...     def save_checkpoint(self, checkpoint_dir):
        ...         return {"count": self.count}
        ...     def load_checkpoint(self, checkpoint):
        ...         self.count = checkpoint["count"]
        >>> tune.utils.validate_save_restore(Count)
        True
    """
    actor_class: Any = shoal.remote(num_gpus=num_gpus)(trainable_cls)
    actors = [actor_class.remote(config) for _ in range(2)]
    try:
        first, second = actors
        for _ in range(STEPS):
            shoal.get(first.train.remote())
        checkpoint = shoal.get(first.save.remote())
        shoal.get(second.restore.remote(checkpoint))
        for step in range(1, STEPS + 1):
            iteration = shoal.get(second.train.remote())["training_iteration"]
            if iteration != STEPS + step:
                raise TuneError(
                    f"{trainable_cls.__name__} saved at iteration {STEPS}, was restored, and its step {step} "
                    f"is iteration {iteration} instead of {STEPS + step}"
                )
    finally:
        for actor in actors:
            shoal.kill(actor)
    return True
