"""Frames with NaN or an infinity through whole bundles, beside the network that they were compiled from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tsm_edge.bundle.manifest import Manifest
from tsm_edge.compile.verification import verify
from tsm_edge.compile.verification.reference import Step
from tsm_edge.runtime import native


def check(folder: Path, manifest: Manifest, step: Step, exact: float = 2e-4) -> None:
    """A clean frame, one with a number that is not finite, a clean one: NaN where the network has it, close elsewhere.

    exact: the largest difference, relative to the largest number. In the network of these tests every output sees every
    input, and no sum meets both infinities.
    """
    signature = manifest.signature
    command, _ = native.runner(folder, manifest)
    for poison in (np.nan, np.inf, -np.inf):
        rng = np.random.default_rng(3)
        frames = [rng.standard_normal(signature.inputs[0].shape).astype(np.float32) for _ in range(3)]
        frames[1][0, 1, 20, 30] = poison
        rows = verify.run(command, ("--tensor",), frames, manifest)
        states = [np.zeros(pair.input.shape, np.float32) for pair in signature.states]
        for index, (frame, row) in enumerate(zip(frames, rows, strict=True)):
            scores, states = step(frame, states)
            wanted = np.concatenate([scores.ravel(), *(state.ravel() for state in states)])
            what = f"{poison} in frame 1, after frame {index}"
            np.testing.assert_array_equal(np.isnan(row), np.isnan(wanted), err_msg=what)
            close = exact * np.nanmax(np.abs(wanted), initial=1)
            np.testing.assert_allclose(row, wanted, rtol=0, atol=close, err_msg=what)
            classes = signature.outputs[0].size
            assert np.isnan(row[:classes]).all() == (np.isnan(poison) and index > 0)
