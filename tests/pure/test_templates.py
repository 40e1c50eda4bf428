"""The files that CONTRIBUTING.md gives to copy are read and run like the real ones; the schedule's in tests/compile."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tsm_edge import errors, models, target


def imported(repository, monkeypatch, file, name):
    """A template as the module that its copy is."""
    spec = importlib.util.spec_from_file_location(name, repository / "docs" / "templates" / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_template_of_a_refusal_says_what_found_allowed_and_what_to_do(repository, monkeypatch):
    template = imported(repository, monkeypatch, "refusal", "tsm_edge.depth")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.EdgeError)]
    assert template.DepthError.identifier not in {kind.identifier for kind in kinds}
    template.check_depth("small", template.MOST_LAYERS)
    with pytest.raises(template.DepthError) as caught:
        template.check_depth("huge", template.MOST_LAYERS + 1)
    error = caught.value
    assert error.report().startswith("error[depth]: 'huge' has too many layers.")
    assert (error.found, error.allowed, error.exit_code) == (1001, "1 to 1000", 2)
    assert error.hint and error.cure


def test_the_template_of_a_target_is_a_target(repository):
    text = (repository / "docs" / "templates" / "target.toml").read_text(encoding="utf-8")
    read = target.parse("example", text)
    assert read.family == "cpu" and read.emulator is not None


def test_the_template_of_a_model_steps_as_it_sees_a_clip(repository, monkeypatch):
    torch = pytest.importorskip("torch")
    imported(repository, monkeypatch, "tsm_example", "tsm_edge.models.tsm_example")
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
