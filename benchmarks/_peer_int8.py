"""The ONNX file of a network in 8 bits, as ONNX Runtime's own quantiser writes it: QDQ, weights per channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tsm_edge.bench.network import Network


def quantised(path: Path, frames: np.ndarray, network: Network, unsigned: bool = False) -> None:
    """Write it; ranges are smallest and largest over the frames, run as one sequence with its states.

    unsigned: activations are uint8, which x86 multiplies; else int8.
    """
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    session = onnxruntime.InferenceSession(network.onnx, providers=["CPUExecutionProvider"])
    pairs = network.signature.states

    class Sequence(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = list(frames)
            self.states = {pair.input.name: np.zeros(pair.input.shape, np.float32) for pair in pairs}

        def get_next(self) -> dict[str, np.ndarray] | None:
            if not self.left:
                return None
            feed = {network.signature.inputs[0].name: self.left.pop(0), **self.states}
            after = session.run([pair.output_name for pair in pairs], feed)
            self.states = dict(zip(self.states, after))
            return feed

    whole = path.with_suffix(".fp32.onnx")
    whole.write_bytes(network.onnx)
    quantize_static(
        whole,
        path,
        Sequence(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
