"""What a machine has: control groups, memory and GPUs, read from made-up /proc, /sys and /dev trees; and the real ones."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

import pytest

from shoal._core.system.cgroups import CgroupLimits, read_limits
from shoal._core.system.gpus import accelerator_type, find_gpus
from shoal._core.system.machine import LOOPBACK, MemoryUse, detect, find_node_ip, memory_use

GIB = 1 << 30
V1_MOUNT = "36 31 0:{n} {root} /sys/fs/cgroup/{name} rw,nosuid - cgroup cgroup rw,{options}\n"
V2_MOUNT = "30 23 0:27 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
OTHER_MOUNT = "24 30 0:22 / /proc rw,nosuid - proc proc rw\n"


class Tree:
    """A folder with /proc, /sys and /dev in it."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.write("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\nBuffers: 7 kB\n")

    def write(self, path: str, text: str) -> None:
        file = Path(self.root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def v2(self, place: str = "/", root: str = "/", mount: str = "/sys/fs/cgroup") -> None:
        self.write("proc/self/cgroup", f"0::{place}\n")
        self.write("proc/self/mountinfo", OTHER_MOUNT + V2_MOUNT.format(root=root, mount=mount))

    def gpu(self, minor: int, model: str, address: str, **facts: str) -> None:
        text = f"Model: \t\t {model}\nIRQ:   \t\t 1\nGPU UUID: \t GPU-{minor}{minor}\nDevice Minor: \t {minor}\n"
        text += "".join(f"{name.replace('_', ' ')}: {value}\n" for name, value in facts.items())
        self.write(f"proc/driver/nvidia/gpus/{address}/information", text)
        self.write("dev/nvidiactl", "")
        self.write(f"dev/nvidia{minor}", "")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


# --- control groups ---------------------------------------------------------------------------------------------------


def test_no_cgroups_at_all(tree: Tree) -> None:
    assert read_limits(tree.root) == CgroupLimits(None, None, None, None)


def test_v2_without_limits(tree: Tree) -> None:
    tree.v2("/user.slice")
    tree.write("sys/fs/cgroup/user.slice/memory.max", "max\n")
    tree.write("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n")
    assert read_limits(tree.root) == CgroupLimits(None, None, None, None)


def test_v2_limits(tree: Tree) -> None:
    tree.v2("/docker/abc")
    group = "sys/fs/cgroup/docker/abc"
    tree.write(f"{group}/memory.max", f"{4 * GIB}\n")
    tree.write(f"{group}/memory.current", f"{3 * GIB}\n")
    tree.write(f"{group}/memory.stat", f"anon 5\ninactive_file {GIB // 2}\nactive_file {GIB // 2}\n")
    tree.write(f"{group}/cpu.max", "150000 100000\n")
    tree.write(f"{group}/cpuset.cpus.effective", "0-2,7\n")
    assert read_limits(tree.root) == CgroupLimits(1.5, 4, 4 * GIB, 2 * GIB)


def test_the_tightest_of_nested_groups_counts(tree: Tree) -> None:
    tree.v2("/a/b/c")
    tree.write("sys/fs/cgroup/a/memory.max", f"{2 * GIB}\n")
    tree.write("sys/fs/cgroup/a/memory.current", f"{GIB}\n")
    tree.write("sys/fs/cgroup/a/b/memory.max", "max\n")
    tree.write("sys/fs/cgroup/a/b/c/memory.max", f"{3 * GIB}\n")
    tree.write("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n")
    tree.write("sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n")
    assert read_limits(tree.root) == CgroupLimits(0.5, None, 2 * GIB, GIB)


def test_v1_limits_with_controllers_mounted_together(tree: Tree) -> None:
    tree.write("proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n3:cpuset:/\n1:name=systemd:/x\n")
    mounts = [
        ("memory", "memory"),
        ("cpu,cpuacct", "cpu,cpuacct"),
        ("cpuset", "cpuset"),
        ("systemd", "xattr,name=systemd"),
    ]
    lines = (V1_MOUNT.format(n=n, root="/", name=name, options=options) for n, (name, options) in enumerate(mounts))
    tree.write("proc/self/mountinfo", OTHER_MOUNT + "".join(lines))
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    tree.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", f"{GIB}\n")
    tree.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", f"{GIB}\n")
    tree.write(
        "sys/fs/cgroup/memory/job/memory.stat",
        f"inactive_file 1\ntotal_inactive_file {GIB // 4}\ntotal_active_file {GIB // 4}\n",
    )
    tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "250000\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n")
    tree.write("sys/fs/cgroup/cpuset/cpuset.cpus", "0-1\n")
    assert read_limits(tree.root) == CgroupLimits(2.5, 2, GIB, GIB // 2)


def test_hybrid_takes_each_controller_from_where_it_is(tree: Tree) -> None:
    tree.write("proc/self/cgroup", "2:memory:/\n0::/job\n")
    v1 = V1_MOUNT.format(n=1, root="/", name="memory", options="memory")
    tree.write("proc/self/mountinfo", v1 + V2_MOUNT.format(root="/", mount="/sys/fs/cgroup/unified"))
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", f"{GIB}\n")
    tree.write("sys/fs/cgroup/unified/job/cpu.max", "100000 50000\n")
    assert read_limits(tree.root) == CgroupLimits(2.0, None, GIB, GIB)


@pytest.mark.parametrize(
    ("place", "mounted", "folder"),
    [
        ("/docker/abc", "/docker/abc", ""),
        ("/docker/abc/inner", "/docker/abc", "inner/"),
        ("/docker/abcd", "/docker/abc", ""),
        ("/", "/../..", ""),
    ],
)
def test_a_container_that_is_told_its_place_on_the_host(tree: Tree, place: str, mounted: str, folder: str) -> None:
    tree.v2(place, mounted)
    tree.write(f"sys/fs/cgroup/{folder}memory.max", f"{GIB}\n")
    assert read_limits(tree.root).memory == GIB


def test_mount_points_with_spaces(tree: Tree) -> None:
    tree.v2(mount="/my\\040groups")
    tree.write("my groups/memory.max", f"{GIB}\n")
    assert read_limits(tree.root).memory == GIB


# --- the machine ------------------------------------------------------------------------------------------------------


def test_without_limits_the_machine_is_all_ours(tree: Tree) -> None:
    machine = detect(tree.root, {}, affinity=8)
    assert (machine.cpus, machine.memory, machine.available_memory) == (8, 16 * GIB, 8 * GIB)
    assert machine.gpus == ()
    assert machine.gpu_ids == ()
    assert machine.accelerator_type == ""
    assert machine.hostname == os.uname().nodename


@pytest.mark.parametrize(("quota", "cpus"), [("10000", 1), ("149999", 1), ("150000", 2), ("260000", 3), ("9900000", 8)])
def test_a_quota_is_rounded_but_leaves_a_cpu(tree: Tree, quota: str, cpus: int) -> None:
    tree.v2()
    tree.write("sys/fs/cgroup/cpu.max", f"{quota} 100000\n")
    assert detect(tree.root, {}, affinity=8).cpus == cpus


def test_memory_is_the_least_of_limit_and_machine(tree: Tree) -> None:
    tree.v2()
    tree.write("sys/fs/cgroup/memory.max", f"{64 * GIB}\n")
    tree.write("sys/fs/cgroup/memory.current", f"{60 * GIB}\n")
    machine = detect(tree.root, {}, affinity=1)
    assert (machine.memory, machine.available_memory) == (16 * GIB, 4 * GIB)


def test_kernels_that_do_not_estimate_what_is_available(tree: Tree) -> None:
    tree.write("proc/meminfo", "MemTotal: 1048576 kB\nMemFree: 524288 kB\n")
    assert detect(tree.root, {}, affinity=1).available_memory == GIB // 2


def test_this_machine() -> None:
    machine = detect()
    assert 1 <= machine.cpus <= len(os.sched_getaffinity(0))
    assert 0 < machine.available_memory <= machine.memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert ipaddress.ip_address(machine.node_ip).version == 4


def test_affinity_limits_the_cpus() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert detect().cpus == 1
    finally:
        os.sched_setaffinity(0, before)


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal._core.system.machine._BEYOND_THE_ROUTER", ("255.255.255.255", 9))
    assert find_node_ip() == LOOPBACK


def test_detection_imports_nothing_heavy() -> None:
    program = "import sys; from shoal._core.system.machine import detect; detect(); print(*sys.modules)"
    import subprocess

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"psutil", "subprocess", "logging", "asyncio", "numpy"} & set(loaded)


