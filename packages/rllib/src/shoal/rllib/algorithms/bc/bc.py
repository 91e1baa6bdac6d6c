"""Behaviour cloning: Pomerleau, "ALVINN: An Autonomous Land Vehicle in a Neural Network", NeurIPS 1988.

Imitate what was recorded: make each recorded action as likely as can be where it was taken. Rewards play no part. It is `marwil.py` with
`beta` 0, on steps from anywhere in place of whole episodes; passes over the data are in `offline.py`.
"""

from __future__ import annotations

from typing import Any, Self

import torch

from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.marwil.marwil import POLICY_LOSS_KEY, MARWILConfig, refuse_memory
from shoal.rllib.algorithms.offline import OfflineAlgorithm
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.learner.torch.torch_learner import TorchLearner
from shoal.rllib.utils.error import ConfigError


class BCConfig(MARWILConfig):
    """The configuration of BC.

    Example:
        >>> import numpy as np
        >>> from shoal.rllib.algorithms.bc import BCConfig
        >>> rows = {"obs": np.random.randn(64, 4), "actions": np.arange(64) % 2}
        >>> config = BCConfig().environment("CartPole-v1").offline_data(input_=rows, ignore_final_observation=True)
        >>> algo = config.training(lr=1e-3, train_batch_size_per_learner=32).build_algo()
        >>> _ = algo.train()
        >>> algo.stop()
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or BC)
        self.beta = 0.0

    def training(self, **others: Any) -> Self:
        """Sets how BC learns: `lr`, `train_batch_size_per_learner` and what else `AlgorithmConfig.training` has.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return super().training(**others)

    def validate(self) -> None:
        super().validate()
        if self.beta != 0:
            raise ConfigError(f"beta is {self.beta!r}, and BC imitates all actions alike; leave it 0, or use MARWIL")

    @property
    def needed_columns(self) -> tuple[str, ...]:
        return (Columns.OBS, Columns.ACTIONS)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        # Nothing is learned by a value function: it need not have layers of its own.
        return {**super()._model_config_auto_includes, "vf_share_layers": True}

    def get_default_learner_class(self) -> type[Learner]:
        return BCLearner


class BCLearner(TorchLearner):
    """BC's loss."""

    recorded_outputs = ()

    def build(self) -> None:
        super().build()
        for module_id in self.module:
            refuse_memory(self.module[module_id])

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        module: Any = self.module[module_id].unwrapped()
        policy = module.get_train_action_dist_cls().from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        loss: torch.Tensor = -policy.logp(batch[Columns.ACTIONS]).mean()
        self.log_losses(module_id, {POLICY_LOSS_KEY: loss})
        return loss


class BC(OfflineAlgorithm):
    """BC. Made by `BCConfig().build_algo()`."""

    learns_from_rewards = False

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return BCConfig()
