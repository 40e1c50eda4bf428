"""The CPU family: TIR kernels to one object file of plain C functions, through LLVM."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from tsm_edge.compile import emit
from tsm_edge.compile.code import About, Code
from tsm_edge.compile.planner import Planned
from tsm_edge.compile.tiling import Machine
from tsm_edge.target import EdgeTarget

#: LLVM turns compare-and-select into one instruction everywhere but on 32-bit ARM
CLAMP = {"armv7l": ("llvm.arm.neon.vmaxs", "llvm.arm.neon.vmins")}


SCHEDULES = "cpu"
PRECISIONS = ("fp32",)
ALIGN = 64
COMPILERS: tuple[str, ...] = ()


def machine(target: EdgeTarget, precision: str = "fp32") -> Machine:
    """The facts of a target that the schedules read."""
    cpu = target.cpu
    lanes = cpu.simd_bits // 32
    return Machine(
        lanes=lanes,
        registers=cpu.simd_registers,
        fma_per_cycle=cpu.flops_per_cycle / (2 * lanes),
        loads_per_cycle=2 if cpu.flops_per_cycle > 8 else 1,
        by_lane=target.arch == "aarch64",
        fused=target.arch == "armv7l",
        clamp=CLAMP.get(target.arch),
        index="int32" if target.arch == "armv7l" else "int64",
        l2_bytes=cpu.l2_kib * 1024,
        cores=cpu.cores,
    )


def tvm_target(target: EdgeTarget) -> Any:
    """The TVM target of a device."""
    config: dict[str, Any] = {"kind": "llvm", "mtriple": llvm_triple(target), "mcpu": target.cpu.llvm_cpu}
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


def plan_c(planned: Planned, code: Code, about: About) -> str:
    """The plan as C."""
    return emit.plan_c(planned, about)


def modelled(planned: Planned, code: Code, target: EdgeTarget, precision: str) -> None:
    """No model of whole steps here."""


def build_object(functions: dict[str, tirx.PrimFunc], target: EdgeTarget) -> bytes:
    """Compile kernels (symbol -> PrimFunc) to one relocatable object.

    TVM's packed calling convention is left out: a kernel stays a C function over raw pointers, so the object has no
    undefined symbol of TVM's runtime.
    """
    with_names = {name: function.with_attr("global_symbol", name) for name, function in functions.items()}
    module = lower(tvm.IRModule(with_names), tvm_target(target))
    built = tvm.get_global_func("target.build.llvm")(module, tvm_target(target))
    with tempfile.TemporaryDirectory(prefix="tsm-edge-") as folder:
        path = Path(folder) / "kernels.o"
        built.write_to_file(str(path), "o")
        return path.read_bytes()


def lower(module: tvm.IRModule, target: Any) -> tvm.IRModule:
    """The TIR passes between a constructed kernel and LLVM."""
    passes = tirx.transform
    return tvm.ir.transform.Sequential(
        [
            passes.BindTarget(target),
            passes.StmtSimplify(),
            passes.FlattenBuffer(),
            passes.VectorizeLoop(True),
            passes.UnrollLoop(),
            passes.StmtSimplify(),
            passes.CommonSubexprElim(),
            passes.LowerIntrin(),
        ]
    )(module)
