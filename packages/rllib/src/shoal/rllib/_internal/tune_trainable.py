"""An algorithm as a class that Tune runs. Needs shoal-tune."""

from __future__ import annotations

import functools
import os
from typing import Any

from shoal.rllib.env.registration import packed, registered_names
from shoal.tune import Trainable


class RegisteredEnvs:
    """The creators of environments that were registered in the program, as trials know them.

    A trial's settings are no configuration before they are there, so that all names come along.
    """

    def __init__(self, luggage: dict[str, bytes | str] | None = None) -> None:
        self.luggage = luggage or {}

    def __reduce__(self) -> tuple[Any, ...]:
        return RegisteredEnvs, (packed({*registered_names(), *self.luggage}, self.luggage),)


@functools.cache
def trainable_of(algorithm_class: type[Any]) -> type[Trainable]:
    """Returns a Trainable whose trials are an algorithm's."""

    class AlgorithmTrainable(Trainable):
        """Trains an algorithm; its configuration is the algorithm's."""

        registered = RegisteredEnvs()

        def setup(self, config: dict[str, Any]) -> None:
            self.algorithm = algorithm_class(config=self._configuration(config))

        def _configuration(self, config: dict[str, Any]) -> Any:
            settings = dict(config)
            settings.pop("algo_class", None)
            made = algorithm_class.get_default_config().update_from_dict(settings)
            made._luggage = dict(self.registered.luggage)
            return made

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
            # Tune has files of its own in the folder.
            self.algorithm.save_to_path(os.path.join(checkpoint_dir, "algorithm"))

        def load_checkpoint(self, checkpoint: Any) -> None:
            self.algorithm.restore_from_path(os.path.join(checkpoint, "algorithm"))

        def cleanup(self) -> None:
            if hasattr(self, "algorithm"):
                self.algorithm.stop()

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> Any:
            return algorithm_class.default_resource_request(config)

    AlgorithmTrainable.__name__ = AlgorithmTrainable.__qualname__ = algorithm_class.__name__
    AlgorithmTrainable.algorithm_class = algorithm_class  # type: ignore[attr-defined]
    return AlgorithmTrainable
