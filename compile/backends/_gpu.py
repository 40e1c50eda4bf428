"""Shared by the GPU families: the machine of their schedules, a bundle's requirements of a device, the plan as C."""

from __future__ import annotations

from tsm_edge.bundle.manifest import DeviceInfo
from tsm_edge.target import EdgeTarget

from ..ir.dtype import PRECISIONS
from ..kernels.gpu.tiling import Machine
from ..link import emit_gpu
from ..link.code import Code, PlanContext
from ..lowering import latency_gpu
from ..lowering.latency_gpu import Modelled
from ..lowering.planner import Planned

SCHEDULES = "gpu"
#: the largest CL_DEVICE_MEM_BASE_ADDR_ALIGN of the devices we know, 4096 bits; more than CUDA requires
ALIGN = 512
LIBRARIES = ("m", "dl", "pthread")
SHARED = (
    *("checks.c", "cpu.c", "decision.c", "feed.c", "guard.c", "half.c", "image.c", "message.c"),
    *("pixels.c", "placement.c", "resample.c", "sampler.c", "tensor.c", "threads.c"),
)


def machine(target: EdgeTarget, precision: str) -> Machine:
    """The facts of a target that the schedules read."""
    gpu = target.gpu
    assert gpu is not None, "targets of a GPU family have a GPU"
    return Machine(
        wave=gpu.wave,
        units=gpu.units,
        lanes=gpu.flops_per_cycle // 2,
        clock_ghz=gpu.clock_ghz,
        dram_gb_s=gpu.dram_gb_s,
        l2_bytes=gpu.l2_kib * 1024,
        registers=gpu.registers,
        thread_registers=gpu.thread_registers,
        shared_bytes=gpu.shared_kib * 1024,
        group_shared_bytes=gpu.group_shared_kib * 1024,
        unit_threads=gpu.unit_threads,
        unit_groups=gpu.unit_groups,
        group_threads=gpu.group_threads,
        # one instruction of the 16-bit units converts two elements; they have half as many lanes at a rate of 1
        convert=2 / gpu.fp16_rate if precision == "fp16" else 0.0,
        storage=PRECISIONS[precision],
    )


def precisions(target: EdgeTarget) -> tuple[str, ...]:
    """Storage types of a target, its default first; every GPU computes in float32."""
    return ("fp16", "fp32")


def device(planned: Planned, target: EdgeTarget) -> DeviceInfo:
    """The requirements of a plan's launches on a device."""
    gpu = target.gpu
    assert gpu is not None
    launches = [op.launch for op in planned.plan.ops if op.launch is not None]
    return DeviceInfo(
        api=target.family,
        compute_capability=gpu.sm,
        ptx_isa=number(gpu.ptx_isa, 10, 1),
        driver_cuda=number(gpu.driver_cuda, 1000, 10),
        group_threads=max(launch.threads for launch in launches),
        shared_bytes=max(launch.shared_bytes for launch in launches),
    )


def modelled(planned: Planned, code: Code, target: EdgeTarget, precision: str, threads: int) -> Modelled:
    """The modelled latency of one step; the host's threads do not matter."""
    gpu = target.gpu
    assert gpu is not None
    seen = machine(target, precision)
    return latency_gpu.step(planned.plan, planned.work, seen, gpu.launch_us, code.resources)


def number(version: str, major: int, minor: int) -> int:
    """A version "6.4" as NVIDIA writes it in one number: 64 for an ISA, 10020 for a driver of 10.2; nothing is 0."""
    first, _, second = version.partition(".")
    return int(first or 0) * major + int(second or 0) * minor


def sources(family: str) -> tuple[str, ...]:
    """The runtime's C files of a family."""
    return (*SHARED, "gpu/gpu_*.c", f"gpu/{family}*.c")


def plan_c(planned: Planned, code: Code, about: PlanContext, options: str = "") -> str:
    """The plan as C."""
    assert code.device is not None
    return emit_gpu.plan_c(planned, about, code.device, code.blobs["tsm_program"], options)
