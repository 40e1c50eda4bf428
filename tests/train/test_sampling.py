"""Frames of a clip, and what augmentation makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from tsm_edge.train import augment, labels, sampling


@pytest.mark.parametrize("way", sampling.WAYS)
@pytest.mark.parametrize("count", [1, 5, 8, 9, 40])
def test_indices_are_in_range_and_never_fall(way, count):
    for random in (None, *map(np.random.default_rng, range(20))):
        picked = sampling.pick(way, count, 8, random)
        assert picked.shape == (8,)
        assert picked.min() >= 0 and picked.max() < count
        assert (np.diff(picked) >= 0).all()


def test_segments_take_the_middle_of_each_part_and_any_of_it_in_training():
    assert sampling.segments(16, 4).tolist() == [2, 6, 10, 14]
    seen = {tuple(sampling.segments(16, 4, np.random.default_rng(seed)) // 4) for seed in range(50)}
    assert seen == {(0, 1, 2, 3)}


def test_dense_takes_neighbours():
    assert sampling.dense(12, 8).tolist() == list(range(2, 10))
    assert sampling.dense(3, 5).tolist() == [0, 1, 2, 2, 2]
    starts = {int(sampling.dense(12, 8, np.random.default_rng(seed))[0]) for seed in range(80)}
    assert starts == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("count", [3, 24, 60])
def test_hurried_clips_are_faster_or_slower_and_stay_within_the_clip(count):
    found = [sampling.hurried(count, 24, np.random.default_rng(seed)) for seed in range(200)]
    for picked in found:
        assert picked.shape == (24,) and (np.diff(picked) >= 0).all()
        assert picked.min() >= 0 and picked.max() < count
    assert set(np.concatenate(found)) == set(range(count))
    if count == 60:  # neither end is met in most of them
        speeds = [(picked[-1] - picked[0]) / 23 for picked in found if picked[0] > 0 and picked[-1] < 59]
        assert 0.7 < min(speeds) < 0.8 and 1.25 < max(speeds) < 1.4


NAMES = ["Swiping Left", "Swiping Right", "wave"]


def ramp() -> np.ndarray:
    """A clip whose brightness grows to the right and with time: it shows every flip."""
    across = np.linspace(20, 120, 40)
    return np.stack([np.tile(across + 10 * t, (40, 1))[..., None].repeat(3, 2) for t in range(8)]).astype(
        np.uint8
    )


def how(**changes) -> augment.Augment:
    settings = {"size": 32, "frames": 8, "way": "dense", "mirrored": (), "reversed_": (), "strength": 0.0}
    return augment.Augment(**{**settings, **changes})


def test_a_mirrored_clip_has_the_mirrored_label():
    draw = how(mirrored=tuple(labels.permutation(NAMES)))
    seen = set()
    for seed in range(30):
        clip, label = draw(ramp(), 0, np.random.default_rng(seed))
        brighter_right = clip[0, :, -1].mean() > clip[0, :, 0].mean()
        assert (label == 0) == brighter_right
        assert draw(ramp(), 2, np.random.default_rng(seed))[1] == 2
        seen.add(label)
    assert seen == {0, 1}


def test_a_reversed_clip_has_the_reversed_label_and_an_unknown_one_is_never_reversed():
    draw = how(reversed_=tuple(labels.reversal(NAMES)))
    seen = set()
    for seed in range(30):
        clip, label = draw(ramp(), 0, np.random.default_rng(seed))
        assert (label == 0) == (clip[-1].mean() > clip[0].mean())
        clip, other = draw(ramp(), 2, np.random.default_rng(seed))
        assert other == 2 and clip[-1].mean() > clip[0].mean()
        seen.add(label)
    assert seen == {0, 1}


def test_every_frame_is_cut_and_coloured_alike():
    still = np.random.default_rng(0).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8).repeat(8, 0)
    for seed in range(10):
        clip, _ = how(strength=1.0)(still, 0, np.random.default_rng(seed))
        assert clip.shape == (8, 32, 32, 3) and clip.dtype == np.uint8
        assert (clip == clip[:1]).all()


def test_an_example_depends_on_its_own_numbers_alone():
    first, again = (how(strength=1.0)(ramp(), 0, np.random.default_rng([1, 2, 3]))[0] for _ in range(2))
    assert (first == again).all()
    assert (first != how(strength=1.0)(ramp(), 0, np.random.default_rng([1, 2, 4]))[0]).any()


def test_a_clip_of_few_is_played_at_other_speeds_and_keeps_its_label():
    draw, spans = how(hurried=True), set()
    for seed in range(30):
        clip, label = draw(ramp(), 2, np.random.default_rng(seed))
        assert label == 2
        spans.add(round(float(clip[-1].mean() - clip[0].mean())))
    assert min(spans) < 60 < max(spans), "slower, and as fast as the clip"
