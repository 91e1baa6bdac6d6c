"""What a trial of an algorithm needs. Needs shoal-tune."""

from __future__ import annotations

from typing import Any

from shoal.tune import PlacementGroupFactory


def trial_resources(settings: Any) -> PlacementGroupFactory:
    """Returns a bundle for the algorithm itself, one for each learner, and one for each runner.

    Args:
        settings: the algorithm's configuration.
    """
    main = {"CPU": float(settings.num_cpus_for_main_process), **settings.custom_resources_for_main_process}
    if settings.num_learners == 0 and settings.num_gpus_per_learner:
        main["GPU"] = float(settings.num_gpus_per_learner)
    runner = {
        "CPU": float(settings.num_cpus_per_env_runner),
        "GPU": float(settings.num_gpus_per_env_runner),
        **settings.custom_resources_per_env_runner,
    }
    cpus = settings.num_cpus_per_learner
    learner = {
        "CPU": float((0 if settings.num_gpus_per_learner else 1) if cpus == "auto" else cpus),
        "GPU": float(settings.num_gpus_per_learner),
        **settings.custom_resources_per_learner,
    }
    runners = settings.num_env_runners + (settings.evaluation_num_env_runners if settings.evaluation_interval else 0)
    bundles = [main, *[learner] * settings.num_learners, *[runner] * runners]
    return PlacementGroupFactory(
        [{name: amount for name, amount in bundle.items() if amount} or {"CPU": 0.0} for bundle in bundles],
        strategy=settings.placement_strategy,
    )
