"""Accuracies from scores, and the same scores whichever way a clip is run."""

from __future__ import annotations

import numpy as np
import pytest

from tsm_edge import frames, models
from tsm_edge.models import TemporalShift
from tsm_edge.train import measure, picture
from tsm_edge.train.store import open_store

LABELS = ("a", "b", "c")


def one_hot(*answers: int) -> np.ndarray:
    return np.eye(3)[list(answers)]


@pytest.fixture
def found() -> measure.Measured:
    scores = [one_hot(0, 0, 0, 0), one_hot(2, 1, 1, 1), one_hot(2, 1), one_hot(1, 1, 1, 0, 0)]
    return measure.Measured(scores, np.array([0, 1, 1, 1]), LABELS)


def test_a_frame_counts_as_much_as_the_frames_it_has_seen(found):
    assert measure.consensus(4).tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert found.answers().argmax(1).tolist() == [0, 1, 1, 0]
    assert found.top1 == 0.75
    assert found.confusion.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert found.recalls == {"a": 1.0, "b": pytest.approx(2 / 3)}  # c has no clips


def test_the_last_frame_stands_until_there_is_an_answer():
    """A lagged stream is late by so many frames; a window waits until it is full."""
    clip = np.arange(5)[:, None]
    assert measure.standing(clip, 2)[:, 0].tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert measure.standing(clip, 7, 8)[:, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert measure.standing(clip, 3, 4) is clip


def test_early_answers_use_the_beginning_of_each_clip(found):
    assert found.early(0.1) == 0.5  # one frame each: 0, 2, 2, 1
    assert found.early(0.5) == 0.75  # 2, 2, 1 and 3 frames: 0, 1, 2, 1
    assert found.curve[-1] == (1.0, found.top1) and len(found.curve) == 10


def test_top5_is_wider(found):
    many = measure.Measured([np.arange(7.0)[None]] * 7, np.arange(7), tuple("abcdefg"))
    assert (many.top1, many.top5) == (pytest.approx(1 / 7), pytest.approx(5 / 7))


@pytest.mark.parametrize("sides", [(40, 37), (56, 32), (30, 64), (48, 48)])
def test_clips_are_scaled_as_single_frames_are(sides):
    clip = np.random.default_rng(0).integers(0, 256, (3, sides[0], sides[0], 3), dtype=np.uint8)
    expected = np.stack([frames.resize(frame, sides[1], sides[1]) for frame in clip])
    assert (measure.resized(clip, sides[1]) == expected).all()


def test_a_prepared_clip_is_what_a_step_would_see(small_store):
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    store = open_store(small_store)
    seen = measure.prepared(store, model.preprocess, measure.Look())
    expected = np.stack(
        [frames.preprocess(frame, model.preprocess, format="rgb")[0] for frame in store.clip(5)]
    )
    assert np.abs(measure.normalised(seen[5][None], model.preprocess)[0].numpy() - expected).max() < 1e-6


def test_clip_form_and_steps_agree_also_on_clips_of_different_lengths(small_store):
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    net = model.build(3)
    seen = measure.prepared(open_store(small_store), model.preprocess, measure.Look())[:11]
    seen[4] = seen[4][:7]
    whole, steps = measure.clip_scores(net, model, seen, TemporalShift()), measure.step_scores(net, model, seen)
    assert [row.shape for row in steps] == [(len(clip), 3) for clip in seen]
    for a, b in zip(whole, steps):
        assert np.abs(a - b).max() < 1e-3


def test_a_look_picks_frames(small_store):
    clip = open_store(small_store).clip(0)
    assert len(measure.Look().at(clip)) == 12
    assert (measure.Look(4, "segments").at(clip) == clip[[1, 4, 7, 10]]).all()


def test_pictures_can_be_drawn(found):
    table = picture.confusion(found.confusion, LABELS)
    curve = picture.lines("title", "x", [1, 2, 3], {"one": [0, 1, 2], "two": [3, 2, 1]})
    both = picture.below([table, curve])
    assert both.shape == (table.shape[0] + curve.shape[0], max(table.shape[1], curve.shape[1]), 3)
    assert (both < 128).any()
    record = {"epoch": 1, "loss": 1.0, "train_top1": 0.1, "top1": 0.2, "half_top1": 0.1, "worst_recall": 0.0}
    assert picture.training([record]).shape[2] == 3
