"""Evaluation on recorded data: the loss of steps that are not learned from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from shoal.rllib._internal.offline.spaces import recorded_spaces
from shoal.rllib.offline.offline_data import OfflineData
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import OFFLINE_EVAL_RUNNER_RESULTS

TOTAL_EVAL_LOSS = "total_eval_loss"
NUM_ENV_STEPS_EVALUATED = "num_env_steps_sampled"


def check_offline_evaluation(config: Any) -> None:
    """Raises ConfigError where evaluation on recorded data is asked for in a form that there is not."""
    if config.offline_evaluation_type not in (None, "eval_loss"):
        raise ConfigError(
            f"offline_evaluation_type is {config.offline_evaluation_type!r}; give 'eval_loss', the loss of recorded steps that are not "
            "learned from. How good a policy is in its environment is told by evaluation(evaluation_interval=...)"
        )


class OfflineEvaluation:
    """Works out the loss of recorded steps: those of `evaluation_config`'s `input_`, or those that are learned from.

    Args:
        config: the algorithm's configuration.

    Raises:
        ConfigError: (a ValueError) there is no recorded data.
    """

    def __init__(self, config: Any) -> None:
        own: Any = config.get_evaluation_config_object()
        if not own.is_offline:
            raise ConfigError(
                'there is no recorded data to evaluate on: set evaluation(evaluation_config={"input_": ...}), or offline_data(input_=...)'
            )
        own.freeze()
        self._config = config
        kind = own.offline_data_class or OfflineData
        self._data = kind(own, spaces=recorded_spaces(own), **own.offline_data_class_kwargs)

    def is_due(self, iteration: int) -> bool:
        """Whether an iteration has such an evaluation."""
        interval = self._config.offline_evaluation_interval
        return bool(interval) and iteration % interval == 0

    def run(self, algorithm: Any) -> dict[str, Any]:
        """Returns results: the loss by module. Weights, optimizers and generators stay as they are."""
        config = self._config
        algorithm.callbacks.call("on_evaluate_offline_start", algorithm=algorithm, metrics_logger=algorithm.metrics)
        count = config.offline_eval_batch_size_per_runner
        sums: dict[str, float] = {}
        iterations = int(config.dataset_num_iters_per_offline_eval_runner)
        for _ in range(iterations):
            given = algorithm.next_batch(self._data, count)
            look = functools.partial(losses_of, given=given, loss_of_module=config.offline_loss_for_module_fn)
            for module_id, loss in algorithm.learner_group.foreach_learner(look, remote_actor_ids=[0])[0].items():
                sums[module_id] = sums.get(module_id, 0.0) + loss
        found = {
            module_id: {TOTAL_EVAL_LOSS: total / iterations, NUM_ENV_STEPS_EVALUATED: count * iterations}
            for module_id, total in sums.items()
        }
        algorithm.callbacks.call(
            "on_evaluate_offline_end", algorithm=algorithm, metrics_logger=algorithm.metrics, evaluation_metrics=found
        )
        return {OFFLINE_EVAL_RUNNER_RESULTS: found}


def losses_of(
    learner: Any, given: Mapping[str, Any], loss_of_module: Callable[..., Any] | None = None
) -> dict[str, float]:
    """Returns the losses that a learner has of a batch, by module. The learner stays as it is.

    Args:
        learner: it.
        given: `batch` or `episodes`.
        loss_of_module: another loss: a function of the learner, the module's id, its configuration, the batch and the module's outputs.
    """
    import torch

    before = learner.get_state(not_components=["rl_module"])
    logged, learner._logged = learner._logged, {}
    try:
        with learner._at_work(), torch.no_grad():
            (batch,) = learner._batches(given.get("batch"), given.get("episodes"), None, None)
            fwd_out = learner.module.forward_train(batch)
            if loss_of_module is None:
                losses = learner.compute_losses(fwd_out=fwd_out, batch=batch)
            else:
                losses = {
                    module_id: loss_of_module(
                        learner, module_id, learner.config_of(module_id), batch[module_id], fwd_out[module_id]
                    )
                    for module_id in fwd_out
                }
        return {module_id: float(loss) for module_id, loss in losses.items()}
    finally:
        learner._logged = logged
        learner.set_state(before)
