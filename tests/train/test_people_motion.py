"""How three-dimensional people move: arms reach, and gestures go the way that their labels say."""

import numpy as np
import pytest

from tsm_edge.errors import UnknownName
from tsm_edge.synth.motion import LABELS
from tsm_edge.synth.people import arms, fingers
from tsm_edge.synth.people.performance import LABELS as PERFORMED
from tsm_edge.synth.people.performance import perform
from tsm_edge.synth.people.poses import Ease
from tsm_edge.synth.people.skeleton import Skeleton

#: bone, parent, and the joint's place at rest: the left half and the middle of an average grown-up
BONES = """
root - 0.0000 0.1676 0.0120
pelvis.L root 0.0000 0.1676 0.0120
upperleg01.L pelvis.L 0.1146 0.1584 0.0039
upperleg02.L upperleg01.L 0.1143 0.0578 0.0316
lowerleg01.L upperleg02.L 0.1520 -0.2862 0.0386
spine05 root 0.0000 0.1676 0.0120
spine04 spine05 -0.0000 0.2530 -0.0277
spine03 spine04 0.0000 0.3283 -0.0120
spine02 spine03 -0.0000 0.4148 -0.0107
spine01 spine02 -0.0000 0.5598 -0.0237
clavicle.L spine01 0.0247 0.6754 0.0251
shoulder01.L clavicle.L 0.1106 0.6937 0.0280
upperarm01.L shoulder01.L 0.1869 0.6518 0.0210
upperarm02.L upperarm01.L 0.2433 0.5848 0.0236
lowerarm01.L upperarm02.L 0.3775 0.4371 0.0282
lowerarm02.L lowerarm01.L 0.4416 0.3704 0.1141
wrist.L lowerarm02.L 0.5096 0.3024 0.2042
finger1-1.L wrist.L 0.5103 0.2934 0.2536
finger1-2.L finger1-1.L 0.4875 0.2839 0.2773
finger1-3.L finger1-2.L 0.4738 0.2684 0.3123
metacarpal1.L wrist.L 0.5211 0.2841 0.2339
finger2-1.L metacarpal1.L 0.5400 0.2570 0.3104
finger2-2.L finger2-1.L 0.5438 0.2404 0.3337
finger2-3.L finger2-2.L 0.5432 0.2224 0.3522
metacarpal2.L wrist.L 0.5211 0.2841 0.2339
finger3-1.L metacarpal2.L 0.5576 0.2442 0.2906
finger3-2.L finger3-1.L 0.5661 0.2158 0.3138
finger3-3.L finger3-2.L 0.5692 0.1921 0.3330
metacarpal3.L wrist.L 0.5341 0.2670 0.2224
finger4-1.L metacarpal3.L 0.5662 0.2357 0.2715
finger4-2.L finger4-1.L 0.5769 0.2088 0.2875
finger4-3.L finger4-2.L 0.5818 0.1855 0.3018
metacarpal4.L wrist.L 0.5341 0.2670 0.2224
finger5-1.L metacarpal4.L 0.5683 0.2262 0.2499
finger5-2.L finger5-1.L 0.5750 0.2049 0.2586
finger5-3.L finger5-2.L 0.5770 0.1890 0.2651
neck01 spine01 0.0000 0.7535 0.0070
neck02 neck01 0.0002 0.7849 0.0182
neck03 neck02 0.0010 0.8250 0.0312
head neck03 -0.0000 0.8624 0.0451
eye.L head 0.0313 0.9037 0.1291
"""
TIMES = np.arange(72) / 24


def make_skeleton():
    rows = {}
    for line in BONES.split("\n"):
        if line:
            name, parent, *place = line.split()
            place = np.array(place, float)
            rows[name] = (parent, place)
            if name.endswith(".L"):
                rows[name[:-1] + "R"] = (
                    parent[:-1] + "R" if parent.endswith(".L") else parent,
                    place * [-1, 1, 1],
                )
    order = list(rows)
    parents = [order.index(parent) if parent != "-" else -1 for parent, _ in rows.values()]
    return Skeleton(tuple(order), np.array(parents), np.array([place for _, place in rows.values()]))


SKELETON = make_skeleton()


