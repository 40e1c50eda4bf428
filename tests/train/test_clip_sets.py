"""Whether clips are enough and a result is one: what is said before a training and after it."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import cli, models
from tsm_edge.train import clip_sets, command, data
from tsm_edge.train.store import Entry, Store
from tsm_edge.weights.meta import read_meta

TINY = ["--size", 32, "--frames", 4, "--batch", 8, "--threads", 1, "--epochs", 1]


def invoke(*words):
    return CliRunner().invoke(cli.cli, [str(word) for word in words])


def store(*counts: int) -> Store:
    """A store with so many clips of each class."""
    entries = [Entry(f"{label}/{n}", label, 0, 1) for label, count in enumerate(counts) for n in range(count)]
    labels = tuple("abcdefgh"[: len(counts)])
    return Store(labels, 12.0, "made for a test", tuple(entries), np.zeros((1, 32, 32, 3), np.uint8))


@pytest.mark.parametrize(
    ("train", "held", "words"),
    [
        ((50, 50), (10, 10), []),
        ((50, 0, 50), (10, 10, 10), ["no clip to learn from: b"]),
        ((9, 12), (10, 10), ["few clips to learn from: a 9;"]),
        ((200, 40), (20, 20), ["uneven: a has 200 clips, b has 40"]),
        ((50, 50), (3, 3), ["6 held-out clips measure little: one is 17% of them"]),
        ((3, 30), (1, 0), ["few clips", "uneven", "1 held-out clips"]),
    ],
)
def test_too_few_and_uneven_clips_are_mentioned(train, held, words):
    found = clip_sets.concerns(store(*train), store(*held))
    assert len(found) == len(words)
    for text, part in zip(found, words):
        assert part in text


@pytest.mark.parametrize(
    ("counts", "top1", "chance"),
    [
        ((10, 10), 0.5, True),
        ((10, 10), 0.7, True),  # 14 of 20: one coin in seventeen
        ((10, 10), 0.75, False),
        ((90, 10), 0.9, True),  # the frequent class, always
        ((90, 10), 0.97, False),
        ((4,) * 8, 0.21875, True),
        ((4,) * 8, 0.375, False),
        ((1, 1), 1.0, True),  # two clips tell nothing
    ],
)
def test_a_result_that_guessing_reaches_too(counts, top1, chance):
    assert clip_sets.is_chance(top1, store(*counts)) is chance


def test_many_clips_of_one_reason_are_counted_and_some_named(capsys):
    skipped = [data.Skipped(f"wave/{n}.mp4", f"too short: {n} frames") for n in range(30)]
    skipped.append(data.Skipped("nod/1", "cannot be read: no such file"))
    skipped.append(data.Skipped("nod/2", "the pictures img_# are read", whole=False))
    clip_sets.report_left_out(skipped, ["something beside"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "note: something beside"
    assert [line.split(":")[0] for line in lines[1:6]] == [f"skipped wave/{n}.mp4" for n in range(5)]
    assert lines[6].startswith("  and 25 more for the same reason: wave/5.mp4, ") and lines[6].endswith(" …")
    assert lines[7:] == [
        "skipped nod/1: cannot be read: no such file",
        "note: nod/2: the pictures img_# are read",
        "31 clips are left out",
    ]


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Two classes of pictures that are all the same: nothing can be learnt."""
    import cv2

    folder = tmp_path_factory.mktemp("noise")
    for label, clips in (("left", 13), ("right", 3)):
        for clip in range(clips):
            (folder / label / str(clip)).mkdir(parents=True)
            for n in range(4):
                cv2.imwrite(str(folder / label / str(clip) / f"{n}.png"), np.full((40, 40, 3), 90, np.uint8))
    return folder


