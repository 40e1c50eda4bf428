"""Facts of the machine, its roofs, and the picture that is drawn of them."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from tsm_edge.bench import ceiling, fma, machine, roofline
from tsm_edge.bench.ceiling import Ceiling
from tsm_edge.bench.per_op import OpTime
from tsm_edge.errors import OutputError
from tsm_edge.processes import cc
from tsm_edge.target.host import Cache, Host

X86 = "model name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu sse4_2 avx avx2 fma f16c hypervisor\ncpu MHz\t\t: 1999.6\n"
ARM = "Features\t: fp asimd fphp asimdhp\nModel\t\t: A Small Board Rev 1.2\n"
ROOFS = Ceiling(2, 100.0, 10.0, "multiply-add loop", "in a test")


def host(cpuinfo=X86, arch="x86_64"):
    return Host(arch, 8, cpuinfo, (Cache(1, "Data", 32, 2),), 2, 4, 3_200_000, "glibc 2.36")


def test_facts():
    facts = machine.facts(host())
    assert facts["cpu"] == "Some CPU @ 2.00GHz"
    assert facts["features"] == ["sse4.2", "avx", "avx2", "fma", "f16c"]
    assert (facts["hardware_threads"], facts["cores"], facts["max_clock_mhz"]) == (4, 2, 3200)
    assert facts["virtual"] is True
    assert facts["caches"] == ["L1 Data 32 KiB, 2 threads"]
    assert facts["load_1min"] >= 0


def test_facts_of_a_board_without_a_named_processor():
    facts = machine.facts(host(ARM, "aarch64"))
    assert facts["cpu"] == "A Small Board Rev 1.2"
    assert facts["features"] == ["asimd", "fp16"]
    assert "virtual" not in facts


def test_facts_do_not_name_the_host():
    import platform

    assert platform.node() not in str(machine.facts(host())).split()


def test_the_multiply_add_loop_is_compiled_and_run():
    if not cc.compilers():
        pytest.skip("no C compiler: install gcc")
    rate = fma.gflop_per_s(1)
    assert rate is not None and rate > 0.1


def test_without_a_compiler_the_matrix_product_is_the_roof(monkeypatch):
    monkeypatch.setattr(cc, "compilers", lambda: [["false"]])
    monkeypatch.setattr(ceiling, "SECONDS", 0.01)
    found = ceiling.measure(1)
    assert (found.arithmetic, found.threads) == ("numpy sgemm", 1)
    assert found.gflop_per_s > 0.1 and found.gb_per_s > 0.01
    assert "numpy sgemm" in found.method


def test_importing_the_measurement_does_not_load_a_runtime():
    code = "import sys, tsm_edge.bench.session; print(*{'torch', 'cv2', 'onnxruntime'}.intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def op(layer, schedule, macs, size, us):
    return OpTime("k", layer, schedule, macs, size, us * 1e3)


OPS = [
    op("slow", "pointwise_cpu:6x16", 2_000_000, 400_000, 100),  # 40 GFLOP/s at 10 FLOP per byte
    op("narrow", "depthwise_cpu:5", 200_000, 800_000, 50),  # 8 GFLOP/s at 0.5 FLOP per byte
    op("pool", "max_pool_cpu", 0, 100_000, 5),
]


def test_work_of_an_operation():
    slow, narrow, pool = OPS
    assert slow.gflop_per_s == pytest.approx(40) and slow.flop_per_byte == pytest.approx(10)
    assert narrow.gb_per_s == pytest.approx(16)
    assert pool.gflop_per_s == pool.flop_per_byte == 0
    assert op("idle", "copy_cpu", 0, 0, 0).gb_per_s == 0


def test_a_dot_for_every_operation_that_multiplies():
    image = roofline.draw(OPS, ROOFS, "a test")
    assert image.shape == (900, 1600, 3) and image.dtype == np.uint8
    axes = roofline.Axes.around(OPS[:2], ROOFS)
    colours = {"depthwise_cpu": roofline.PALETTE[0], "pointwise_cpu": roofline.PALETTE[1]}
    for one in OPS[:2]:
        x, y = axes.at(one.flop_per_byte, one.gflop_per_s)
        near = image[y - 12 : y + 13, x - 12 : x + 13].reshape(-1, 3)
        assert (near == colours[roofline.kind_of(one)]).all(axis=1).sum() > 100
    assert (image == colours["pointwise_cpu"]).all(axis=2).sum() > (image == colours["depthwise_cpu"]).all(
        axis=2
    ).sum()


def test_the_axes_hold_every_dot_and_the_ridge():
    axes = roofline.Axes.around(OPS[:2], ROOFS)
    for x, y in ((10, 40), (0.5, 8), (10, 100)):
        column, row = axes.at(x, y)
        assert roofline.LEFT < column < roofline.RIGHT and roofline.TOP < row < roofline.BOTTOM


def test_a_network_without_multiplications_has_a_picture_too():
    assert roofline.draw(OPS[2:], ROOFS, "nothing but a pool").shape == (900, 1600, 3)


def test_what_lies_above_a_roof_is_explained():
    fast = OpTime("k", "layer", "pointwise_cpu:7x12", 10**6, 10**9, 10.0)
    notes = " | ".join(roofline._notes([fast, OPS[2]], [fast], ROOFS))
    assert "not shown: 1 operation without" in notes
    assert "above the slope" in notes and "above the flat roof" in notes
    slow = OpTime("k", "layer", "pointwise_cpu:7x12", 10, 10, 1e9)
    assert list(roofline._notes([slow], [slow], ROOFS)) == []


def test_the_picture_is_written_and_read_back(tmp_path):
    path = tmp_path / "roof.png"
    image = roofline.draw(OPS, ROOFS, "a test")
    roofline.write(path, image)
    assert np.array_equal(cv2.imread(str(path)), image)
    assert [file.name for file in tmp_path.iterdir()] == ["roof.png"]


def test_a_picture_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        roofline.write(tmp_path / "nowhere" / "roof.png", roofline.draw(OPS, ROOFS, "a test"))
