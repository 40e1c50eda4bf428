"""One peer's steps, run by an AArch64 Python under qemu-user: `arm_precision.py` starts it and counts it.

    python3 _arm_peer_step.py RUNTIME MODEL FRAMES.npy STATES OUT.npy [fp32|fp16|int8]

STATES: how many states a step takes. The first frame warms up; the instructions of the others lie between two system
calls each, which the plugin `count_classes.c` knows. What is counted is the runtime's own call: no frame is prepared
and no state is copied by Python inside it. The scores of all frames are written to OUT.npy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[np.ndarray], np.ndarray]


class Counted:
    """Runs work with the marks around it, but for the first time."""

    def __init__(self) -> None:
        self.warm = False

    def __call__(self, work: Callable[[], Any]) -> Any:
        if self.warm:
            os.getpriority(os.PRIO_PGRP, 0)
        result = work()
        if self.warm:
            os.getpriority(os.PRIO_USER, 0)
        self.warm = True
        return result


counted = Counted()


def ncnn(model: str, states: int, precision: str) -> Step:
    """ncnn with the options of its default (fp16 where the core has it), or all of it off."""
    import ncnn as library

    net = library.Net()
    net.opt.num_threads = 1
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, precision != "fp32")
    for option in ("use_bf16_packed", "use_bf16_storage", "use_vulkan_compute"):
        if hasattr(net.opt, option):
            setattr(net.opt, option, False)
    net.opt.use_int8_inference = precision == "int8"
    if net.load_param(model + ".param") or net.load_model(model + ".bin"):
        raise SystemExit("ncnn does not read the model")
    held: list[Any] = [library.Mat(np.load(f"{model}.state{i}.npy")).clone() for i in range(states)]

    def step(frame: np.ndarray) -> np.ndarray:
        image = library.Mat(frame[0]).clone()

        def work() -> Any:
            extractor = net.create_extractor()
            extractor.input("frame", image)
            for index, state in enumerate(held):
                extractor.input(f"cache{index}", state)
            scores = extractor.extract("logits")[1]
            return scores, [extractor.extract(f"cache{index}_out")[1] for index in range(states)]

        scores, held[:] = counted(work)
        return np.array(scores)

    return step


def onnxruntime(model: str, states: int, precision: str) -> Step:
    """ONNX Runtime with every optimisation."""
    import onnxruntime as library

    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = library.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    held = {value.name: np.zeros(value.shape, np.float32) for value in session.get_inputs()[1:]}

    def step(frame: np.ndarray) -> np.ndarray:
        scores, *after = counted(lambda: session.run(None, {names[0]: frame, **held}))
        held.update(zip(held, after))
        return scores

    return step


def litert(model: str, states: int, precision: str) -> Step:
    """LiteRT with its XNNPACK delegate, which is its default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    for value in inputs:
        scale, zero = value["quantization"]
        interpreter.set_tensor(value["index"], np.full(value["shape"], zero if scale else 0, value["dtype"]))

    def step(frame: np.ndarray) -> np.ndarray:
        image, (scale, zero) = frame.transpose(0, 2, 3, 1), inputs[0]["quantization"]
        if scale:
            image = np.clip(np.round(image / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(inputs[0]["index"], image)
        counted(interpreter.invoke)
        scores, *after = (interpreter.get_tensor(value["index"]) for value in outputs)
        for value, state in zip(inputs[1:], after):
            interpreter.set_tensor(value["index"], state)
        scale, zero = outputs[0]["quantization"]
        return (scores.astype(np.float32) - zero) * scale if scale else scores

    return step


RUNTIMES = {"ncnn": ncnn, "onnxruntime": onnxruntime, "litert": litert}

if __name__ == "__main__":
    runtime, path, frames, count, out, kind = sys.argv[1:7]
    run = RUNTIMES[runtime](path, int(count), kind)
    np.save(out, np.stack([np.ravel(run(frame)) for frame in np.load(frames)]))