def joint(posed, name):
    at = SKELETON.index[name]
    return posed[:, at, :, :3] @ SKELETON.heads[at] + posed[:, at, :, 3]


def pose(rotations, frames):
    return SKELETON.posed(rotations, np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3)))


def played(label, seed, family="train"):
    """The gesture's frames: posed bones [T, B, 3, 4] and the side of the hand that makes it."""
    take = perform(np.random.default_rng(seed), SKELETON, label, TIMES, family)
    posed = SKELETON.posed(take.rotations, take.root_rotation, take.root_shift)
    (cue,) = take.cues
    inside = (cue.start_s - 0.02 <= TIMES) & (cue.end_s + 0.02 >= TIMES)
    return posed[inside], take.hands[0]


def relative(posed, side, name):
    """A joint's place relative to the chest's, metres."""
    return joint(posed, f"{name}.{side}") - joint(posed, "spine01")


def palm(posed, side):
    at = SKELETON.index[f"wrist.{side}"]
    return posed[:, at, :, :3] @ arms.arm_of(SKELETON, side).palm


def lean(posed, side):
    """Where the fingers point: x of the way from the wrist to the middle finger's tip."""
    return (fingers.tips(SKELETON, side, posed)[:, 2] - joint(posed, f"wrist.{side}"))[:, 0]


@pytest.mark.parametrize("side", ["L", "R"])
def test_the_wrist_is_where_it_was_wanted_and_the_elbow_bends_the_right_way(side):
    random, count = np.random.default_rng(5), 200
    wanted = random.uniform((-0.4, -0.8, 0.2), (0.5, 0.6, 0.6), (count, 3))
    wanted = wanted[np.abs(np.linalg.norm(wanted, axis=1) - 0.65) < 0.25]
    angles = np.radians(random.uniform(-40, 90, (len(wanted), 4)))
    swivel = np.radians(random.uniform(0, 70, len(wanted)))
    posed = pose(arms.solve(SKELETON, side, wanted, angles, swivel), len(wanted))
    arm = arms.arm_of(SKELETON, side)
    shoulder, elbow, wrist = (
        joint(posed, f"{name}.{side}") for name in ("upperarm01", "lowerarm01", "wrist")
    )
    assert np.abs(wrist - arm.place(wanted)).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(elbow - shoulder, axis=1), np.linalg.norm(arm.upper), rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(wrist - elbow, axis=1), np.linalg.norm(arm.fore), rtol=1e-9)
    # in the forearm's own axes the upper arm is where it is at rest, but for the bend about the hinge
    low = posed[:, SKELETON.index[f"upperarm02.{side}"], :, :3]
    hinge = low @ arm.hinge
    bend = np.sum(np.cross(elbow - shoulder, wrist - elbow) * hinge, axis=1)
    assert (bend > 0).all()


def test_a_place_out_of_reach_leaves_the_elbow_a_little_bent():
    far = np.array([[0.3, 0.2, 3.0], [2.0, 0, 0.5], [0, -3, 0.1]])
    posed = pose(arms.solve(SKELETON, "L", far, np.zeros((3, 4)), np.zeros(3)), 3)
    upper = joint(posed, "lowerarm01.L") - joint(posed, "upperarm01.L")
    fore = joint(posed, "wrist.L") - joint(posed, "lowerarm01.L")
    cosine = np.sum(arms.unit(upper) * arms.unit(fore), axis=1)
    assert (np.degrees(np.arccos(cosine)) > 5).all()


def test_fingers_bend_into_the_palm_and_spread_apart():
    for side in "LR":
        flat, loose, open_ = (
            fingers.tips(
                SKELETON, side, pose(fingers.rotations(SKELETON, side, fingers.SHAPES[name][None]), 1)
            )[0]
            for name in ("flat", "relaxed", "open")
        )
        normal = arms.arm_of(SKELETON, side).palm
        assert ((loose[1:] - flat[1:]) @ normal > 0.02).all()
        assert np.linalg.norm(open_[1] - open_[4]) > 1.4 * np.linalg.norm(flat[1] - flat[4])


