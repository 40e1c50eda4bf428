"""Takes: what each frame should answer, how takes are drawn and trained on, and how they are judged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tsm_edge import cli, models
from tsm_edge.decision import DecisionRule
from tsm_edge.smoothing import Smoother
from tsm_edge.train import augment, frame_targets, labels, loss, provenance, sources, store, strong
from tsm_edge.train import takes as judge
from tsm_edge.train.settings import Settings
from tsm_edge.weights.meta import WeightsMeta, read_meta
from tsm_edge.weights.writing import save_weights

NAMES = ("No gesture", "Swiping Left", "Swiping Right")


def how(strength=0.0) -> augment.Augment:
    turned = tuple(labels.permutation(NAMES)), tuple(labels.reversal(NAMES))
    return augment.Augment(32, 8, "dense", *turned, strength, 24)


def test_a_gesture_is_answered_from_its_half_until_soon_after_it():
    targets, weights = frame_targets.of_take(1, [(1, 10, 18)], 36)
    assert targets.tolist() == [-1] * 10 + [1] * 10 + [-2] * 3 + [-1] * 13
    assert weights[10:20].sum() == pytest.approx(1)
    assert (np.diff(weights[10:14]) > 0).all() and np.ptp(weights[13:20]) == 0
    assert (weights[20:23] == 0).all() and weights[0] == weights[30] == pytest.approx(0.4 / 36)


def test_a_quiet_take_answers_its_class_and_a_gesture_may_follow_another():
    targets, weights = frame_targets.of_take(0, (), 12)
    assert (targets == 0).all() and weights.sum() == pytest.approx(1)
    targets, _ = frame_targets.of_take(1, [(1, 2, 6), (2, 7, 10)], 12)
    assert targets.tolist() == [-1, -1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]


def take() -> np.ndarray:
    """A bright column that goes to the right in frames 10 to 18, on a picture that is darker on its left."""
    clip = np.tile(np.linspace(20, 60, 40), (36, 40, 1))[..., None].repeat(3, 3).astype(np.uint8)
    for frame, picture in enumerate(clip):
        at = 4 * min(max(frame - 10, 0), 8)
        picture[:, at : at + 6] = 250
    return clip


def test_a_mirrored_or_reversed_take_has_the_label_of_what_it_shows():
    seen = set()
    for seed in range(40):
        pixels, targets, weights = how().take(take(), 1, ((1, 10, 18),), 36, np.random.default_rng(seed))
        assert pixels.shape == (36, 32, 32, 3) and targets.shape == weights.shape == (36,)
        label = int(targets.max())
        first, last = np.flatnonzero(targets == label)[[0, -1]]
        left = [pixels[at, 16, :, 0].argmax() for at in (first, last)]
        assert (left[1] > left[0]) == (label == 1)
        seen.add((label, int(first)))
    assert seen == {(1, 10), (2, 10), (2, 18), (1, 18)}


@pytest.mark.parametrize("strength", [1.0, 1.5, 2.0])
def test_a_window_of_a_take_depends_on_its_own_numbers_alone(strength):
    drawn = [
        how(strength).take(take(), 1, ((1, 10, 18),), 24, np.random.default_rng(seed)) for seed in (3, 3, 4)
    ]
    for one, again in zip(drawn[0], drawn[1]):
        assert np.array_equal(one, again)
    assert drawn[0][0].shape == (24, 32, 32, 3) and drawn[0][0].dtype == np.uint8
    assert not np.array_equal(drawn[0][0], drawn[2][0])


def test_a_warp_without_a_choice_is_the_picture_itself(monkeypatch):
    monkeypatch.setattr(strong, "_LEAST_PART", 1.0)
    monkeypatch.setattr(strong, "_NARROWEST", 1 - 1e-12)
    monkeypatch.setattr(strong, "_TILT", 0.0)
    assert np.array_equal(strong.warp(take(), 40, np.random.default_rng(0), 2.0), take())


def test_sources_take_turns_in_proportion():
    order = sources.alternate([20, 10], np.random.default_rng(0)).tolist()
    assert sorted(order) == [0] * 20 + [1] * 10
    assert all(2 <= order[at : at + 9].count(1) <= 4 for at in range(22))


def test_any_quiet_class_is_right_where_nobody_means_anything():
    quiet = Settings("m", {}, (*NAMES, "Doing other things"), smoothing=0.0)
    targets, weights = torch.tensor([[-1, 1, -2]]), torch.tensor([[1.0, 1.0, 0.0]])
    for best in (0, 3):
        logits = torch.full((1, 3, 4), -20.0)
        logits[0, 0, best] = logits[0, 1, 1] = logits[0, 2, 2] = 20.0
        assert float(loss.loss_of_takes(logits, targets, weights, quiet)) < 1e-4
        assert loss.right_in_takes(logits, targets, weights, quiet) == 1.0
    logits[0, 0, 2] = 60.0
    assert float(loss.loss_of_takes(logits, targets, weights, quiet)) > 5
    assert loss.right_in_takes(logits, targets, weights, quiet) == 0.5


@pytest.fixture(scope="module")
def takes(tmp_path_factory):
    """18 takes of noise with a moving column, a third of them quiet."""
    folder, random = tmp_path_factory.mktemp("takes") / "store", np.random.default_rng(0)
    with store.Writer(folder, 0, 40) as writer:
        for number in range(18):
            label = number % 3
            clip = take() if label == 1 else np.ascontiguousarray(take()[:, :, ::-1])
            clip = clip if label else clip[:1].repeat(36, 0)
            noisy = np.clip(clip + random.normal(0, 4, clip.shape), 0, 255).astype(np.uint8)
            writer.add(f"{number:03d}", label, noisy, [(label, 10, 18)] if label else [])
        writer.close(NAMES, 12.0, "made for a test")
    return folder


def invoke(*words):
    result = CliRunner().invoke(cli.cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def test_takes_and_clips_are_trained_on_together_and_again_the_same(takes, small_store, tmp_path):
    assert store.open_store(takes).takes and not store.open_store(small_store).takes
    shape = (
        "--width 0.25 --size 32 --frames 4 --batch 12 --epochs 1 --threads 1 --strength 1.5 --reverse --json"
    )
    curves = []
    for out in ("a", "b"):
        words = (
            "train",
            "--data",
            small_store,
            "--data",
            takes,
            "--held-out",
            takes,
            "--out",
            tmp_path / out,
        )
        (record,) = json.loads(invoke(*words, *shape.split()).stdout)["history"]
        curves.append({key: value for key, value in record.items() if key != "seconds"})
    assert curves[0] == curves[1] and np.isfinite(curves[0]["loss"])
    assert curves[0]["balanced_top1"] >= curves[0]["top1"]


def test_the_epoch_is_kept_whose_balanced_answers_are_best(takes, tmp_path):
    """Every gesture is seen, but "nothing" is answered where it is in doubt: balanced, all are right."""
    opened = store.open_store(takes)
    scores = [np.tile(np.eye(3)[entry.label] + [1.6, 0, 0], (36, 1)) for entry in opened.entries]
    scored = judge.Scored(opened, scores)
    assert judge.balanced_top1([scored]) == 1.0
    quiet = {"epoch": 1, "top1": 1 / 3, "balanced_top1": 1.0}
    assert provenance.worth(quiet) > provenance.worth({"epoch": 2, "top1": 0.9})
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=NAMES)
    how = Settings(model.name, dict(model.parameters), NAMES)
    save_weights(tmp_path / "w.safetensors", model.build(5), provenance.weights_meta(how, quiet))
    assert provenance.worth_of(tmp_path / "w.safetensors", how) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("window", "agree", "threshold"), [(1, 1, 0.4), (3, 2, 0.5), (8, 2, 0.8), (5, 4, 0.6)]
)
def test_announcements_are_those_of_the_smoother(window, agree, threshold):
    scores = list(np.random.default_rng(window).normal(0, 3, (20, 40, 3)).cumsum(1) / 4)
    rule = DecisionRule(window, agree, threshold, (0,))
    found = judge.announcements(judge.probabilities(scores), rule, (0.9, threshold))[1]
    for row, clip in zip(found, scores):
        smoother = Smoother(rule)
        steps = [smoother.push(frame) for frame in clip]
        assert row.tolist() == [each.index if each.changed and not each.idle else -1 for each in steps]


def test_gestures_are_judged_by_what_is_announced_when(takes):
    opened = store.open_store(takes)
    said = np.full((18, 36), -1)
    said[1, 14], said[2, 23], said[4, 14], said[5, 24], said[0, 3] = 1, 2, 2, 2, 1
    found = judge.judge(said, opened)
    assert (found.gestures, found.alarms) == (12, 2)
    assert found.by_class == {1: (6, 1, 1), 2: (6, 1, 0)}
    assert found.delays == (5 / 12, 14 / 12)
    assert found.quiet_minutes == pytest.approx((18 * 36 - 12 * 14) / 720)


def test_the_decision_is_chosen_on_takes_and_kept_with_the_weights(takes, tmp_path):
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=NAMES)
    meta = WeightsMeta(model.name, dict(model.parameters), NAMES, 12.0, "made for a test")
    net = model.build(5)
    save_weights(tmp_path / "w.safetensors", net, meta)
    chosen = tmp_path / "chosen.safetensors"
    first = json.loads(
        invoke(
            "eval", tmp_path / "w.safetensors", "--data", takes, "--choose-decision", chosen, "--json"
        ).stdout
    )
    again = json.loads(invoke("eval", chosen, "--data", takes, "--json").stdout)
    assert first["takes"] == again["takes"] and first["forms"] == again["forms"]
    kept = read_meta(chosen)
    assert kept.decision == first["takes"]["decision"] and kept.rule.idle == (0,)
    assert read_meta(tmp_path / "w.safetensors").decision is None
    assert "AS ANOTHER" in invoke("eval", chosen, "--data", takes).stdout


def test_a_network_that_says_nothing_too_often_is_balanced(takes):
    """Right but for a constant in favour of the quiet class."""
    opened = store.open_store(takes)
    scores = []
    for entry in opened.entries:
        row = np.zeros((entry.count, len(NAMES)))
        row[:, 0] = 1.6
        for label, begin, end in entry.cues:
            row[begin - 3 : end + 2, label] = 1
        scores.append(row)
    scored = judge.Scored(opened, scores)
    by = judge.balance(scored)
    assert by.tolist() == [-0.75, 0, 0]
    assert [int(row.sum(0).argmax()) for row in scored.moved(by).rows] == scored.targets.tolist()


def test_compile_takes_the_decision_of_the_weights(tmp_path):
    networks = pytest.importorskip("tsm_edge.compile.frontend.networks", reason="needs the extra 'compile'")
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=NAMES)
    chosen = {"window": 3, "agree": 1, "threshold": 0.6}
    meta = WeightsMeta(model.name, dict(model.parameters), NAMES, 12.0, "made for a test", chosen)
    save_weights(tmp_path / "w.safetensors", model.build(5), meta)
    assert networks.zoo(model, tmp_path / "w.safetensors").decision == DecisionRule(3, 1, 0.6, (0,))
    assert networks.zoo(model, None).decision == DecisionRule.for_labels(NAMES)
