"""Runs simulated sessions, one a seed: `python -m shoal.testing.simulation --seeds 1000 [--start N] [--steps N]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from shoal.testing.simulation.world import simulate


def main(arguments: list[str], say: Callable[[str], object]) -> int:
    """Returns the exit status: 1 where a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m shoal.testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many sessions to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=16, help="about how much each driver's program does")
    options = parser.parse_args(arguments)
    steps = tasks = gets = leaks = 0
    failed: list[int] = []
    for seed in range(options.start, options.start + options.seeds):
        outcome = simulate(seed, options.steps)
        steps += outcome.steps
        tasks += outcome.tasks
        gets += outcome.gets
        leaks += outcome.leaks
        if outcome.problem:
            failed.append(seed)
            say(f"seed {seed}: {outcome.problem}\n{outcome.story}\n")
    say(
        f"{options.seeds} seeds, {steps} steps, {tasks} tasks, {gets} values read, "
        f"{leaks} leaks after kills, {len(failed)} failures {failed}"
    )

    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda text: sys.stdout.write(text + "\n")))
