"""Whole OpenCL bundles on this machine's OpenCL device, which in CI is PoCL: compiled, then run over a sequence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from tsm_edge import bundle, models, target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import reference, verify
from tsm_edge.compile.verification.verify import Outcome

STREAMS = """
import json, sys
import numpy, tsm_edge
from tsm_edge.signature import Signature

rng = numpy.random.default_rng(1)
with tsm_edge.open(sys.argv[1]) as model:
    shape = model.signature.inputs[0].shape
    clips = rng.standard_normal((2, 5, *shape)).astype(numpy.float32)
    alone = []
    for clip in clips:
        with model.stream() as stream:
            alone.append([stream.step_tensor(frame) for frame in clip])
    streams = [model.stream(), model.stream()]
    together = [[s.step_tensor(frame) for s, frame in zip(streams, frames)] for frames in zip(*clips)]
    states = [stream.states() for stream in streams]
    streams[0].reset()
    zeros = all(not value.any() for value in streams[0].states().values())
    again = [streams[0].step_tensor(frame) for frame in clips[0]]
    third = model.stream()
    third.set_states(states[1])
    moved = [s.step_tensor(clips[0][0]) for s in (third, streams[1])]
    third.reset()
    clips[1][0][0, 0, 5, 5] = numpy.nan
    spoilt = [third.step_tensor(frame) for frame in (clips[1][0], clips[0][0])]
    third.reset()
    clean = third.step_tensor(clips[0][0])
    raw, forms = streams[0].raw_states(), model.state_forms()
    floats = streams[0].states()
    third.reset()
    third.set_raw_states(raw)
    resumed = [s.step_tensor(clips[0][1]) for s in (third, streams[0])]
    streams[1].profile()
    streams[1].step_tensor(clips[0][0])
    print(json.dumps({
        "device": model.device,
        "streams": numpy.array_equal(numpy.array(together).swapaxes(0, 1), alone),
        "reset": bool(zeros) and numpy.array_equal(again, alone[0]),
        "moved": numpy.array_equal(*moved),
        "stored": sorted({str(form.dtype) for form in forms}),
        "alike": all(numpy.array_equal(raw[name].astype(numpy.float32), floats[name]) for name in raw),
        "resumed": numpy.array_equal(*resumed),
        "nan": bool(numpy.isnan(spoilt).all()) and numpy.array_equal(clean, alone[0][0]),
        "differ": not numpy.array_equal(alone[0], alone[1]),
        "ops": len(streams[1].timings()),
        "timed": sum(timing.ns > 0 for timing in streams[1].timings()),
    }))
"""


@dataclass(frozen=True)
class Proof:
    """What one bundle did: compared with PyTorch, and with itself in several streams."""

    outcome: Outcome
    streams: dict[str, object]
    launches: int


def prove(name: str, parameters: dict[str, object], precision: str, folder: Path, frames: int) -> Proof:
    """Compile a model of the zoo for OpenCL and run it. Meant for a process of its own.

    PoCL compiles every kernel in the first step, and once more when it is asked for a binary: its own cache serves the
    second program here, and ours is kept from being written.
    """
    import torch

    torch.set_num_threads(1)
    network = networks.zoo(models.load(name, **parameters))
    path = pipeline.compile(network, target.load("opencl"), folder / "bundle", precision=precision).folder
    manifest = bundle.verify(path)
    Path(f"{path}.cache").write_text("no folder")
    with patch.dict(os.environ, {"POCL_CACHE_DIR": str(folder / "pocl"), "XDG_CACHE_HOME": "/dev/null"}):
        outcome = verify.compare(path, manifest, reference.step_of(manifest, None), frames)
        program = [sys.executable, "-c", STREAMS, path]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Proof(outcome, json.loads(done.stdout), manifest.plan.steps)


def prove_clip(name: str, precision: str, folder: Path, clips: int) -> tuple[Outcome, int]:
    """Compile a window of three frames for OpenCL and compare it with PyTorch; and how many launches a step has."""
    import torch

    torch.set_num_threads(1)
    model = models.load(name, size=32, classes=3).clips(models.OFFLINE, models.Window(3, 2))
    built = pipeline.compile(networks.zoo(model, seed=1), target.load("opencl"), folder / "bundle", precision=precision)
    with patch.dict(os.environ, {"POCL_CACHE_DIR": str(folder / "pocl"), "XDG_CACHE_HOME": "/dev/null"}):
        outcome = verify.compare(built.folder, built.manifest, reference.step_of(built.manifest, None), clips)
    return outcome, built.planned.plan.launches
