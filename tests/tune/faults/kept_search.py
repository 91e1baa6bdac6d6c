"""A search that is killed by its test: `python kept_search.py FOLDER new|restore`. Prints what came of it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import shoal
from shoal import tune

TRIALS, STEPS = 16, 4


def train(config: dict[str, Any]) -> None:
    start = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            start = json.loads(Path(folder, "step").read_text())
    for step in range(start, STEPS):
        time.sleep(0.03)  # the work
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "step").write_text(json.dumps(step + 1))
            loss = (config["x"] - 0.3) ** 2 + 1 / (step + 1)
            tune.report({"loss": loss}, checkpoint=tune.Checkpoint.from_directory(folder))


class Tell(tune.Callback):
    """Says when a trial is over."""

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        print("one is over", flush=True)


def main(folder: str, how: str) -> None:
    shoal.init(num_cpus=2, log_to_driver=False)
    if how == "restore" and tune.Tuner.can_restore(f"{folder}/search"):
        tuner = tune.Tuner.restore(f"{folder}/search", train)
    else:
        tuner = tune.Tuner(
            train,
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=TRIALS, seed=11),
            run_config=tune.RunConfig(storage_path=folder, name="search", verbose=0, callbacks=[Tell()]),
        )
    print("begins", flush=True)
    results = tuner.fit()
    best = results.get_best_result()
    rows = [[row["training_iteration"] for row in result.history] for result in results]
    print(
        json.dumps(
            {
                "trials": len(results),
                "ended": results.num_terminated,
                "best": best.config["x"],
                "loss": best.metrics["loss"] if best.metrics else None,
                "configs": [result.config["x"] for result in results],
                "whole": all(row == list(range(1, STEPS + 1)) for row in rows),
                "interrupted": [trial.status for trial in results.trials],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
