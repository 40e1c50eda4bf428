"""Forms that TVM's frontend reads wrongly, not at all or slowly, put into equal ones that it reads right.

REWRITES is the table; `docs/onnx.md` is generated from it. What ONNX itself defines by other operators may be replaced
by its definition, see definitions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import clamps, forms, pools, resize
from .definitions import expand, wants_definition
from .values import Values

if TYPE_CHECKING:
    from onnx import NodeProto

Rule = Callable[["NodeProto", Values], "list[NodeProto] | None"]


@dataclass(frozen=True)
class Rewrite:
    """One form of an operator and what it becomes, in words; rule: the nodes in its place, or None to leave it."""

    operator: str
    form: str
    becomes: str
    rule: Rule


def rewrite(node: NodeProto, values: Values) -> list[NodeProto] | None:
    """The nodes in the place of one, or None when it may stay."""
    if node.domain not in ("", "ai.onnx"):
        return None
    for entry in TABLE.get(node.op_type, ()):
        replaced = entry.rule(node, values)
        if replaced is not None:
            return replaced
    return expand(node, values) if wants_definition(node, values) else None


REWRITES = (
    Rewrite("Resize", "any that TVM does not compute as ONNX says", "constant matrices, or Gather", resize.rewrite),
    Rewrite("MaxPool", "auto_pad", "pads", pools.explicit_pads),
    Rewrite("AveragePool", "auto_pad", "pads", pools.explicit_pads),
    Rewrite("LpPool", "auto_pad", "pads", pools.explicit_pads),
    Rewrite("Conv", "auto_pad", "pads", pools.explicit_pads),
    Rewrite("ConvTranspose", "auto_pad or output_shape", "pads and output_padding", pools.transposed_pads),
    Rewrite("Max", "of one value and single numbers", "Clip", clamps.max_or_min),
    Rewrite("Min", "of one value and single numbers", "Clip", clamps.max_or_min),
    Rewrite("Clip", "bounds with dimensions", "scalar bounds", clamps.clip),
    Rewrite("LeakyRelu", "slope 0", "Relu", clamps.without_slope),
    Rewrite("Dropout", "outside of training", "nothing", forms.dropout),
    Rewrite("IsInf", "of one sign", "Equal", forms.one_sign),
    Rewrite("SpaceToDepth", "mode CRD", "Reshape, Transpose, Reshape", forms.space_to_depth),
    Rewrite("Pow", "exponent of another type", "an exponent of the base's type", forms.float_exponent),
    Rewrite("LpNormalization", "always", "a sum, a root and a quotient", forms.lp_normalization),
    Rewrite("CumSum", "of float32 along a constant axis", "a product with a triangle of ones", forms.running_sum),
    Rewrite("Mod", "of floats with fmod=0", "Mod with fmod=1 and a correction", forms.float_remainder),
    Rewrite("Compress", "by a constant condition", "Gather", forms.chosen),
    Rewrite("Range", "of constants", "a constant", forms.counted),
    Rewrite("OneHot", "of a constant depth", "Equal and Where", forms.one_hot),
    Rewrite("Squeeze", "axes without a dimension", "axes as a list", forms.axes_as_list),
    Rewrite("Unsqueeze", "axes without a dimension", "axes as a list", forms.axes_as_list),
    Rewrite("Sum", "of one value", "nothing", forms.single),
    Rewrite("Mean", "of one value", "nothing", forms.single),
)  # fmt: skip
TABLE: dict[str, list[Rewrite]] = {}
for _entry in REWRITES:
    TABLE.setdefault(_entry.operator, []).append(_entry)