def test_a_training_at_chance_ends_with_a_warning_and_not_with_compile(noise, tmp_path):
    words = ("train", "--data", noise, "--out", tmp_path / "run", *TINY, "--no-flip")
    result = invoke(*words, "--width", 0.25)
    assert result.exit_code == 0, result.output
    assert "few clips to learn from: right 2" in result.stderr and "uneven" in result.stderr
    assert "cannot be told from guessing" in result.stderr
    assert "compile" not in result.stdout
    assert "begin with trained weights (--init)" in result.stderr
    assert result.stdout.splitlines()[-1].startswith("next: tsm-edge eval")
    assert read_meta(tmp_path / "run" / "weights.safetensors").note.startswith(f"trained on 14 clips of '{noise.name}'")


def test_a_training_begins_with_the_shipped_weights(noise, tmp_path):
    """The network, its width and its size are theirs; other classes get a head of their own."""
    result = invoke(
        "train", "--data", noise, "--out", tmp_path, "--init", "gestures", "--no-flip", *TINY[2:], "--lr", 1e-9
    )
    assert result.exit_code == 0, result.output
    assert "begins with gestures.safetensors" in result.stderr
    assert "has 11 classes: its head is not used" in result.stderr
    meta, shipped = read_meta(tmp_path / "weights.safetensors"), models.load("gestures")
    for key in ("size", "width"):
        assert meta.parameters[key] == shipped.parameters[key]
    from safetensors.torch import load_file

    one, other = load_file(tmp_path / "weights.safetensors"), load_file(models.shipped_file("gestures"))
    for key in ("features.0.0.weight", "features.9.conv.3.weight"):
        assert np.allclose(one[key].float().numpy(), other[key].float().numpy(), atol=1e-4), key


def test_of_the_head_the_classes_are_taken_that_both_know(capsys):
    """In another order, and beside new ones."""
    shipped, file = models.load("gestures"), models.shipped_file("gestures")
    shape = {key: shipped.parameters[key] for key in ("width", "size")}
    whole = command.initial(file, models.load("tsm-mobilenetv2", **shape, labels=shipped.labels))
    labels = ("Nodding", *shipped.labels[:2:-1])
    some = command.initial(file, models.load("tsm-mobilenetv2", **shape, labels=labels))
    assert f"of its head it gives {labels[1]}, " in capsys.readouterr().err
    for key in ("classifier.weight", "classifier.bias"):
        rows = [whole[key][shipped.labels.index(label)] for label in labels[1:]]
        assert all((mine == theirs).all() for mine, theirs in zip(some[key][1:], rows))
    assert abs(some["classifier.weight"][0]).max() < 0.1  # small, by chance


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--size", 50), 2, "a multiple of 16"),
        (("--width", 9), 2, "bad width"),
        (("--labels", "none.txt"), 2, "cannot be read"),
        (("--model", "tsm-resnet"), 2, "Did you mean"),
        (("--model", "gestures"), 2, "--init gestures"),
        (("--model", "tsm-resnet18", "--init", "gestures"), 2, "trained for another network"),
        (("--init", "nothing.pth"), 1, "a trained model: gestures"),
        (("--ema",), 2, "--init"),
        (("--rested", 0.5), 2, "--warm-start 0.5"),
    ],
)
def test_bad_options_are_errors_of_usage(noise, tmp_path, words, code, part):
    result = invoke("train", "--data", noise, "--out", tmp_path / "run", *words)
    assert result.exit_code == code, result.output
    assert part in result.stderr


@pytest.mark.parametrize("words", [("--size", 50), ("--labels", "none.txt")])
def test_bad_options_of_eval_are_errors_of_usage(noise, words):
    assert invoke("eval", models.shipped_file("gestures"), "--data", noise, *words).exit_code == 2


def test_eval_shows_how_far_it_is_and_what_it_measured(noise, tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(["left", "right", *"abcdefghi"]))
    file = models.shipped_file("gestures")
    result = invoke("eval", file, "--data", noise, "--clips", 4, "--labels", tmp_path / "labels.txt")
    assert result.exit_code == 0, result.output
    assert "measure, online form" in result.stderr and "measure, clip form" in result.stderr
    assert "weights: gestures.safetensors" in result.stderr
