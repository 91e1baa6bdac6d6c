"""Searches that never ran: trials with their files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from shoal.tune import Trial
from shoal.tune._internal.logic.metrics import MetricAnalysis
from shoal.tune._internal.logic.parameters import flattened
from shoal.tune.logger import CSVLoggerCallback, JsonLoggerCallback

TERMINATED, ERROR = "TERMINATED", "ERROR"


def trial_of(folder: Path, number: int, config: dict[str, Any], reports: list[dict[str, Any]], **more: Any) -> Trial:
    """Returns a trial that reported these, with what its loggers wrote."""
    path = folder / f"trial_{number}"
    trial = Trial(
        f"{number:08d}",
        number,
        config,
        evaluated_params=flattened(config),
        path=str(path),
        local_path=str(path),
        **more,
    )
    analysis = MetricAnalysis(trial.metric_analysis)
    loggers = (JsonLoggerCallback(), CSVLoggerCallback())
    for logger in loggers:
        logger.log_trial_start(trial)
    for iteration, report in enumerate(reports, 1):
        trial.last_result = {**report, "training_iteration": iteration, "time_total_s": iteration / 2}
        trial.last_result |= {"trial_id": trial.trial_id, "config": config}
        analysis.add(flattened({name: value for name, value in trial.last_result.items() if name != "config"}))
        for logger in loggers:
            logger.log_trial_result(iteration, trial, trial.last_result)
    for logger in loggers:
        logger.log_trial_end(trial)
    if trial.error is not None:
        Path(path, "error.txt").write_text(f"Traceback:\n  …\n{type(trial.error).__name__}: {trial.error}\n")
    return trial


def search(folder: Path) -> list[Trial]:
    """Returns four trials: the first was best once, the second is best at last, the third reported NaN, the fourth failed."""
    return [
        trial_of(folder, 0, {"lr": 0.1}, [{"loss": value} for value in (0.1, 5.0, 4.0)], status=TERMINATED),
        trial_of(
            folder,
            1,
            {"lr": 0.2},
            [{"loss": value, "eval": {"acc": value}} for value in (3.0, 2.0, 1.0)],
            status=TERMINATED,
        ),
        trial_of(folder, 2, {"lr": 0.3}, [{"loss": math.nan}], status=TERMINATED),
        trial_of(folder, 3, {"lr": 0.4}, [], status=ERROR, error=ValueError("no such layer")),
    ]
