"""One training program, run by train.py in a process of its own by each backend's interpreter, or by torchrun in each of its processes.

    python train_program.py shoal again FOLDER '{"reports": 2000, "steps": 300, "blocks": 6, "mebibytes": 64}'

It writes `<figure>.json` into the folder: a list of numbers, in the unit of the row of that name.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKERS = 2


def main() -> None:
    backend, program, folder, sizes = sys.argv[1:]
    config = {"backend": backend, "folder": folder, **json.loads(sizes)}
    if backend == "torchrun":
        under_torchrun(LOOPS[program], config)
    else:
        PROGRAMS[program](Session(backend, config))


def write(config: dict[str, Any], figure: str, values: list[float]) -> None:
    (Path(config["folder"]) / f"{figure}.json").write_text(json.dumps(values))


# --- what the processes run -----------------------------------------------------------------------------------------------------


def train_of(config: dict[str, Any]) -> Any:
    return importlib.import_module(f"{config['backend']}.train")


def is_first(config: dict[str, Any]) -> bool:
    if config["backend"] == "torchrun":
        return os.environ["RANK"] == "0"
    return bool(train_of(config).get_context().get_world_rank() == 0)


def parallel(config: dict[str, Any], model: Any) -> Any:
    if config["backend"] == "torchrun":
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)
    return importlib.import_module(f"{config['backend']}.train.torch").prepare_model(model)


def stepper(model: Any, width: int, rows: int) -> Callable[[], None]:
    """Returns a function that makes one training step of a model on the same random rows."""
    import torch

    torch.set_num_threads(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    features, targets = torch.randn(rows, width), torch.randn(rows, 1)

    def step() -> None:
        loss: Any = torch.nn.functional.mse_loss(model(features), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def toy_loop(config: dict[str, Any]) -> None:
    from torch.nn import Linear

    step = stepper(parallel(config, Linear(4, 1)), 4, 8)
    for number in range(5):
        step()
        if config["backend"] != "torchrun":
            train_of(config).report({"step": number})


def step_loop(config: dict[str, Any]) -> None:
    from torch.nn import Linear, ReLU, Sequential

    model = Sequential(Linear(256, 512), ReLU(), Linear(512, 512), ReLU(), Linear(512, 1))
    step = stepper(parallel(config, model), 256, 128)
    taken = []
    for _ in range(config["steps"]):
        started = time.perf_counter()
        step()
        taken.append(time.perf_counter() - started)
    if is_first(config):
        write(config, "step", [1000 * statistics.median(taken[len(taken) // 10 :])])


def report_loop(config: dict[str, Any]) -> None:
    report = train_of(config).report
    for number in range(config["reports"] // 10):
        report({"number": number})
    started = time.perf_counter()
    for number in range(config["reports"]):
        report({"number": number, "loss": 0.5})
    if is_first(config):
        write(config, "report", [1000 * (time.perf_counter() - started) / config["reports"]])


def stall_loop(config: dict[str, Any]) -> None:
    """Blocks of steps in turn: plain ones, and ones that begin with a report whose checkpoint is uploaded meanwhile."""
    from torch.nn import Linear

    train = train_of(config)
    step = stepper(Linear(1024, 1), 1024, 4096)
    times: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * config["blocks"] + 1):
        uploads = number % 2 == 0
        checkpoint = None
        if uploads:
            folder = Path(tempfile.mkdtemp(dir=config["folder"]))
            (folder / "weights").write_bytes(os.urandom(config["mebibytes"] * 2**20))
            checkpoint = train.Checkpoint.from_directory(folder)
        started = time.perf_counter()
        if checkpoint is not None:
            train.report({}, checkpoint=checkpoint, checkpoint_upload_mode=train.CheckpointUploadMode.ASYNC)
        for _ in range(config["steps"]):
            step()
        if number > 0:
            times[uploads].append(time.perf_counter() - started)
    plain, beside = (statistics.median(times[uploads]) for uploads in (False, True))
    write(config, "stall", [100 * (beside / plain - 1)])


def recovery_loop(config: dict[str, Any]) -> None:
    from torch.nn import Linear

    train, mark = train_of(config), Path(config["folder"]) / "killed"
    step = stepper(parallel(config, Linear(4, 1)), 4, 8)
    step()
    if mark.exists():
        if is_first(config):
            write(config, "recovery", [time.time() - float(mark.read_text())])
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "weights").write_text("")
        train.report({}, checkpoint=train.Checkpoint.from_directory(folder) if is_first(config) else None)
    if is_first(config):
        while True:
            step()
    for _ in range(20):
        step()
    new = mark.with_suffix(".new")
    new.write_text(str(time.time()))
    new.rename(mark)
    os.kill(os.getpid(), signal.SIGKILL)


LOOPS = {"once": toy_loop, "step": step_loop}
"""Those that torchrun runs, too."""


# --- how they are started -------------------------------------------------------------------------------------------------------


def under_torchrun(loop: Callable[[dict[str, Any]], None], config: dict[str, Any]) -> None:
    from torch import distributed

    distributed.init_process_group("gloo")
    loop(config)
    distributed.destroy_process_group()


class Session:
    """A session of shoal or Ray, and its trainers.

    Args:
        backend: the module's name.
        config: of the loops.
    """

    def __init__(self, backend: str, config: dict[str, Any]) -> None:
        self._config = config
        module = importlib.import_module(backend)
        module.init(num_cpus=max(WORKERS, len(os.sched_getaffinity(0))), include_dashboard=False, log_to_driver=False)
        self._end = module.shutdown
        self._train = importlib.import_module(f"{backend}.train")
        self._trainer = importlib.import_module(f"{backend}.train.torch").TorchTrainer

    def fit(self, loop: Callable[[dict[str, Any]], None], workers: int = WORKERS, failures: int = 0) -> float:
        """Returns the seconds that it took."""
        run_config = self._train.RunConfig(
            storage_path=str(Path(self._config["folder"]) / "runs"),
            failure_config=self._train.FailureConfig(max_failures=failures),
        )
        scaling_config = self._train.ScalingConfig(num_workers=workers)
        started = time.perf_counter()
        self._trainer(loop, train_loop_config=self._config, scaling_config=scaling_config, run_config=run_config).fit()
        return time.perf_counter() - started

    def end(self) -> None:
        self._end()


def once(session: Session) -> None:
    write(session._config, "cold", [session.fit(toy_loop)])
    session.end()


def again(session: Session) -> None:
    session.fit(toy_loop)
    write(session._config, "warm", [session.fit(toy_loop)])
    session.end()


def running(loop: Callable[[dict[str, Any]], None], **how: int) -> Callable[[Session], None]:
    def program(session: Session) -> None:
        session.fit(loop, **how)
        session.end()

    return program


PROGRAMS = {
    "once": once,
    "again": again,
    "step": running(step_loop),
    "report": running(report_loop),
    # One worker: what is uploaded needs a processor, as it has where GPUs train.
    "stall": running(stall_loop, workers=1),
    "recovery": running(recovery_loop, failures=1),
}


if __name__ == "__main__":
    main()
