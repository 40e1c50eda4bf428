"""Bundles of different models in one process: in a C program by dlopen, and in Python."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

import tsm_edge

HERE = Path(__file__).resolve().parent
#: a plan's crop, its macros, and what its scores grow by in a step on zeros
PLANS = {
    20: ((), (0.0, 1.0, 2.0)),
    12: (("-DTINY_CROP=12", "-DTINY_BEST=1"), (0.0, 2.0, 1.0)),
    16: (("-DTINY_CROP=16",), (0.0, 1.0, 2.0)),
}
STEPS = 50


@pytest.fixture(scope="module")
def bundles(make, plain_program, good) -> dict[int, Path]:
    """Three small bundles, by the side of their input."""

    def a_bundle(crop: int) -> Path:
        signature = {
            "inputs": [{**good["signature"]["inputs"][0], "shape": [1, 3, crop, crop]}],
            "outputs": good["signature"]["outputs"],
            "states": [dict(pair) for pair in good["signature"]["states"]],
        }
        seen = signature["states"][0]
        seen["input"] = {**seen["input"], "shape": [1, 3, crop, crop]}
        preprocess = {**good["preprocess"], "crop": [crop, crop]}
        return make(*PLANS[crop][0], runner=plain_program, signature=signature, preprocess=preprocess)

    return {crop: a_bundle(crop) for crop in PLANS}


@pytest.mark.parametrize("visibility", ["local", "global"])
def test_in_a_c_program(build, bundles, visibility):
    """Also with RTLD_GLOBAL, where the names of the first library come before each other one's own."""
    program = build("two_bundles", [HERE / "two_bundles.c"])
    libraries = [folder / "libtsm.so" for folder in bundles.values()]
    done = subprocess.run([program, visibility, *libraries], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = [
        " ".join(["tiny", str(crop), *(f"{STEPS * growth:g}" for growth in PLANS[crop][1] * 2)]) for crop in bundles
    ]
    assert done.stdout.splitlines() == expected


def test_in_python(bundles):
    """Side by side in threads; closing one leaves the others as they are."""
    models = {crop: tsm_edge.open(folder) for crop, folder in bundles.items()}
    streams = {crop: model.stream() for crop, model in models.items()}
    scores: dict[int, list[float]] = {}

    def run(crop: int, steps: int) -> None:
        frame = np.zeros((1, 3, crop, crop), np.float32)
        for _ in range(steps):
            scores[crop] = streams[crop].step_tensor(frame).tolist()

    threads = [threading.Thread(target=run, args=(crop, STEPS)) for crop in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scores == {crop: [STEPS * growth for growth in PLANS[crop][1]] for crop in bundles}
    models[20].close()
    for crop in (12, 16):
        run(crop, 1)
        assert scores[crop] == [(STEPS + 1) * growth for growth in PLANS[crop][1]]
        models[crop].close()
