"""The GPUs that this process may use, without loading a library of theirs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

_VARIABLE = "CUDA_VISIBLE_DEVICES"
_MAKERS = ("NVIDIA", "Tesla", "Quadro")
_TOOL_SECONDS = 10.0


class Gpu(NamedTuple):
    """One GPU."""

    number: int
    """Its place in the order of bus addresses, which is that of `nvidia-smi`."""
    name: str
    """What it is called in CUDA_VISIBLE_DEVICES: its number, or the unique id that the user gave there."""
    model: str
    """'NVIDIA H100 80GB HBM3'; '' where it cannot be found out."""


class _Device(NamedTuple):
    uuid: str
    model: str


def find_gpus(
    root: str = "/", environ: Mapping[str, str] = os.environ, run_tool: Callable[[], str] | None = None
) -> tuple[Gpu, ...]:
    """Returns the GPUs of this machine, those that CUDA_VISIBLE_DEVICES hides left out, in the order that it gives.

    Args:
        root: folder in which 'proc' and 'dev' are.
        environ: environment variables.
        run_tool: returns the output of `nvidia-smi --query-gpu=uuid,name --format=csv,noheader`, or ''. It is asked only
            where there are GPUs and the kernel does not tell which (some sandboxes, WSL), since it takes long.
    """
    devices = _devices(root, run_tool or _ask_tool)
    visible = environ.get(_VARIABLE)
    if visible is None:
        return tuple(Gpu(number, str(number), device.model) for number, device in enumerate(devices))
    found: list[Gpu] = []
    for token in visible.split(",") if devices else ():
        gpu = _visible_gpu(token.strip(), len(found), devices)
        # As CUDA does: what follows a name that means no GPU is hidden, and so is all where one is named twice.
        if gpu is None:
            break
        if gpu in found:
            return ()
        found.append(gpu)
    return tuple(found)


def accelerator_type(model: str) -> str:
    """Returns the kind of accelerator as `accelerator_type=` names it: 'H100' for 'NVIDIA H100 80GB HBM3'."""
    words = model.split()
    while len(words) > 1 and words[0] in _MAKERS:
        del words[0]
    for end, word in enumerate(words, 1):
        name = word.partition("-")[0]
        if name != name.upper():
            break  # A product line in mixed case ('GeForce RTX 4090'): the whole name says what it is.
        if any(letter.isdigit() for letter in name):
            return "-".join([*words[: end - 1], name])
    return "-".join(words)


def _visible_gpu(token: str, place: int, devices: list[_Device]) -> Gpu | None:
    if token.isdecimal():
        number = int(token)
        return Gpu(number, token, devices[number].model) if number < len(devices) else None
    if token.startswith("GPU-"):
        matches = [number for number, device in enumerate(devices) if device.uuid.startswith(token)]
        return Gpu(matches[0], token, devices[matches[0]].model) if len(matches) == 1 else None
    if token.startswith("MIG-"):
        return Gpu(place, token, devices[0].model)  # A slice of a GPU; which one cannot be told from its name.
    return None


def _devices(root: str, run_tool: Callable[[], str]) -> list[_Device]:
    folder = f"{root}/proc/driver/nvidia/gpus"
    try:
        addresses = sorted(os.listdir(folder))
    except OSError:
        addresses = []
    devices = []
    for address in addresses:
        facts = _facts(f"{folder}/{address}/information")
        # A container sees the machine's whole list here, but has the device files of its own GPUs only.
        if facts.get("GPU Excluded") != "Yes" and os.path.exists(f"{root}/dev/nvidia{facts.get('Device Minor')}"):
            devices.append(_Device(facts.get("GPU UUID", ""), facts.get("Model", "")))
    return devices if addresses else _devices_by_files(root, run_tool)


def _devices_by_files(root: str, run_tool: Callable[[], str]) -> list[_Device]:
    if not os.path.exists(f"{root}/dev/nvidiactl") and not os.path.exists(f"{root}/dev/dxg"):
        return []
    told = []
    for line in run_tool().splitlines():
        uuid, _, model = line.partition(",")
        if uuid.startswith("GPU-"):
            told.append(_Device(uuid.strip(), model.strip()))
    if told:
        return told
    files = (name.removeprefix("nvidia") for name in os.listdir(f"{root}/dev") if name.startswith("nvidia"))
    return [_Device("", "") for name in files if name.isdecimal()]


def _facts(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in lines}


def _ask_tool() -> str:
    import subprocess

    command = ["nvidia-smi", "--query-gpu=uuid,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""  # The device files still say how many there are.
    return done.stdout