# --- GPUs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def gpus(tree: Tree) -> Tree:
    """Three, whose order by bus address is not that of their device files."""
    tree.gpu(1, "NVIDIA A100-SXM4-40GB", "0000:04:00.0")
    tree.gpu(0, "NVIDIA H100 80GB HBM3", "0000:81:00.0")
    tree.gpu(2, "NVIDIA H100 80GB HBM3", "0000:c1:00.0", GPU_Excluded="No")
    return tree


def visible(tree: Tree, variable: str | None) -> list[tuple[int, str]]:
    environ = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    return [(gpu.number, gpu.name) for gpu in find_gpus(tree.root, environ)]


def test_gpus_in_the_order_of_their_addresses(gpus: Tree) -> None:
    found = find_gpus(gpus.root, {})
    assert [gpu.number for gpu in found] == [0, 1, 2]
    assert [gpu.model for gpu in found] == ["NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"]
    machine = detect(gpus.root, {"CUDA_VISIBLE_DEVICES": "2"}, affinity=1)
    assert (machine.gpu_ids, machine.accelerator_type) == ((2,), "H100")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [(0, "0"), (1, "1"), (2, "2")]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2, 0", [(2, "2"), (0, "0")]),
        ("1,7,2", [(1, "1")]),
        ("0,-1,1", [(0, "0")]),
        ("1,1", []),
        ("GPU-00", [(1, "GPU-00")]),
        ("GPU-2,GPU-11", [(2, "GPU-2"), (0, "GPU-11")]),
        ("GPU-", []),
        ("MIG-abc,MIG-def", [(0, "MIG-abc"), (1, "MIG-def")]),
    ],
)
def test_cuda_visible_devices(gpus: Tree, variable: str | None, expected: list[tuple[int, str]]) -> None:
    assert visible(gpus, variable) == expected


