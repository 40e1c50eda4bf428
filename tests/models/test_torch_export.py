"""torch.export takes the step of every model and computes the same."""

from __future__ import annotations

import pytest

from tsm_edge.models import step_module

torch = pytest.importorskip("torch")


def test_exported_step_equals_eager(built, name):
    model, net = built(name)
    step = step_module(net)
    examples = (torch.zeros(1, 3, 64, 64), *model.zero_states())
    with torch.no_grad():
        program = torch.export.export(step, examples).module()
        ours = theirs = model.zero_states()
        for frame in torch.randn(3, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0)):
            wanted, *ours = step(frame, *ours)
            got, *theirs = program(frame, *theirs)
            assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()
            assert len(theirs) == len(model.signature.states)
            assert all((a - b).abs().max() <= 1e-5 * b.abs().max() for a, b in zip(theirs, ours))


def test_exported_step_writes_in_place_nowhere(built, name):
    """An assignment into a slice is traced as a constant by exporters and breaks the shift without a word."""
    model, net = built(name)
    program = torch.export.export(step_module(net), (torch.zeros(1, 3, 64, 64), *model.zero_states()))
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert any("cat" in target for target in targets)
    assert not [t for t in targets if "copy_" in t or "slice_scatter" in t or "index_put" in t]
