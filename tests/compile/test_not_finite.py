"""NaN stays NaN on this machine: through the operators that no schedule takes, and through a whole bundle."""

from __future__ import annotations

from pathlib import Path

import not_finite_lab
import numpy as np
import plan_lab
import torch
from torch import Tensor, nn

import tsm_edge
from tsm_edge import bundle
from tsm_edge.compile.verification import reference


class Limits(nn.Module):
    """Every way in which an operator without a schedule takes a maximum or a minimum; one score each.

    The map is padded first, so that no convolution is there to take a clamp over.
    """

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        x = torch.cat([frame, -frame], 1)
        maps = [
            torch.relu(x),
            torch.clamp(x, -0.5, 0.5),
            torch.clamp(x, max=0.25),
            torch.maximum(x, 0.5 * x + 0.1),
            torch.minimum(0.5 * x, x),
            nn.functional.max_pool2d(x, 3, 1, 1),
            nn.functional.leaky_relu(x, 0.1),
            nn.functional.hardtanh(x),
        ]
        scores = [each.mean((2, 3)) for each in maps]
        return (torch.cat(scores, 1),)


def test_operators_without_a_schedule(tmp_path: Path) -> None:
    shape = (1, 3, 5, 7)
    planned = plan_lab.plan_torch(Limits(), shape, [])
    library = plan_lab.link({"limits": plan_lab.build("limits", planned)}, tmp_path)
    for poison in (1.0, np.nan, np.inf, -np.inf):
        frame = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
        frame[0, 1, 2, 3] = poison
        memory = plan_lab.Memory(planned.planned.plan, planned.planned.weights)
        (got,) = plan_lab.run("limits", planned, library, memory, frame)
        with torch.no_grad():
            wanted = Limits()(torch.from_numpy(frame))[0].numpy()
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-6, err_msg=str(poison))
        assert np.isnan(wanted).any() == np.isnan(poison)


def test_a_frame_of_a_bundle(local_bundle: Path) -> None:
    manifest = bundle.verify(local_bundle)
    not_finite_lab.check(local_bundle, manifest, reference.step_of(manifest, None))


def test_a_state_of_a_bundle(local_bundle: Path) -> None:
    """NaN in a state reaches the scores of the next step, stays, and a reset ends it."""
    with tsm_edge.open(local_bundle) as model:
        stream = model.stream()
        frame = np.ones(model.signature.inputs[0].shape, np.float32)
        clean = stream.step_tensor(frame)
        name, state = next(iter(stream.states().items()))
        state[0, 0, 0, 0] = np.nan
        stream.reset()
        stream.set_states({name: state})
        assert np.isnan(stream.step_tensor(frame)).all() and np.isnan(stream.step_tensor(frame)).all()
        stream.reset()
        np.testing.assert_array_equal(stream.step_tensor(frame), clean)
