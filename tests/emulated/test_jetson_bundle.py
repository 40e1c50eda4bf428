"""A Jetson bundle as it is copied to the board, under the emulator of its processor and over a stand-in for its driver.

The kernels are not run: there is no NVIDIA GPU in CI. Everything else is the board's own: the library, the command, the
PTX text in which every kernel is looked up, and each launch with the addresses that it is given.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tsm_edge import bundle, models, target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import verify
from tsm_edge.errors import DeviceError

SYSROOT = Path("/usr/aarch64-linux-gnu")
ALLOWED = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-aarch64.so.1"}
FRAMES = 4

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("nvidia") is None, reason='no CUDA compiler: the extra "cuda" is not installed'
)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = networks.zoo(models.load("tsm-resnet18", size=64, classes=5))
    output = tmp_path_factory.mktemp("jetson") / "bundle"
    return pipeline.compile(network, target.load("jetson-nano"), output).folder


@dataclass(frozen=True)
class Emulated:
    """The board's processor and its command; the stand-in for its driver leaves a log."""

    qemu: str
    program: Path
    driver: Path

    def run(
        self, *arguments: str, data: bytes = b"", driver: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        environment = (f"LD_LIBRARY_PATH={driver or self.driver}", f"STAND_IN_LOG={self.driver / 'log'}")
        settings = [part for setting in environment for part in ("-E", setting)]
        command = [self.qemu, "-cpu", "cortex-a57", "-L", SYSROOT, *settings, self.program, *arguments]
        return subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def emulated(board: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    qemu = shutil.which("qemu-aarch64")
    if qemu is None or not SYSROOT.is_dir():
        pytest.skip("the board's processor is missing: apt-get install qemu-user libc6-arm64-cross")
    driver = tmp_path_factory.mktemp("driver")
    source = repository / "tests" / "runtime" / "stand_in_cuda.c"
    flags = ["-O1", "-DANY_KERNEL", f"-I{repository / 'compile/runtime/gpu'}", "-shared", "-fPIC"]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.27", *flags, source]
    subprocess.run([*command, "-o", driver / "libcuda.so.1"], check=True)
    return Emulated(qemu, board / "tsm-edge-run", driver)


def test_what_is_copied(board: Path) -> None:
    """Weights, PTX, and little else; no library but C's own, and none newer than that of JetPack 4."""
    manifest = bundle.verify(board)
    library = (board / "libtsm.so").read_bytes()
    start = library.index(b".version 6.4\n.target sm_53\n")
    ptx = library.index(b"\0", start) - start
    rest = len(library) - manifest.plan.weights_bytes - ptx
    assert 0 < rest < 200 * 1024, f"{rest} bytes besides weights and kernels"
    for name in ("libtsm.so", "tsm-edge-run"):
        listing = subprocess.run(
            ["readelf", "-d", board / name], capture_output=True, text=True, check=True
        ).stdout
        assert set(re.findall(r"\(NEEDED\).*\[(.*)\]", listing)) <= ALLOWED
        versions = {
            tuple(map(int, v.split(b".")))
            for v in re.findall(rb"GLIBC_([\d.]+)", (board / name).read_bytes())
        }
        assert versions and max(versions) <= (2, 27)


def test_the_board_s_program_says_what_it_found(
    emulated: Emulated,
) -> None:
    text = emulated.run("--info").stdout.decode()
    assert "target    jetson-nano (aarch64, glibc 2.27, shared, cuda)" in text
    assert "device    Stand-in X0, compute capability 5.3; driver of CUDA 10.2, with graphs" in text


def test_every_launch_reaches_the_driver(board: Path, emulated: Emulated) -> None:
    frames = np.zeros((FRAMES, 3, 64, 64), np.float32)
    done = emulated.run("--tensor", data=frames.tobytes())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == FRAMES
    log = (emulated.driver / "log").read_text()
    steps = bundle.verify(board).plan.steps
    assert log.endswith("misuse \nleft 0\n"), log[-300:]
    assert log.count("cuLaunchKernel ") == 2 * steps, "captured once for each role of the states"
    assert log.count("cuGraphLaunch") == FRAMES and log.count("cuMemcpyHtoD_v2") == 1
    assert f"cuGraphInstantiate {steps + 2} commands" in log


def test_a_board_without_its_driver(emulated: Emulated, tmp_path: Path) -> None:
    done = emulated.run("--info", driver=tmp_path)
    assert done.returncode == 4
    assert b"There is no NVIDIA driver on this machine." in done.stderr
    assert b"hint: the CPU can run it: tsm-edge compile tsm-resnet18 --target jetson-nano-cpu" in done.stderr


def test_verify_on_a_machine_without_the_gpu(board: Path, emulated: Emulated) -> None:
    """The processor has its emulator; the driver is missing, and what the board's own command says is passed on."""

    def never(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        raise AssertionError("there is nothing to compare with")

    with pytest.raises(DeviceError, match="There is no NVIDIA driver on this machine") as caught:
        verify.compare(board, bundle.verify(board), never, 2)
    assert caught.value.exit_code == 4 and "jetson-nano-cpu" in str(caught.value.hint)
