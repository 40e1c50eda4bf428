"""TIR kernels to the text of one source file, through TVM's C-like code generators; shared by the GPU families."""

from __future__ import annotations

import tvm
from tvm import tirx

from ._lower import lower

WIDTHS = (1, 2, 4, 8)


def source(functions: dict[str, tirx.PrimFunc], tvm_target: tvm.target.Target, prelude: str, first: str) -> str:
    """The kernels of a module below our own prelude.

    TVM's preamble is dropped: it includes headers and defines 16-bit arithmetic that our kernels do not use. first: the
    words that begin its first kernel.
    """
    named = {
        name: function.with_attr("global_symbol", name).with_attr("calling_conv", 2)
        for name, function in functions.items()
    }
    module = lower(tvm.IRModule(named), tvm_target, vectors=False)
    built = tvm.get_global_func(f"target.build.{tvm_target.kind.name}")(module, tvm_target)
    text = str(built.inspect_source())
    return prelude + text[text.index(first) :]
