"""The files that CONTRIBUTING.md gives to copy are read and run like the real ones; the schedule's in tests/compile."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tsm_edge import models, target


def test_the_template_of_a_target_is_a_target(repository):
    text = (repository / "docs" / "templates" / "target.toml").read_text(encoding="utf-8")
    read = target.parse("example", text)
    assert read.family == "cpu" and read.emulator is not None


def test_the_template_of_a_model_steps_as_it_sees_a_clip(repository, monkeypatch):
    torch = pytest.importorskip("torch")
    path = repository / "docs" / "templates" / "tsm_example.py"
    spec = importlib.util.spec_from_file_location("tsm_edge.models.tsm_example", path)
    template = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, template)
    spec.loader.exec_module(template)
    monkeypatch.setattr(models, "names", lambda: ["tsm-example"])
    model = models.load("tsm-example", size=32, classes=5)
    net, clip = model.build(), torch.rand(1, 3, 3, 32, 32)
    states = model.zero_states()
    assert len(states) == 4
    with torch.no_grad():
        whole = net(clip)
        for at in range(3):
            scores, states = net.step(clip[:, at], states)
            torch.testing.assert_close(scores, whole[:, at], rtol=1e-4, atol=1e-4)
