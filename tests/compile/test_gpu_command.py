"""`tsm-edge compile` for GPU targets: what the summary and the manifest say, fallbacks, a compiler of one's own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from networks_lab import Net, loader, signature_of
from torch import nn

from tsm_edge import bundle, target
from tsm_edge.cli import cli
from tsm_edge.compile import passes
from tsm_edge.compile.backends import opencl
from tsm_edge.compile.ir.plan import Plan
from tsm_edge.compile.lowering import lower, planner
from tsm_edge.compile.precision import precision_of
from tsm_edge.errors import CompileError, UsageError

SMALL = ["tsm-mobilenetv2", "--width", "0.5", "--size", "32", "--classes", "5"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["compile", *map(str, arguments)])


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A small bundle for a CUDA board, and the summary."""
    folder = tmp_path_factory.mktemp("board") / "bundle"
    return folder, run(
        *SMALL, "--target", "jetson-nano", "--output", folder, "--dump", folder.with_name("dump")
    )


def test_the_summary_of_a_cuda_bundle(board: tuple[Path, Result]) -> None:
    folder, result = board
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "cuda compute capability 5.3, a driver of CUDA 10.2 (PTX ISA 6.4)" in text
    assert re.search(r"kernels: \d+ launches of \d+ kernels, none to shift", text)
    assert f"next: tsm-edge inspect {folder}" in text, "it cannot be run here"
    assert "float16, sums in float32" in text and "no spills" in text
    assert re.search(r"modelled: \d+\.\d\d ms a frame, .* not a measurement", text)
    dumped = {path.name.split("-", 1)[1] for path in folder.with_name("dump").iterdir()}
    assert {"kernels.cu", "kernels.py", "plan.c"} <= dumped


def test_the_manifest_of_a_cuda_bundle(board: tuple[Path, Result]) -> None:
    manifest = bundle.verify(board[0])
    assert (manifest.backend, manifest.precision) == ("cuda", "float16")
    device = manifest.device
    assert device is not None
    assert (device.api, device.compute_capability, device.ptx_isa, device.driver_cuda) == (
        "cuda",
        53,
        64,
        10020,
    )
    plan = Plan.parse((board[0] / "plan.txt").read_text())
    launches = [op.launch for op in plan.ops]
    assert all(launches) and len(launches) <= 60
    assert device.group_threads == max(launch.threads for launch in launches if launch)
    assert device.shared_bytes == max(launch.shared_bytes for launch in launches if launch)
    assert not any(tensor.offset % 512 for tensor in plan.tensors), (
        "sub-buffers start at multiples of 4096 bits"
    )
    stored = {tensor.dtype for tensor in plan.tensors if tensor.memory in ("state_in", "state_out")}
    assert stored == {"float16"}
    assert plan.tensor(plan.input).dtype == plan.tensor(plan.output).dtype == "float32"


def test_a_cuda_bundle_needs_only_the_c_library(board: tuple[Path, Result]) -> None:
    """No library of NVIDIA's: the driver is opened at run time."""
    names = set(re.findall(rb"lib[a-z]+\.so\.\d", (board[0] / "libtsm.so").read_bytes()))
    needed = {b"libc.so.6", b"libdl.so.2", b"libpthread.so.0", b"libm.so.6"}
    assert names <= needed | {b"libcuda.so.1"}


