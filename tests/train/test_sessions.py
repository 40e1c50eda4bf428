"""Sessions: what stays from clip to clip of one person, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from tsm_edge.errors import UnknownName
from tsm_edge.synth.people.session import RATE_FPS, SECONDS, Session

SIZE = 48


@pytest.fixture(scope="module")
def sitting() -> Session:
    return Session("people-test", 34, 0)


def test_a_clip_is_two_seconds_about_its_gesture_and_the_same_again(sitting):
    take = sitting.clip("Thumb Up", 0, size=SIZE)
    assert take.frames.shape == (round(SECONDS * RATE_FPS), SIZE, SIZE, 3)
    ((label, begin, end),) = take.cues
    assert label == take.label == "Thumb Up" and 0 <= begin < end <= len(take.frames)
    assert (Session("people-test", 34, 0).clip("Thumb Up", 0, size=SIZE).frames == take.frames).all()
    assert not sitting.clip("No gesture", 0, size=SIZE).cues


def test_the_room_stays_in_a_session_and_changes_between_two(sitting):
    """The border of the picture, where hardly anything moves."""
    first, second = (sitting.clip("Thumb Up", index, size=SIZE).frames for index in (0, 1))
    other = Session("people-test", 34, 1).clip("Thumb Up", 0, size=SIZE).frames

    def apart(one, two) -> float:
        rows = (each.astype(float).mean(0)[: SIZE // 8] for each in (one, two))
        return float(abs(np.subtract(*rows)).mean())

    assert (first != second).any()
    assert 3 * apart(first, second) < apart(first, other)


@pytest.mark.parametrize(("split", "body"), [("people", 34), ("nobody", 0)])
def test_bodies_of_another_family_are_refused(split, body):
    with pytest.raises(UnknownName):
        Session(split, body, 0)
