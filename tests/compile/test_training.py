"""Training in 8 bits: PyTorch rounds as the reference does, the training brings something, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsm_edge import models
from tsm_edge.compile import passes, quantize
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.graph import Graph
from tsm_edge.compile.ir.ops import Role
from tsm_edge.compile.quantize import fake, float_step, integer, scheme
from tsm_edge.compile.training.distil import Student, folding, loss_of
from tsm_edge.compile.verification.reference import moving_frames
from tsm_edge.errors import CompileError
from tsm_edge.weights import checkpoints

FRAMES = 3
MODELS = {
    "mobilenet": models.load("tsm-mobilenetv2", width=0.25, size=32, classes=5),
    "resnet": models.load("tsm-resnet18", size=32, classes=5),
}


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest):
    """A model, its network, the fused graph, a clip and its ranges with equalised channels."""
    model = MODELS[request.param]
    net, _ = checkpoints.prepare(model, None, 0)
    graph = networks.traced(net, model)
    passes.run(graph)
    clip = list(moving_frames(model.signature.inputs[0], FRAMES))
    found = quantize.calibrate(graph, [clip], method="min-max, equalised")
    return model, net, graph, clip, found.ranges


def rounded_in_torch(case) -> fake.FakeQuantised:
    model, net, graph, _, ranges = case
    return Student(model, net, graph, ranges).rounded


def test_without_scales_it_is_the_network_and_the_float_step(case) -> None:
    model, net, graph, clip, _ = case
    exact = fake.FakeQuantised(graph, None, {}, folding(net, model))
    frames = torch.from_numpy(np.concatenate(clip))
    with torch.no_grad():
        torch.testing.assert_close(exact.scores(frames[None]), net(frames[None]), rtol=1e-3, atol=1e-3)
    states = {name: np.zeros(graph.shape(name), np.float32) for name in graph.states}
    for frame, values in zip(clip, exact.frames(frames), strict=True):
        expected = float_step.float_step(graph, frame, states)
        states = float_step.after(graph, expected)
        for name in scheme.stored_values(graph):
            np.testing.assert_allclose(values[name], expected[name], rtol=1e-2, atol=1e-2)


def test_a_layer_rounds_as_the_reference_does(case) -> None:
    """Each layer on the reference's own bytes: the same byte but for a hundredth of the places."""
    _, _, graph, clip, ranges = case
    network, rounded = quantize.quantise(graph, ranges), rounded_in_torch(case)
    states, steps = integer.zero_states(network), []
    for frame in clip:
        steps.append(integer.integer_step(network, frame, states))
        states = integer.next_states(network, steps[-1])
    frames = torch.from_numpy(np.concatenate(clip))
    apart = []
    for node in graph.nodes:
        if node.output not in network.layers:
            continue
        names = [name for name in node.inputs if name in steps[0] and name not in graph.states]
        values = {name: as_real(network, steps, name) for name in names if name != graph.frame}
        values[graph.frame] = rounded.rounded(graph.frame, frames)
        with torch.no_grad():
            found = rounded.rounded(node.output, rounded.value(node, values, FRAMES, False))
        expected = as_real(network, steps, node.output)
        apart.append(((found - expected).abs() / network.scales[node.output].step).flatten())
    every = torch.cat(apart)
    assert float(every.max()) < 4.5, "a weight that is rounded the other way moves a sum by a step or two"
    assert float((every > 0.5).float().mean()) < 0.01


def as_real(network: quantize.QuantisedGraph, steps, name: str) -> torch.Tensor:
    """A value of every frame, dequantised, [T, C, H, W]."""
    images = [network.scales[name].real(values[name]).transpose(2, 0, 1) for values in steps]
    return torch.from_numpy(np.stack(images))


def test_a_warm_start_holds_the_first_frame() -> None:
    x = torch.arange(6.0).reshape(6, 1, 1, 1)
    assert fake.before(x, 3, False).flatten().tolist() == [0, 0, 1, 0, 3, 4]
    assert fake.before(x, 3, True).flatten().tolist() == [0, 0, 1, 3, 3, 4]


def test_a_state_that_is_no_slice_is_refused(case) -> None:
    _, _, graph, _, _ = case
    fake.check(graph)
    node = next(node for node in graph.nodes if Role.STATE in node.roles)
    other = {**graph.state_outputs, node.roles[Role.STATE]: graph.nodes[-1].output}
    wrong = Graph(**{**vars(graph), "state_outputs": other})
    with pytest.raises(CompileError, match="joins a state that is no slice"):
        fake.check(wrong)


def test_the_loss_is_none_where_the_scores_are_equal() -> None:
    scores = torch.randn(2, 3, 5)
    assert float(loss_of(scores, scores)) == pytest.approx(0, abs=1e-6)
    assert float(loss_of(scores, scores + 0.1 * torch.randn(2, 3, 5))) > 0
