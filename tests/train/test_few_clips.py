"""New classes on trained weights from few clips: what stays, what is fitted, and what a person teaches in a minute."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from tsm_edge import cli, models
from tsm_edge.errors import UsageError
from tsm_edge.models import TemporalShift
from tsm_edge.models.description import head
from tsm_edge.synth.people.session import RATE_FPS, Session
from tsm_edge.train import few, store
from tsm_edge.train.initial import initialise
from tsm_edge.train.settings import Settings

#: what the person calls it -> what is rendered
TAUGHT = {"nothing": "No gesture", "to my left": "Swiping Left", "to my right": "Swiping Right"}
FAST = ("--threads", 1, "--device", "cpu", "--batch", 8, "--mirrored", "to my left=to my right")


def invoke(*words):
    result = CliRunner().invoke(cli.cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def recorded(folder, sessions, count):
    """A store of ``count`` clips a class, by the people of the sessions in turn."""
    labels = tuple(TAUGHT)
    writer = store.Writer(folder, 0, 110)
    for number in range(count):
        for label, name in enumerate(TAUGHT.values()):
            clip = sessions[number % len(sessions)].clip(name, number)
            writer.add(f"{label}-{number}", label, clip.frames)
    writer.close(labels, RATE_FPS, "rendered by the tests")
    return folder


@pytest.fixture(scope="module")
def one_person(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("taught") / "one", [Session("people", 0, 0)], 6)


@pytest.fixture(scope="module")
def taught(one_person, tmp_path_factory):
    """The folder of a training of two epochs, and what it said."""
    out = tmp_path_factory.mktemp("run")
    words = ("train", "--data", one_person, "--held-out", one_person, "--out", out, "--init", "gestures")
    return out, invoke(*words, *FAST, "--epochs", 2, "--lr", 3e-4).stderr


def test_other_people_are_understood(taught, tmp_path):
    """Six clips a class of one person; four a class of three others, two of them of another family."""
    others = [Session(split, body, 0) for split, body in (("people", 5), ("people-dev", 30), ("people-dev", 32))]
    clips = recorded(tmp_path / "others", others, 4)
    said = invoke("eval", taught[0] / "weights.safetensors", "--data", clips, "--threads", 1, "--json").stdout
    assert json.loads(said)["forms"]["online"]["top1"] >= 0.75


def test_first_layers_and_all_statistics_stay(taught):
    model = models.load("gestures")
    assert f"{few.usual(model)} of {len(model.layers)} layers frozen" in taught[1]
    before, after = load_file(models.shipped_file("gestures")), load_file(taught[0] / "weights.safetensors")
    last = f"{head(model.layers).name}."
    moved = {key for key, value in after.items() if not key.startswith(last) and (value != before[key].float()).any()}
    assert moved and not any("running" in key for key in moved)
    assert {int(key.split(".")[1]) for key in moved} == set(range(few.usual(model), len(model.layers) - 1))


def test_it_is_resumed_with_the_look_and_the_network_that_it_began_with(one_person, taught):
    words = ("train", "--data", one_person, "--held-out", one_person, "--out", taught[0], "--resume")
    said = invoke(*words, *FAST, "--epochs", 2, "--lr", 3e-4).stderr
    assert "going on after epoch 2" in said and "24 of" not in said


def test_the_fit_moves_the_head_and_nothing_else():
    """Clips whose mean colour is their class; a head by chance knows none of them."""
    torch.manual_seed(0)
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=("a", "b", "c"))
    net = models.make_net(model.layers)
    initialise(net, model, TemporalShift())
    before = {key: value.clone() for key, value in net.state_dict().items()}
    labels = torch.arange(24) % 3
    clips = torch.randn(24, 4, 3, 32, 32) * 0.2
    clips[torch.arange(24), :, labels] += 2
    how = Settings(model.name, dict(model.parameters), model.labels)
    few.fit_head(net, model, [(clips[:12], labels[:12]), (clips[12:], labels[12:])], how)
    with torch.no_grad():
        answers = net(clips).mean(1).argmax(1)
    assert (answers == labels).float().mean() > 0.9
    last = f"{head(model.layers).name}."
    moved = {key for key, value in net.state_dict().items() if (value != before[key]).any()}
    assert moved == {last + "weight", last + "bias"}


def test_more_layers_than_there_are_cannot_be_frozen(one_person, tmp_path):
    words = ["train", "--data", one_person, "--out", tmp_path / "run", "--no-flip", "--freeze", 99]
    result = CliRunner().invoke(cli.cli, [str(word) for word in [*words, "--init", "gestures"]])
    assert result.exit_code == UsageError.exit_code and "allowed: 0..19" in result.stderr
    result = CliRunner().invoke(cli.cli, [str(word) for word in words])
    assert result.exit_code == UsageError.exit_code and "--init" in result.stderr
