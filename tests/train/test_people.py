"""People in three dimensions: the bodies, the places, and takes as an optical flow sees them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tsm_edge.errors import UnknownName
from tsm_edge.synth.motion import LABELS
from tsm_edge.synth.people import bodies, rooms, scene


def test_bodies_are_whole_and_their_left_is_positive():
    people = bodies.load()
    assert people.faces.max() < len(people.bones) == len(people.weights) == people.places.shape[1]
    assert np.allclose(people.weights.sum(1), 1, atol=1e-6)
    left = [at for at, name in enumerate(people.names) if name.endswith(".L")]
    assert (people.heads[:, [at for at in left if "finger" in people.names[at]], 0] > 0).all()
    for body in (0, 30, 39):  # outwards: a body's volume is positive, some litres
        a, b, c = (people.places[body][people.faces[:, at]] for at in range(3))
        assert 0.02 < np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6 < 0.2


@pytest.mark.parametrize("members", (bodies.MEMBERS, rooms.MEMBERS))
def test_families_share_no_body_and_no_room(members):
    drawn = [each for family in members.values() for each in family]
    assert len(drawn) == len(set(drawn)) == (40 if members is bodies.MEMBERS else 18)


def test_outdoors_the_light_comes_from_above():
    light = rooms.load("city").light(0.3)
    up, down = (light.harmonics[0] + sign * light.harmonics[1] for sign in (1, -1))
    assert (up > down).all()


def test_the_same_arguments_give_the_same_take():
    first, again = (scene.render_take("people", 5, 4, size=48, frames=12) for _ in range(2))
    assert np.array_equal(first.frames, again.frames) and first.cues == again.cues
    assert not np.array_equal(first.frames, scene.render_take("people", 6, 4, size=48, frames=12).frames)
    with pytest.raises(UnknownName, match="people"):
        scene.render_take("peple", 0, 0)


def seen_way(label: str, number: int, share: float) -> np.ndarray:
    """Mean optical flow [x, y] of the fastest ``share`` of the pixels during the gesture of a take, pixels a frame."""
    take = scene.render_take("people-test", 3, len(LABELS) * number + LABELS.index(label), size=96, rate_fps=12)
    ((_, begin, end),) = take.cues
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in take.frames[max(begin - 1, 0) : end + 1]]
    flow = np.stack(
        [cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 3, 15, 3, 5, 1.2, 0) for pair in zip(grey, grey[1:])]
    )
    speed = np.hypot(flow[..., 0], flow[..., 1])
    return np.asarray(flow[speed > np.quantile(speed, 1 - share)].mean(axis=0))


@pytest.mark.parametrize(
    ("label", "axis", "sign"),
    [("Swiping Left", 0, 1), ("Swiping Right", 0, -1), ("Swiping Up", 1, -1), ("Swiping Down", 1, 1)],
)
def test_optical_flow_sees_swipes_go_where_their_names_say(label, axis, sign):
    """The person's left is the picture's right. What moves much during the gesture moves that way in most takes."""
    assert sum(sign * seen_way(label, number, 0.03)[axis] > 0 for number in range(8)) >= 7


@pytest.mark.parametrize(("label", "sign"), [("Turning Hand Clockwise", -1), ("Turning Hand Counterclockwise", 1)])
def test_optical_flow_sees_fingers_swing_where_a_turn_goes(label, sign):
    """Clockwise, as the person sees it, fingers swing from the picture's right to its left; little is as fast."""
    assert sum(sign * seen_way(label, number, 0.01)[0] > 0 for number in range(10)) >= 8
