"""Checks that RLlib's algorithms learn: tasks, several seeds each, against the bars of peers. Writes a page with curves.

python benchmarks/rllib_learning.py --markdown docs/learning-rllib.md --results build/rllib-learning
python benchmarks/rllib_learning.py --only 'dqn-*' --seeds 2
python benchmarks/rllib_learning.py --only sac-halfcheetah --sb3-python /sb3-venv/bin/python

Each run is a process of its own, with one thread. What has run already (a file in --results) is not run again, so the program may be
stopped and started, and tasks may be added one by one. A run's return at the end is the mean of 20 episodes without exploration; a task's
is the interquartile mean over its seeds. With --sb3-python, tasks that rllib_learning_sb3.py knows too are learned by stable-baselines3
as well: that is what they are held against.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from machine import load, machine
from rllib_learning_sb3 import EPISODES, PEERS, POINTS
from rllib_learning_tasks import TASKS, Task


def main() -> int:
    options = parse_arguments()
    if options.run:
        name, seed = options.run
        print(json.dumps(run(TASKS[name], int(seed), options.share)))
        return 0
    tasks = [task for name, task in TASKS.items() if not options.only or any(fnmatch(name, p) for p in options.only)]
    options.results.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        if task.prepare is not None:
            task.prepare()
    runs = [
        (
            f"{task.name}-{seed}",
            [sys.executable, __file__, "--share", str(options.share), "--run", task.name, str(seed)],
        )
        for task in tasks
        for seed in range(options.seeds)
    ]
    if options.sb3_python:
        program = str(Path(__file__).with_name("rllib_learning_sb3.py"))
        runs += [
            (f"sb3-{task.name}-{seed}", [options.sb3_python, program, task.name, str(seed), str(options.share)])
            for task in tasks
            if task.name in PEERS
            for seed in range(options.seeds)
        ]
    with concurrent.futures.ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(lambda one: in_a_process(one[0], one[1], options.results), runs))
    page = markdown(options.results, options.markdown)
    print(page)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Checks that RLlib's algorithms learn.")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="tasks by name; may be repeated")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs of each task (default: 5)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="runs at a time (default: 1)")
    parser.add_argument("--share", type=float, default=1.0, metavar="X", help="of each task's steps: a glance")
    parser.add_argument("--sb3-python", metavar="PATH", help="an interpreter that has stable-baselines3")
    parser.add_argument("--results", type=Path, default=Path("build/rllib-learning"), metavar="FOLDER")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the page here, and its curves beside it")
    parser.add_argument("--run", nargs=2, metavar=("TASK", "SEED"), help=argparse.SUPPRESS)
    return parser.parse_args()


def in_a_process(name: str, command: Sequence[str], folder: Path) -> None:
    """Makes one run, unless there is its result already."""
    kept = folder / f"{name}.json"
    if kept.exists():
        return
    print(f"{name}: begins (load {load()})", file=sys.stderr, flush=True)
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        print(f"{name}: failed", file=sys.stderr, flush=True)
        return
    result = json.loads(done.stdout.splitlines()[-1])
    kept.write_text(json.dumps({**result, "machine": machine()}))
    print(f"{name}: {result['return']:.1f} after {result['seconds']:.0f} s", file=sys.stderr, flush=True)


def run(task: Task, seed: int, share: float = 1.0) -> dict[str, Any]:
    """Trains with one seed, in this process."""
    import torch

    torch.set_num_threads(1)
    config = task.config().debugging(seed=seed)
    config.evaluation(evaluation_duration=EPISODES, evaluation_config={"explore": False})
    curve: list[tuple[int, float]] = []
    began = time.perf_counter()
    with config.build_algo() as algo:
        steps = task.steps * share
        every = steps / POINTS
        while algo.env_steps_sampled < steps:
            result = algo.train()
            if curve and algo.env_steps_sampled - curve[-1][0] < every:
                continue
            if algo.env_runner_group is None:  # it learns from records, and has to be looked at
                result = algo.evaluate()
            returned = result["env_runners"].get("episode_return_mean")
            if returned is not None:
                curve.append((algo.env_steps_sampled, float(returned)))
        seconds = time.perf_counter() - began
        evaluated = algo.evaluate()["env_runners"]
    return {
        "task": task.name,
        "seed": seed,
        "steps": algo.env_steps_sampled,
        "return": float(evaluated["episode_return_mean"]),
        "seconds": seconds,
        "curve": curve,
    }


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean of the middle half; what lies on its border counts in part."""
    ordered = sorted(values)
    n = len(ordered)
    low, high = n / 4, 3 * n / 4
    shares = [max(0.0, min(i + 1, high) - max(i, low)) for i in range(n)]
    return sum(share * value for share, value in zip(shares, ordered, strict=True)) / sum(shares)