@pytest.mark.parametrize("family", ["train", "dev", "test"])
def test_swipes_go_where_they_say(family):
    for label, axis, sense in (
        ("Swiping Left", 0, 1), ("Swiping Right", 0, -1), ("Swiping Up", 1, 1), ("Swiping Down", 1, -1)
    ):  # fmt: skip
        sides = set()
        for seed in range(12):
            posed, side = played(label, seed, family)
            sides.add(side)
            way = relative(posed, side, "finger3-1")
            assert sense * (way[-1] - way[0])[axis] > 0.08, (label, seed, side)
        assert sides == {"L", "R"}


def test_a_turn_shows_the_palm_or_the_back_and_swings_the_fingers():
    for label, sense in (("Turning Hand Clockwise", 1), ("Turning Hand Counterclockwise", -1)):
        sides = set()
        for seed in range(16):
            posed, side = played(label, seed)
            sides.add(side)
            looks, points = palm(posed, side)[:, 2], lean(posed, side)
            # clockwise: a right hand shows its back and then its palm, the fingers go to smaller x
            turned = sense * (1 if side == "R" else -1)
            assert turned * (looks[-1] - looks[0]) > 0.8, (label, seed, side)
            assert sense * (points[0] - points[-1]) > 0.0, (label, seed, side)
        assert sides == {"L", "R"}


def test_zooming_spreads_or_closes_the_fingertips_while_the_arm_is_nearly_still():
    for label, sense in (("Zooming In With Full Hand", 1), ("Zooming Out With Full Hand", -1)):
        for seed in range(10):
            posed, side = played(label, seed)
            tips = fingers.tips(SKELETON, side, posed)
            wide = np.linalg.norm(tips - tips.mean(axis=1, keepdims=True), axis=2).mean(axis=1)
            assert sense * (wide[-1] - wide[0]) > 0.02, (label, seed)


def test_a_shaken_hand_goes_to_and_fro_and_ends_where_it_began():
    for seed in range(8):
        posed, side = played("Shaking Hand", seed)
        x = fingers.tips(SKELETON, side, posed)[:, 2, 0] - joint(posed, "spine01")[:, 0]
        turns = np.diff(np.sign(np.diff(x)))
        assert (np.abs(turns) > 1).sum() >= 2


def test_a_take_holds_its_gesture_whole_and_is_the_same_every_time():
    assert set(PERFORMED) == set(LABELS)
    for seed, label in enumerate(LABELS):
        first, second = (
            perform(np.random.default_rng(seed), SKELETON, label, TIMES, "dev") for _ in range(2)
        )
        assert first.cues == second.cues
        assert {cue.label for cue in first.cues} == (
            {label} if "ing " in label and "other" not in label else set()
        )
        assert all(0 <= cue.start_s < cue.end_s <= TIMES[-1] for cue in first.cues)
        for bone, turns in first.rotations.items():
            assert np.array_equal(turns, second.rotations[bone])
            assert np.abs(turns @ np.swapaxes(turns, 1, 2) - np.eye(3)).max() < 1e-9
            assert turns.shape == (len(TIMES), 3, 3)


def test_motion_is_smooth_and_does_not_depend_on_the_steps():
    for seed, label in enumerate(LABELS):
        fine = perform(np.random.default_rng(seed), SKELETON, label, np.linspace(0, 3, 361))
        coarse = perform(np.random.default_rng(seed), SKELETON, label, np.linspace(0, 3, 37))
        for bone, turns in fine.rotations.items():
            np.testing.assert_allclose(
                turns[::10], coarse.rotations[bone], atol=1e-6, err_msg=f"{label} {bone}"
            )
            steps = np.trace(np.swapaxes(turns[:-1], 1, 2) @ turns[1:], axis1=1, axis2=2)
            assert np.degrees(np.arccos(np.clip((steps - 1) / 2, -1, 1))).max() < 25, (label, bone)


def test_every_curve_goes_from_nothing_to_all():
    share = np.linspace(0, 1, 50)
    for kind in ("jerk", "sigmoid", "trapezoid"):
        done = Ease(kind, 1.2, 0.4)(share)
        assert done[0] == pytest.approx(0, abs=1e-9) and done[-1] == pytest.approx(1)
        assert (np.diff(done) >= 0).all()


def test_an_unknown_label_is_refused():
    with pytest.raises(UnknownName):
        perform(np.random.default_rng(0), SKELETON, "Waving", TIMES)
