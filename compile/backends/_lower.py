"""The TIR passes between a constructed kernel and a code generator."""

from __future__ import annotations

import tvm
from tvm import tirx


def lower(module: tvm.IRModule, target: tvm.target.Target, *, vectors: bool) -> tvm.IRModule:
    """A module of kernels, ready for code generation.

    vectors: for LLVM, which has vector types. C sources are scalar, and the compiler that reads them eliminates common
    subexpressions.
    """
    passes = tirx.transform
    return tvm.ir.transform.Sequential(
        [
            passes.BindTarget(target),
            passes.StmtSimplify(),
            passes.FlattenBuffer(),
            *([passes.VectorizeLoop(True)] if vectors else []),
            passes.UnrollLoop(),
            passes.StmtSimplify(),
            *([passes.CommonSubexprElim()] if vectors else []),
            passes.LowerIntrin(),
        ]
    )(module)
