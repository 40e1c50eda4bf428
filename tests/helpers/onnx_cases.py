"""Small ONNX networks of a few nodes around one state, for what is taken and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_lab
from onnx import NodeProto, helper

node = helper.make_node
STATE = [("before", "after")]
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Case:
    """Nodes from `x` to `z`, which is flattened to the scores; beside them a state becomes its negative."""

    nodes: tuple[NodeProto, ...]
    constants: dict[str, Any] = field(default_factory=dict)
    frame: tuple[int | str, ...] = (1, 4, 5, 7)
    opset: int = 18
    right: Any = None  # a function of the frame, where ONNX Runtime does not know the form
    tolerance: float = 1e-5

    def save(self, path: Path, functions: Any = (), opsets: Any = ()) -> Path:
        """Write the file, with functions of its own; how many scores there are is left open."""
        nodes = [*self.nodes, node("Reshape", ["z", "list"], ["scores"]), node("Neg", ["before"], ["after"])]
        constants = {**self.constants, "list": np.array([1, -1], np.int64)}
        inputs, outputs = {"x": self.frame, "before": (1, 2)}, {"scores": (1, "classes"), "after": (1, 2)}
        onnx_lab.save(path, nodes, inputs, outputs, constants, opset=self.opset)
        if functions:
            model = onnx.load(str(path))
            model.functions.extend(functions)
            del model.opset_import[:]
            model.opset_import.extend(opsets)
            onnx.save(model, str(path))
        return path

    def step(self, path: Path) -> Any:
        """The judge."""
        if self.right is None:
            return onnx_lab.runtime_step_of(path)
        return lambda x, a: [np.asarray(self.right(x)).reshape(1, -1), -a]


def one(operator: str, *more: str, constants: dict[str, Any] | None = None, **options: Any) -> Case:
    """A single node of `x` and constants; `options` are attributes, but for those of Case."""
    case = {key: options.pop(key) for key in ("frame", "opset", "right") if key in options}
    return Case((node(operator, ["x", *more], ["z"], "it", **options),), constants or {}, **case)


def resize(*scales: float, frame: tuple[int, ...] = (1, 2, 9, 16), sizes: Any = None, **options: Any) -> Case:
    """Resize by scales, or to sizes."""
    given = {"sizes": np.array(sizes, np.int64)} if sizes else {"scales": np.array(scales, np.float32)}
    names = ["", "", "sizes"] if sizes else ["", "scales"]
    return one("Resize", *names, constants=given, frame=frame, **options)


def floats(**values: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


def integers(**values: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.int64) for name, value in values.items()}
