"""The files that CONTRIBUTING.md gives to copy are read and run like the real ones; the schedule's in tests/compile."""

from __future__ import annotations

import runpy

import pytest

from tsm_edge import target
from tsm_edge.models._model import make_model


def test_the_template_of_a_target_is_a_target(repository):
    text = (repository / "docs" / "templates" / "target.toml").read_text(encoding="utf-8")
    read = target.parse("example", text)
    assert read.family == "cpu" and read.emulator is not None


def test_the_template_of_a_model_steps_as_it_sees_a_clip(repository):
    torch = pytest.importorskip("torch")
    recipe = runpy.run_path(str(repository / "docs" / "templates" / "tsm_example.py"))["MODEL"]
    model = make_model("tsm-example", recipe, width=None, size=32, classes=5, labels=None)
    net, clip = model.build(), torch.rand(1, 3, 3, 32, 32)
    states = model.zero_states()
    assert len(states) == 4
    with torch.no_grad():
        whole = net(clip)
        for at in range(3):
            scores, states = net.step(clip[:, at], states)
            torch.testing.assert_close(scores, whole[:, at], rtol=1e-4, atol=1e-4)