def spread(returns: Sequence[float]) -> str:
    """The interquartile mean, the smallest and the largest."""
    return f"{interquartile_mean(returns):.0f} ({min(returns):.0f} to {max(returns):.0f})"


def markdown(folder: Path, page: Path | None) -> str:
    """The page of all results that there are."""
    found, peers = (
        [json.loads(file.read_text()) for file in sorted(folder.glob("*.json")) if file.name.startswith("sb3-") == sb3]
        for sb3 in (False, True)
    )
    lines = [
        "# What RLlib's algorithms learn",
        "",
        "`python benchmarks/rllib_learning.py` made this page; settings are in `benchmarks/rllib_learning_tasks.py`. The return is the",
        f"mean of {EPISODES} episodes without exploration after the last step, and of that the interquartile mean over the seeds; in",
        "brackets the smallest and the largest. Bars are what the literature or a peer's tuned settings reach; where stable-baselines3",
        "ran the same task here, the bar is its smallest run.",
        "",
        "| task | steps | return | bar | reached | seeds | minutes a run |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]
    for name, task in TASKS.items():
        runs = [result for result in found if result["task"] == name]
        if not runs:
            continue
        returns = [result["return"] for result in runs]
        reached = interquartile_mean(returns)
        minutes = sum(result["seconds"] for result in runs) / len(runs) / 60
        theirs = [result["return"] for result in peers if result["task"] == name]
        bar, wanted = f"{task.bar:g}", task.bar
        if theirs:
            wanted = min(theirs)
            bar = f"SB3 here: {spread(theirs)}, {len(theirs)} seeds"
        lines.append(
            f"| {task.title} | {task.steps:,} | {spread(returns)} | {bar} | "
            f"{'yes' if reached >= wanted else 'no'} | {len(runs)} | {minutes:.1f} |"
        )
    if found:
        lines += ["", f"Machine: {found[-1]['machine']}. Times are of a shared machine: no measurement of speed."]
    if page is not None:
        for name, task in TASKS.items():
            runs = [result for result in found if result["task"] == name]
            if runs:
                picture = page.parent / "images" / f"learning-{name}.svg"
                draw(task, runs, [result for result in peers if result["task"] == name], picture)
                lines += ["", f"![{task.title}: return over steps](images/{picture.name})"]
    text = "\n".join(lines) + "\n"
    if page is not None:
        page.write_text(text)
    return text


def draw(task: Task, runs: Sequence[dict[str, Any]], peers: Sequence[dict[str, Any]], picture: Path) -> None:
    """Draws the curves of a task's runs, and those of a peer in grey."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = task.name  # the same picture for the same curves
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3))
    for index, result in enumerate(peers):
        name = "stable-baselines3" if not index else None
        axes.plot(*zip(*result["curve"], strict=True), linewidth=1, color="lightgrey", label=name)
    for result in runs:
        axes.plot(*zip(*result["curve"], strict=True), linewidth=1, label=f"seed {result['seed']}")
    axes.axhline(task.bar, linestyle="--", color="grey", linewidth=1)
    axes.set(title=task.title, xlabel="steps", ylabel="mean return while exploring")
    axes.legend(fontsize="x-small")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
