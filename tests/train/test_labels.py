"""What a mirror and a reversed clip do to a label."""

from __future__ import annotations

import pytest

from tsm_edge import synth
from tsm_edge.errors import UsageError
from tsm_edge.models import JESTER
from tsm_edge.train import labels


@pytest.mark.parametrize("names", [synth.LABELS, JESTER])
def test_a_mirror_swaps_sides_and_twice_is_once(names):
    to = labels.permutation(names)
    assert [to[to[index]] for index in range(len(names))] == list(range(len(names)))
    moved = {names[index]: names[to[index]] for index in range(len(names)) if to[index] != index}
    assert moved["Swiping Left"] == "Swiping Right"
    assert moved["Turning Hand Clockwise"] == "Turning Hand Counterclockwise"
    assert not {"Swiping Up", "Zooming In With Full Hand", "No gesture", "Shaking Hand"} & set(moved)


def test_backwards():
    to = labels.reversal(synth.LABELS)
    moved = {synth.LABELS[index]: synth.LABELS[to[index]] for index in range(len(to)) if to[index] != index}
    assert moved["Zooming In With Full Hand"] == "Zooming Out With Full Hand"
    assert moved["Swiping Up"] == "Swiping Down"
    assert len(moved) == 8
    assert labels.reversal(["wave", "No gesture", "Swiping Left"]) == [
        -1,
        1,
        -1,
    ]  # unknown, steady, without partner


def test_pairs_of_ones_own():
    names = ["point left", "point right", "wave"]
    assert labels.permutation(names, labels.read_pairs(" point left = point right")) == [1, 0, 2]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["point left", "point right"], ""),  # a direction, and nobody says what becomes of it
        (["turn anticlockwise", "wave"], ""),
        (["Swiping Left", "wave"], ""),  # its mirror image is no class
        (["wave", "nod"], "wave=bow"),
    ],
)
def test_a_flip_that_nobody_explained_is_refused(names, pairs):
    with pytest.raises(UsageError):
        labels.permutation(names, labels.read_pairs(pairs))


def test_labels_without_direction_stay():
    assert labels.permutation(["wave", "upright", "leftover"]) == [0, 1, 2]


def test_a_pair_that_cannot_be_read():
    with pytest.raises(UsageError, match="pair"):
        labels.read_pairs("left")
