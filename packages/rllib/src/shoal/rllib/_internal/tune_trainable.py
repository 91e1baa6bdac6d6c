"""An algorithm as a class that Tune runs. Needs shoal-tune."""

from __future__ import annotations

import functools
from typing import Any

from shoal.tune import Trainable


@functools.cache
def trainable_of(algorithm_class: type[Any]) -> type[Trainable]:
    """Returns a Trainable whose trials are an algorithm's."""

    class AlgorithmTrainable(Trainable):
        """Trains an algorithm; its configuration is the algorithm's."""

        def setup(self, config: dict[str, Any]) -> None:
            self.algorithm = algorithm_class(config=self._configuration(config))

        def _configuration(self, config: dict[str, Any]) -> Any:
            settings = dict(config)
            settings.pop("algo_class", None)
            return algorithm_class.get_default_config().update_from_dict(settings)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return bool(self.algorithm.reset(self._configuration(new_config)))

        def step(self) -> dict[str, Any]:
            result: dict[str, Any] = self.algorithm.train()
            for name in (
                "training_iteration", "time_this_iter_s", "time_total_s", "time_since_restore", "iterations_since_restore", "timestamp",
                "date", "pid", "hostname", "trial_id", "config",
            ):  # fmt: skip
                result.pop(name, None)
            return result

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            self.algorithm.save_to_path(checkpoint_dir)

        def load_checkpoint(self, checkpoint: Any) -> None:
            self.algorithm.restore_from_path(checkpoint)

        def cleanup(self) -> None:
            if hasattr(self, "algorithm"):
                self.algorithm.stop()

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> Any:
            return algorithm_class.default_resource_request(config)

    AlgorithmTrainable.__name__ = AlgorithmTrainable.__qualname__ = algorithm_class.__name__
    AlgorithmTrainable.algorithm_class = algorithm_class  # type: ignore[attr-defined]
    return AlgorithmTrainable