def test_the_same_inputs_give_the_same_bytes(board: tuple[Path, Result], tmp_path: Path) -> None:
    result = run(*SMALL, "--target", "jetson-nano", "--output", tmp_path / "again", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["calls"], document["copies"]) == (len(document["layers"]), 0)
    assert document["modelled"]["ms"] > document["modelled"]["floor_ms"] > 0
    assert set(document["resources"]) == {layer["kernel"] for layer in document["layers"]}
    for path in board[0].iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_backend_cpu_builds_the_fallback(tmp_path: Path) -> None:
    result = run(*SMALL, "--target", "opencl", "--backend", "cpu", "--output", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert "next: tsm-edge verify" in result.stdout
    manifest = bundle.verify(tmp_path / "b")
    assert (manifest.target.name, manifest.backend, manifest.precision) == ("x86-64", "cpu", "float32")
    assert manifest.device is None


@pytest.mark.parametrize(
    ("name", "precision", "hint"),
    [
        ("jetson-orin-nano", "int8", "--target jetson-orin-nano-cpu"),
        ("opencl", "int8", "--target x86-64"),
        ("x86-64", "fp16", "leave --precision out"),
    ],
)
def test_a_precision_of_the_processor_alone_names_its_target(name: str, precision: str, hint: str) -> None:
    with pytest.raises(UsageError, match="no such precision") as caught:
        precision_of(target.load(name), precision)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(("name", "backend"), [("android-adreno", "opencl"), ("android-arm64", "cpu")])
def test_android_is_linked_with_the_compiler_of_the_caller(tmp_path: Path, name: str, backend: str) -> None:
    """`zig cc` for Linux on the same architecture stands in for an NDK; the command is run without a shell."""
    log = tmp_path / "log"
    script = tmp_path / "a compiler.py"
    script.write_text(
        "import subprocess, sys\n"
        f"open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "zig = [sys.executable, '-m', 'ziglang', 'cc', '-target', 'aarch64-linux-gnu.2.28']\n"
        "own = [word.replace('cortex-a7', 'cortex_a7') for word in sys.argv[1:]]  # as zig spells it\n"
        "sys.exit(subprocess.run([*zig, *own]).returncode)\n"
    )
    compiler = f"{sys.executable} '{script}' -DNAMED_BY='a;b'"
    result = run(*SMALL, "--target", name, "--cc", compiler, "--output", tmp_path / "b")
    assert result.exit_code == 0, result.output
    manifest = bundle.verify(tmp_path / "b")
    assert (manifest.target.libc, manifest.backend) == ("bionic", backend)
    calls = log.read_text().splitlines()
    assert all(call.startswith("-DNAMED_BY=a;b ") for call in calls)
    assert not any("-lpthread" in call for call in calls), "Android's C library holds the threads"
    library = tmp_path / "b" / "libtsm.so"
    assert (b"__kernel" in library.read_bytes()) == (backend == "opencl")
    if shutil.which("readelf"):
        listed = subprocess.run(["readelf", "-lW", library], capture_output=True, text=True, check=True).stdout
        loads = [line.split()[-1] for line in listed.splitlines() if line.strip().startswith("LOAD")]
        assert loads and all(int(align, 16) % 16384 == 0 for align in loads), "devices with pages of 16 KiB"


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    result = run(*SMALL, "--target", "android-mali", "--cc", "false", "--output", tmp_path / "b")
    assert result.exit_code == 1 and "The C compiler failed" in result.stderr
    assert not (tmp_path / "b").exists()


def test_a_layer_without_a_schedule_names_the_processor() -> None:
    """TVM's plain loops are one thread: a GPU bundle refuses them."""
    net = Net(
        lambda n, x, s: (n.head((n.conv(x) * n.conv(x).sigmoid()).mean((2, 3))), x[:, :1] + s),
        conv=nn.Conv2d(4, 8, 1),
        head=nn.Linear(8, 3),
    )
    signature = signature_of(net, (1, 4, 6, 6), [(1, 1, 6, 6)])
    graph = loader(net, signature)()
    passes.run(graph)
    with pytest.raises(CompileError, match="No GPU schedule takes layer") as caught:
        lower.lower(graph, "gpu", opencl.machine(target.load("opencl"), "fp16"))
    assert "--backend cpu" in str(caught.value.hint)


def test_a_shift_of_the_frame_itself_is_copied_from_float32() -> None:
    """The state has no producer of its own: one launch copies the frame's first channels into 16-bit storage."""
    net = Net(
        lambda n, x, s: (n.head(n.conv(torch.cat([s, x[:, 2:]], 1)).mean((2, 3))), x[:, :2]),
        conv=nn.Conv2d(8, 8, 1),
        head=nn.Linear(8, 3),
    )
    graph = loader(net, signature_of(net, (1, 8, 6, 6), [(1, 2, 6, 6)]))()
    passes.run(graph)
    machine = opencl.machine(target.load("opencl"), "fp16")
    lower.prepare(graph, "gpu", machine)
    lowered = lower.lower(graph, "gpu", machine)
    plan = planner.plan(graph, lowered, opencl.ALIGN).plan
    assert [op.schedule.partition(":")[0] for op in plan.ops].count("copy_gpu") == 1
    copied = next(op for op in plan.ops if op.schedule.startswith("copy_gpu"))
    assert plan.tensor(copied.reads[0]).dtype == "float32"
    assert (plan.tensor(copied.writes[0]).dtype, plan.tensor(copied.writes[0]).memory) == (
        "float16",
        "state_out",
    )
    assert plan.tensor(plan.output).dtype == "float32"