def test_a_container_has_only_the_gpus_whose_files_it_has(gpus: Tree) -> None:
    os.unlink(f"{gpus.root}/dev/nvidia1")
    assert [gpu.model for gpu in find_gpus(gpus.root, {})] == ["NVIDIA H100 80GB HBM3"] * 2


def test_excluded_gpus_do_not_count(gpus: Tree) -> None:
    gpus.gpu(0, "NVIDIA H100 80GB HBM3", "0000:81:00.0", GPU_Excluded="Yes")
    assert len(find_gpus(gpus.root, {})) == 2


def test_without_the_kernels_list_the_tool_is_asked(tree: Tree) -> None:
    tree.write("dev/nvidiactl", "")
    tree.write("dev/nvidia0", "")
    (gpu,) = find_gpus(tree.root, {}, lambda: "GPU-5f, NVIDIA L4\n")
    assert gpu.model == "NVIDIA L4"
    (gpu,) = find_gpus(tree.root, {}, lambda: "")
    assert (gpu.number, gpu.model) == (0, "")
    tree.write("dev/nvidia-uvm", "")
    tree.write("dev/nvidia1", "")
    assert len(find_gpus(tree.root, {}, lambda: "NVIDIA-SMI has failed\n")) == 2


def test_the_tool_is_not_asked_where_there_is_no_gpu(tree: Tree) -> None:
    def tool() -> str:
        raise AssertionError

    assert find_gpus(tree.root, {"CUDA_VISIBLE_DEVICES": "0"}, tool) == ()


def test_without_the_tool_there_is_no_model(tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tree.write("dev/nvidiactl", "")
    tree.write("dev/nvidia0", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [gpu.model for gpu in find_gpus(tree.root, {})] == [""]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("Tesla T4", "T4"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("Quadro RTX 6000", "RTX-6000"),
        ("NVIDIA GeForce RTX 4090", "GeForce-RTX-4090"),
        ("NVIDIA TITAN V", "TITAN-V"),
        ("", ""),
    ],
)
def test_accelerator_types(model: str, kind: str) -> None:
    assert accelerator_type(model) == kind


# --- memory in use ----------------------------------------------------------------------------------------------------


def test_memory_in_use_is_that_of_the_machine_where_no_group_has_less_left(tree: Tree) -> None:
    assert memory_use(tree.root) == MemoryUse(8 * GIB, 16 * GIB)


def test_memory_in_use_is_that_of_the_group_that_has_the_least_left(tree: Tree) -> None:
    tree.v2("/docker/abc")
    group = "sys/fs/cgroup/docker/abc"
    tree.write(f"{group}/memory.max", f"{4 * GIB}\n")
    tree.write(f"{group}/memory.current", f"{3 * GIB}\n")
    tree.write(f"{group}/memory.stat", f"anon 5\ninactive_file {GIB // 2}\nactive_file {GIB // 2}\n")
    assert memory_use(tree.root) == MemoryUse(2 * GIB, 4 * GIB)
