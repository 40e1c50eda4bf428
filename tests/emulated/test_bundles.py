"""Whole bundles of every CPU target: they build, ask for no newer C library than they say, and compute the network."""

from __future__ import annotations

import re
from pathlib import Path

import not_finite_lab
import pytest

from tsm_edge import bundle, models, target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import reference, verify
from tsm_edge.compile.verification.command import HALF_SUMS
from tsm_edge.errors import ToolMissing
from tsm_edge.target import EdgeTarget, host

#: Android is linked with an NDK that --cc names: compile/test_gpu_command.py
CPU_TARGETS = [
    name for name in target.names() if target.load(name).family == "cpu" and target.load(name).libc != "bionic"
]
ELF_MACHINE = {"x86_64": 62, "aarch64": 183, "armv7l": 40}
#: one target for each instruction set and way of linking; the others differ in facts only
VERIFIED = [
    "local",
    "x86-64",
    "intel-n100",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "raspberry-pi-3-32bit",
    "linux-arm64-static",
]


#: the sums of half precision are as exact as `verify` asks for
EXACT = {"float32": 2e-5, "float16": HALF_SUMS}


@pytest.fixture(scope="module")
def network() -> pipeline.Network:
    return networks.zoo(models.load("tsm-mobilenetv2", width=0.35, size=64, classes=5))


@pytest.mark.parametrize("name", CPU_TARGETS)
def test_every_cpu_target_builds_and_keeps_its_promises(
    name: str, network: pipeline.Network, tmp_path: Path
) -> None:
    device = target.load(name)
    folder = pipeline.compile(network, device, tmp_path / name).folder
    manifest = bundle.verify(folder)
    assert manifest.precision == ("float16" if device.cpu.fp16 else "float32")
    for file in ("tsm-edge-run", manifest.library):
        data = (folder / file).read_bytes()
        if data[:4] == b"\x7fELF":
            assert int.from_bytes(data[18:20], "little") == ELF_MACHINE[device.arch]
        assert newest_glibc(data) <= version(device.glibc), (file, newest_glibc(data))
        assert str(Path.home()).encode() not in data
        assert str(tmp_path).encode() not in data
    assert (folder / "tsm-edge-run").stat().st_mode & 0o111
    if name in VERIFIED:
        check(device, folder, manifest)


def check(device: EdgeTarget, folder: Path, manifest: bundle.Manifest) -> None:
    """Eight frames with states, here or under the emulator."""
    if manifest.target.arch == "x86_64" and set(device.cpu.requires) - host.features_of(host.read_host()):
        pytest.skip(f"built; this machine cannot run it: it lacks one of {device.cpu.requires}")
    try:
        outcome = verify.compare(folder, manifest, reference.step_of(manifest, None), frames=8)
    except ToolMissing as missing:
        pytest.skip(f"built; not run: {missing.what} {missing.hint}")
    assert outcome.top1 == 8
    assert all(difference.within(EXACT[manifest.precision]) for difference in outcome.differences), outcome.differences
    exact = 10 * EXACT["float32"] if manifest.precision == "float32" else HALF_SUMS
    not_finite_lab.check(folder, manifest, reference.step_of(manifest, None), exact)


def newest_glibc(data: bytes) -> tuple[int, ...]:
    """The newest symbol version that a file asks for; (0,) for none."""
    return max((version(found.decode()) for found in re.findall(rb"GLIBC_(\d+\.\d+)", data)), default=(0,))


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("."))) if text else (0,)
