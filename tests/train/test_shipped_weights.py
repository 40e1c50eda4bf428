"""The weights that come with the package, on clips of the family they were never trained on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import cli, models, synth
from tsm_edge.train import store
from tsm_edge.weights import shipped

NAME = "gestures"


def evaluated(*words):
    arguments = ["eval", shipped.path_of(NAME), *words, "--threads", "1", "--json"]
    result = CliRunner().invoke(cli.cli, [str(word) for word in arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def forms(*words):
    return evaluated(*words)["forms"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """20 clips of each class, drawn with a seed that no training saw."""
    folder = tmp_path_factory.mktemp("clips")
    words = ["synth", "--out", str(folder), "--split", "test", "--clips", str(20 * 11), "--seed", "4242"]
    assert CliRunner().invoke(cli.cli, words).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Ten takes of each class: persons, rooms and movements that no training saw, and not the card's seed."""
    folder = tmp_path_factory.mktemp("people")
    words = ["synth", "--out", str(folder), "--split", "people-test", "--clips", str(10 * 11), "--seed", "4242"]
    assert CliRunner().invoke(cli.cli, [*words, "--jobs", "2"]).exit_code == 0
    return folder


def test_they_are_small_and_say_what_they_are():
    assert shipped.path_of(NAME).stat().st_size < 4 * 2**20
    model = models.load(NAME)
    assert model.labels == synth.LABELS
    assert shipped.meta_of(NAME).note


def test_they_recognise_clips_of_another_family(clips):
    found = forms("--data", clips)
    assert found["online"]["top1"] >= 0.75
    assert min(found["online"]["recall"].values()) >= 0.25
    assert found["online"]["confusion"] == found["clip"]["confusion"]


def test_without_time_they_know_little(clips):
    """The same weights with the shift taken out: what a frame alone tells."""
    assert forms("--data", clips, "--tsn")["clip"]["top1"] < 0.5


def test_played_backwards_each_gesture_is_its_opposite(clips, tmp_path):
    opposite = {"Left": "Right", "Up": "Down", "In": "Out", "Clockwise": "Counterclockwise"}
    opposite |= {value: key for key, value in opposite.items()}
    names = [" ".join(opposite.get(word, word) for word in label.split()) for label in synth.LABELS]
    whole = store.open_store(clips)
    chosen = [at for at, entry in enumerate(whole.entries) if names[entry.label] != synth.LABELS[entry.label]]
    writer = store.Writer(tmp_path / "back", 12 * len(chosen), whole.side)
    for at in chosen:
        entry = whole.entries[at]
        label = synth.LABELS.index(names[entry.label])
        writer.add(entry.name, label, np.ascontiguousarray(whole.clip(at)[::-1]))
    writer.close(synth.LABELS, whole.rate_fps, "reversed")
    assert forms("--data", tmp_path / "back")["online"]["top1"] >= 0.75


def test_they_recognise_and_announce_people(people):
    found = evaluated("--data", people)
    assert found["forms"]["online"]["top1"] >= 0.75
    assert found["takes"]["announced"] >= 0.4
    assert found["takes"]["announced_as_another"] <= 0.08
    assert found["takes"]["median_delay_s"] <= 0.75


def test_without_time_they_know_little_of_people(people):
    assert forms("--data", people, "--tsn")["clip"]["top1"] < 0.35
