"""The CPU family: TIR kernels to one object file of plain C functions, through LLVM."""

from __future__ import annotations

import os

import tvm
from tvm import tirx

from tsm_edge.target import EdgeTarget

from ..ir.dtype import FLOAT32, PRECISIONS
from ..kernels.cpu.tiling import Machine
from ..link import emit
from ..link.code import Code, PlanContext
from ..lowering import latency_cpu
from ..lowering.latency_cpu import FrameTime
from ..lowering.planner import Planned
from ._lower import lower

STREAM = 8.0  # bytes per cycle from memory, where a detected machine reports neither clock nor bandwidth

#: LLVM intrinsics of maximum and minimum that keep NaN; compare and select is three instructions on ARM, one on x86
CLAMP = {
    "armv7l": ("llvm.arm.neon.vmaxs", "llvm.arm.neon.vmins"),
    "aarch64": ("llvm.aarch64.neon.fmax", "llvm.aarch64.neon.fmin"),
}

#: cores that begin one vector instruction a cycle; "generic" has a small core's facts
IN_ORDER = ("cortex-a7", "cortex-a53", "cortex-a55", "generic")

SCHEDULES = "cpu"
ALIGN = 64
COMPILERS: tuple[str, ...] = ()


def machine(target: EdgeTarget, precision: str = "fp32") -> Machine:
    """The facts of a target that the schedules read. precision: one of `precisions`."""
    cpu = target.cpu
    stored = FLOAT32 if precision == "int8" else PRECISIONS[precision]
    lanes = cpu.simd_lanes
    return Machine(
        lanes=lanes,
        registers=cpu.simd_registers,
        fma_per_cycle=cpu.flops_per_cycle / (2 * lanes),
        loads_per_cycle=cpu.load_ports,
        half_width_fma=cpu.fma_vector_bits < cpu.simd_bits,
        broadcasts=cpu.simd_bits == 512,
        fma_by_element=target.arch == "aarch64",
        paired_loads=cpu.paired_loads,
        fused=target.arch == "armv7l",
        clamp=CLAMP.get(target.arch),
        index="int32" if target.arch == "armv7l" else "int64",
        l2_bytes=cpu.l2_kib * 1024,
        private_l2=cpu.private_l2,
        cores=cpu.cores,
        prefetch=cpu.software_prefetch,
        stream=cpu.dram_gb_s / cpu.clock_ghz if cpu.dram_gb_s and cpu.clock_ghz else STREAM,
        dotprod=cpu.dotprod,
        vnni=cpu.vnni,
        vector_per_cycle=vector_rate(target),
        storage=stored,
    ).computing(stored if cpu.fp16 else FLOAT32)


def vector_rate(target: EdgeTarget) -> float:
    """Vector instructions on integers that a core begins in a cycle.

    ARM: two where instructions may overtake each other, one where not. x86: AVX2 has three pipes and two multiply; a
    512-bit vector takes two pipes, which multiply unless they are halves.
    """
    cpu = target.cpu
    multiplies = cpu.flops_per_cycle / (2 * cpu.simd_lanes)
    if target.arch != "x86_64":
        return max(multiplies, 1.0 if cpu.llvm_cpu in IN_ORDER else 2.0)
    if cpu.simd_bits == 512:
        return multiplies * (2 if cpu.fma_vector_bits < cpu.simd_bits else 1)
    return 1.5 * multiplies


def precisions(target: EdgeTarget) -> tuple[str, ...]:
    """Precisions that a target offers, its default first.

    64-bit ARM stores halves, and computes in them where it has Armv8.2's arithmetic (FEAT_FP16); 8 bits take any 64-bit
    processor.
    """
    half = ("fp16",) if target.arch == "aarch64" else ()
    return ("fp32", *half, *(("int8",) if target.arch in ("aarch64", "x86_64") else ()))


def tvm_target(target: EdgeTarget) -> tvm.target.Target:
    """The TVM target of a device."""
    config: dict[str, object] = {"kind": "llvm", "mtriple": llvm_triple(target), "mcpu": target.cpu.llvm_cpu}
    if target.cpu.llvm_features:
        config["mattr"] = list(target.cpu.llvm_features)
    if target.arch == "armv7l":
        config["mfloat-abi"] = "hard"
    return tvm.target.Target(config, host=config)


def llvm_triple(target: EdgeTarget) -> str:
    """LLVM's spelling: 32-bit ARM names its version, and musl shares glibc's calling convention."""
    arch = "armv7a" if target.arch == "armv7l" else target.arch
    return f"{arch}-linux-{target.triple.rsplit('-', 1)[1]}"


def build(planned: Planned, functions: dict[str, tirx.PrimFunc], target: EdgeTarget, precision: str) -> Code:
    """The kernels as one object file."""
    objects = {"kernels.o": build_object(functions, target)}
    return Code(objects, {}, ("*.c",), ("m", "pthread"))


def plan_c(planned: Planned, code: Code, about: PlanContext) -> str:
    """The plan as C."""
    return emit.plan_c(planned, about)


def modelled(
    planned: Planned, code: Code | None, target: EdgeTarget, precision: str, threads: int
) -> FrameTime | None:
    """Modelled time of a frame; None without a clock in the target's facts."""
    works = latency_cpu.works(planned.steps, planned.plan)
    return latency_cpu.frame(works, target.cpu, threads)


def build_object(functions: dict[str, tirx.PrimFunc], target: EdgeTarget) -> bytes:
    """Compile kernels (symbol -> PrimFunc) to one relocatable object.

    TVM's packed calling convention is left out: a kernel stays a C function over raw pointers, so the object has no
    undefined symbol of TVM's runtime.
    """
    with_names = {name: function.with_attr("global_symbol", name) for name, function in functions.items()}
    module = lower(tvm.IRModule(with_names), tvm_target(target), vectors=True)
    built = tvm.get_global_func("target.build.llvm")(module, tvm_target(target))
    # LLVM ends the process where it cannot write a file, so it gets one in memory.
    with open(os.memfd_create("kernels.o"), "rb") as file:
        built.write_to_file(f"/proc/self/fd/{file.fileno()}", "o")
        return file.read()
