"""Checks that a Trainer of Lightning fits into a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def prepare_trainer(trainer: Trainer) -> Trainer:
    """Returns the trainer, if it works with the other ranks: by a strategy and the environment of this package.

    Args:
        trainer: of `lightning.pytorch`.

    Raises:
        InvalidArgumentError: (a ValueError) it has another strategy or environment, with which it would start processes of its own, or
            none. The text says what to give it.
    """
    from lightning.pytorch import Trainer

    from shoal.train.lightning.environment import RayLightningEnvironment
    from shoal.train.lightning.strategies import RayDDPStrategy, RayDeepSpeedStrategy, RayFSDPStrategy

    if not isinstance(trainer, Trainer):
        raise InvalidArgumentError(f"trainer is {trainer!r}; give a lightning.pytorch.Trainer")
    strategy = trainer.strategy
    if not isinstance(strategy, RayDDPStrategy | RayFSDPStrategy | RayDeepSpeedStrategy):
        raise InvalidArgumentError(
            f"the trainer's strategy is {type(strategy).__name__}; "
            "give Trainer(strategy=RayDDPStrategy(), ...), RayFSDPStrategy() or RayDeepSpeedStrategy()"
        )
    if not isinstance(strategy.cluster_environment, RayLightningEnvironment):
        raise InvalidArgumentError(
            f"the trainer's environment is {type(strategy.cluster_environment).__name__}; "
            "give Trainer(plugins=[RayLightningEnvironment()], ...)"
        )
    return trainer
