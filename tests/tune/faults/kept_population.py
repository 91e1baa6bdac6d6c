"""A search with a scheduler that pauses trials, killed by its test: `python kept_population.py FOLDER new|restore pbt|hyperband`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import shoal
from shoal import tune
from shoal.tune.schedulers import HyperBandScheduler, PopulationBasedTraining, TrialScheduler

STEPS = 8


class Tell(tune.Callback):
    """Says when a trial has reported."""

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        print("report", flush=True)


class Climb(tune.Trainable):
    """Climbs by its rate: what it has reached depends on every rate that it ever had."""

    def setup(self, config: dict[str, Any]) -> None:
        self.height = 0.0

    def step(self) -> dict[str, Any]:
        time.sleep(0.01)  # the work
        self.height += self.config["rate"]
        return {"height": self.height}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.height = 0.0
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "height").write_text(json.dumps(self.height))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.height = json.loads(Path(checkpoint, "height").read_text())


def scheduler(name: str) -> TrialScheduler:
    if name == "hyperband":
        return HyperBandScheduler(time_attr="training_iteration", max_t=STEPS, reduction_factor=2)
    return PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        hyperparam_mutations={"rate": tune.uniform(0, 1)},
        quantile_fraction=0.5,
        synch=True,
        log_config=False,
    )


def main(folder: str, how: str, name: str) -> None:
    shoal.init(num_cpus=2, log_to_driver=False)
    if how == "restore" and tune.Tuner.can_restore(f"{folder}/search"):
        tuner = tune.Tuner.restore(f"{folder}/search", Climb)
    else:
        tuner = tune.Tuner(
            Climb,
            param_space={"rate": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(
                metric="height", mode="max", num_samples=8, seed=5, scheduler=scheduler(name), reuse_actors=True
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                name="search",
                verbose=0,
                callbacks=[Tell()],
                stop={"training_iteration": STEPS},
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            ),
        )
    print("begins", flush=True)
    results = tuner.fit()
    rows = [[row["training_iteration"] for row in result.history] for result in results]
    print(
        json.dumps(
            {
                "trials": len(results),
                "ended": results.num_terminated,
                "configs": [result.config["rate"] for result in results],
                "heights": [result.metrics["height"] for result in results],
                "once": all(row == list(range(1, len(row) + 1)) for row in rows),
                "steps": [len(row) for row in rows],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
