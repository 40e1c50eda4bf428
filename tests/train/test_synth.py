"""The rendered clips: the same again, the stated directions in the pixels, nothing told by a still frame."""

from __future__ import annotations

import errno
import json
import os

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import cli, synth
from tsm_edge.errors import UnknownName
from tsm_edge.models import JESTER
from tsm_edge.synth import families, motion, photos, shapes, textures
from tsm_edge.train.store import Writer, open_store

OPPOSITES = (
    ("Swiping Left", "Swiping Right"),
    ("Swiping Up", "Swiping Down"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    ("Zooming In With Full Hand", "Zooming Out With Full Hand"),
)


def flow_of(frames: np.ndarray) -> dict[str, float]:
    """What moves in a clip: to the right, down, clockwise in the picture, and apart; summed over its frames."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    total = {"right": 0.0, "down": 0.0, "clockwise": 0.0, "apart": 0.0}
    for before, after in zip(grey, grey[1:]):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        flow -= np.median(flow, axis=(0, 1))  # the camera's own movement
        weight = np.hypot(flow[..., 0], flow[..., 1]) + 1e-6
        y, x = np.mgrid[: len(before), : len(before)].astype(np.float64)
        dx, dy = (axis - (axis * weight).sum() / weight.sum() for axis in (x, y))
        total["right"] += flow[..., 0].sum()
        total["down"] += flow[..., 1].sum()
        total["clockwise"] += (dx * flow[..., 1] - dy * flow[..., 0]).sum()
        total["apart"] += (dx * flow[..., 0] + dy * flow[..., 1]).sum()
    return total


@pytest.mark.parametrize(
    ("label", "measure", "sign"),
    [
        ("Swiping Left", "right", 1),  # the person's left is the right of an unmirrored picture
        ("Swiping Right", "right", -1),
        ("Swiping Up", "down", -1),
        ("Swiping Down", "down", 1),
        ("Turning Hand Clockwise", "clockwise", -1),  # seen from the front
        ("Turning Hand Counterclockwise", "clockwise", 1),
        ("Zooming In With Full Hand", "apart", 1),
        ("Zooming Out With Full Hand", "apart", -1),
    ],
)
@pytest.mark.parametrize("split", synth.SPLITS)
def test_the_pixels_move_to_the_stated_side(rendered, split, label, measure, sign):
    first = synth.LABELS.index(label)
    found = [flow_of(rendered(split, first + 11 * turn))[measure] * sign > 0 for turn in range(12)]
    assert np.mean(found) >= 0.75, f"{sum(found)} of {len(found)}"


def test_labels_are_jesters():
    assert set(synth.LABELS) <= set(JESTER)
    assert list(synth.LABELS) == sorted(synth.LABELS)


def test_the_same_arguments_give_the_same_bytes_and_others_do_not(rendered):
    first = synth.render("train", 5, 4, size=48)
    assert (first.frames == synth.render("train", 5, 4, size=48).frames).all()
    assert first.label == synth.LABELS[4]
    assert first.frames.shape == (synth.FRAMES, 48, 48, 3) and first.frames.dtype == np.uint8
    for other in (("test", 5, 4), ("train", 6, 4), ("train", 5, 15)):
        assert (synth.render(*other, size=48).frames != first.frames).any()


def test_the_splits_share_nothing_but_the_hand():
    train, test = families.TRAIN, families.TEST
    assert set(train.shapes) & set(test.shapes) == {"hand"}
    assert set(train.textures) & set(test.textures) == {"photo"}
    assert set(train.backgrounds) & set(test.backgrounds) == {"photo"}
    assert not set(train.photos) & set(test.photos)
    assert train.finger_width[0] >= test.finger_width[1]
    for low, high in test.durations:
        assert all(high <= first or low >= last for first, last in train.durations)


def test_every_name_of_a_family_exists():
    for kind in synth.SPLITS.values():
        assert set(kind.shapes) <= set(shapes.BUILD)
        assert set((*kind.textures, *kind.backgrounds)) <= set(textures.DRAW)


def test_an_unknown_split():
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        synth.render("trian", 0, 0)


def tracks(label: str, split: str, count: int) -> list[motion.Track]:
    found = []
    for seed in range(count):
        random = np.random.default_rng([seed, synth.LABELS.index(label)])
        timing = motion.draw_timing(random, synth.SPLITS[split].durations, synth.FRAMES)
        found.append(motion.MOVES[label](random, timing))
    return found


@pytest.mark.parametrize("split", synth.SPLITS)
@pytest.mark.parametrize("pair", OPPOSITES)
def test_a_still_frame_does_not_tell_opposites_apart(pair, split):
    """The poses of all frames of one class are distributed as those of its opposite, up to what 1500 clips can show."""
    first, second = (tracks(label, split, 1500) for label in pair)
    for name in ("x", "y", "angle", "size", "openness"):
        values = [np.concatenate([getattr(track, name) for track in some]) for some in (first, second)]
        spread = np.concatenate(values).std()
        for quantile in (0.1, 0.5, 0.9):
            a, b = (np.quantile(one, quantile) for one in values)
            assert abs(a - b) < 0.2 * spread, f"{name} at {quantile}: {a:.3f} and {b:.3f}"


@pytest.mark.parametrize("pair", OPPOSITES)
def test_opposites_end_on_opposite_sides(pair):
    name = {"Swiping Left": "x", "Swiping Up": "y", "Turning Hand Clockwise": "angle"}.get(pair[0], "size")
    change = [
        np.mean([getattr(t, name)[-1] - getattr(t, name)[0] for t in tracks(label, "test", 60)])
        for label in pair
    ]
    assert change[0] * change[1] < 0


def test_without_photographs_the_clips_are_drawn_alone(monkeypatch):
    monkeypatch.setattr(photos, "_path", lambda name: None)
    assert photos.available(families.TRAIN.photos) == ()
    assert synth.render("train", 0, 3, size=48).frames.std() > 1


def test_the_command_writes_a_store(tmp_path):
    arguments = ["synth", "--out", str(tmp_path / "clips"), "--clips", "13", "--size", "40", "--json"]
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["clips"] == 13
    store = open_store(tmp_path / "clips")
    assert (len(store), store.side, store.labels) == (13, 40, synth.LABELS)
    assert store.targets.tolist() == [*range(11), 0, 1]
    assert (store.clip(12) == synth.render("train", 0, 12, size=40).frames).all()


def listing(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", [[], ["--videos"], ["--reel", "Swiping Left"]], ids=["store", "videos", "reel"])
def test_older_clips_are_replaced_only_when_that_is_asked_for(tmp_path, kind):
    words = ["synth", "--out", str(tmp_path / "clips"), "--clips", "2", "--size", "32", *kind]
    assert CliRunner().invoke(cli.cli, words).exit_code == 0
    older = listing(tmp_path)
    refused = CliRunner().invoke(cli.cli, [*words, "--seed", "1"])
    assert refused.exit_code == 1 and "--overwrite" in refused.stderr
    assert listing(tmp_path) == older
    result = CliRunner().invoke(cli.cli, [*words, "--seed", "1", "--overwrite"])
    assert result.exit_code == 0, result.output
    newer = listing(tmp_path)
    assert newer != older and len(newer) == len(older), "nothing of the older clips is left"
    if not kind:
        assert (open_store(tmp_path / "clips").clip(1) == synth.render("train", 1, 1, size=32).frames).all()


def test_a_store_that_is_not_finished_leaves_the_older_one(tmp_path):
    words = ["synth", "--out", str(tmp_path), "--clips", "2", "--size", "32"]
    assert CliRunner().invoke(cli.cli, words).exit_code == 0
    older, mapped = listing(tmp_path), open_store(tmp_path)
    pixels = np.ones((3, 32, 32, 3), np.uint8)
    with pytest.raises(ZeroDivisionError), Writer(tmp_path, 30, 32) as writer:
        writer.add("a", 0, pixels)
        raise ZeroDivisionError
    assert listing(tmp_path) == older
    for _ in range(3):
        with Writer(tmp_path, 30, 32) as writer:
            writer.add("a", 0, pixels)
            writer.close(("x",), 12.0, "test")
        assert (open_store(tmp_path).clip(0) == 1).all() and len(open_store(tmp_path)) == 1
        assert len(listing(tmp_path)) == 2
    assert mapped.clip(1).mean() != 1, "who has the older store open keeps it"


def test_a_store_without_clips_can_be_opened(tmp_path):
    with Writer(tmp_path, 0, 32) as writer:
        writer.close(("x",), 12.0, "test")
    assert len(open_store(tmp_path)) == 0


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs posix_fallocate")
@pytest.mark.parametrize("call", ["posix_fallocate", "fsync"])
def test_a_full_disk_is_an_error_and_no_signal(tmp_path, monkeypatch, call):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    words = ["synth", "--out", str(tmp_path / "clips"), "--clips", "2", "--size", "32"]
    result = CliRunner().invoke(cli.cli, words)
    assert result.exit_code == 1 and "the disk is full" in result.stderr
    assert listing(tmp_path) == {}


def test_only_some_classes(tmp_path):
    words = ["synth", "--out", str(tmp_path / "clips"), "--clips", "5", "--size", "32"]
    result = CliRunner().invoke(cli.cli, [*words, "--only", "Swiping Up,No gesture"])
    assert result.exit_code == 0, result.output
    store = open_store(tmp_path / "clips")
    assert store.labels == ("No gesture", "Swiping Up") and store.targets.tolist() == [0, 1, 0, 1, 0]
    assert (store.clip(3) == synth.render("train", 0, 11 + 6, size=32).frames).all()
    refused = CliRunner().invoke(cli.cli, [*words, "--only", "Swiping Upp"])
    assert refused.exit_code == 2 and "Did you mean 'Swiping Up'" in refused.output


def test_the_command_writes_videos_with_two_processes(tmp_path):
    arguments = ["synth", "--out", str(tmp_path), "--clips", "33", "--size", "64", "--videos", "--jobs", "2"]
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exit_code == 0, result.output
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mp4"))
    assert len(files) == 33 and files[0] == "Doing other things/000000.mp4"


def synth_command(*words, fails=None):
    result = CliRunner().invoke(cli.cli, ["synth", *map(str, words)])
    assert result.exit_code == (fails or 0), result.output
    return result.stderr if fails else result.stdout


SMALL = ("--size", 32, "--frames", 4, "--clips", 13)


def test_parts_joined_are_the_bytes_of_one_run(tmp_path):
    synth_command("--out", tmp_path / "whole", *SMALL)
    for number in (1, 2, 3):
        synth_command("--out", tmp_path / f"{number}", "--shard", f"{number}/3", *SMALL)
    parts = [word for number in (3, 1, 2) for word in ("--join", tmp_path / f"{number}")]
    found = json.loads(synth_command("--out", tmp_path / "joined", *parts, "--json"))
    assert (found["clips"], found["split"], found["labels"]) == (13, "train", list(synth.LABELS))
    assert listing(tmp_path / "joined") == listing(tmp_path / "whole")
    assert [len(open_store(tmp_path / f"{number}")) for number in (1, 2, 3)] == [4, 4, 5]
    assert "--overwrite" in synth_command("--out", tmp_path / "joined", *parts, fails=1)


def test_more_parts_than_clips_and_only_some_classes(tmp_path):
    some = ("--only", "Swiping Up,No gesture", "--size", 32, "--frames", 2, "--clips", 3)
    synth_command("--out", tmp_path / "whole", *some)
    for number in range(1, 6):
        synth_command("--out", tmp_path / f"{number}", "--shard", f"{number}/5", *some)
    parts = [word for number in range(1, 6) for word in ("--join", tmp_path / f"{number}")]
    synth_command("--out", tmp_path / "joined", *parts)
    assert listing(tmp_path / "joined") == listing(tmp_path / "whole")


def test_parts_as_videos_go_into_one_folder(tmp_path):
    synth_command("--out", tmp_path / "whole", "--videos", *SMALL)
    for number in (2, 1):
        synth_command("--out", tmp_path / "parts", "--videos", "--shard", f"{number}/2", *SMALL)
    assert listing(tmp_path / "parts").keys() == listing(tmp_path / "whole").keys()
    refused = synth_command("--out", tmp_path / "parts", "--videos", "--shard", "1/2", *SMALL, fails=1)
    assert "--overwrite" in refused


def test_parts_that_do_not_fit_are_refused(tmp_path):
    for name, shard, seed in (("a", "1/2", 0), ("b", "2/2", 0), ("c", "2/2", 1)):
        synth_command("--out", tmp_path / name, "--shard", shard, "--seed", seed, *SMALL)
    with Writer(tmp_path / "other", 0, 32) as writer:
        writer.close(("x",), 12.0, "test")

    def refused(*names):
        parts = [word for name in names for word in ("--join", tmp_path / name)]
        return synth_command("--out", tmp_path / "joined", *parts, fails=1)

    assert "part of another rendering" in refused("a", "c") and "seed 0" in refused("a", "c")
    assert "A part is missing" in refused("a") and "13 clips" in refused("b")
    assert "given twice" in refused("a", "b", "a")
    assert "no part of a rendering" in refused("a", "other")
    index = json.loads((tmp_path / "a" / "clips.json").read_text())
    for recipe in ({}, {**index["recipe"], "clips": "13"}, {**index["recipe"], "size": 40}, 5, []):
        (tmp_path / "b" / "clips.json").write_text(json.dumps({**index, "recipe": recipe}))
        assert "error[" in refused("b")
    (tmp_path / "b" / "clips.json").write_text(json.dumps({**index, "labels": ["x"] * 11}))
    assert "is damaged" in refused("b")
    assert not (tmp_path / "joined").exists()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3", "1/9999999", ""])
def test_a_shard_is_one_of_so_many(tmp_path, shard):
    assert "1/4 to 4/4" in synth_command("--out", tmp_path / "a", "--shard", shard, fails=2)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--sheet", "--videos"),
        ("--reel", "Swiping Up", "--sheet"),
        ("--shard", "1/2", "--sheet"),
        ("--shard", "1/2", "--join", "."),
    ],
)
def test_one_thing_is_written_at_a_time(tmp_path, words):
    assert "allowed: one of them" in synth_command("--out", tmp_path / "a", *words, fails=2)


def test_a_sheet_shows_every_class_with_its_frames(tmp_path):
    synth_command("--out", tmp_path, "--sheet", "--size", 48, "--seed", 5)
    image = cv2.imread(str(tmp_path / "sheet.png"))[:, :, ::-1]
    assert len(image) == 22 * 52
    second = 52 * 3  # the classes in their order, two clips each: the fourth is clip 12
    frames = synth.render("train", 5, 12, size=48).frames
    shown = [image[second : second + 48, 300 + 52 * column :][:, :48] for column in range(6)]
    assert (np.stack(shown) == frames[[0, 2, 4, 7, 9, 11]]).all()
    for top in range(0, len(image), 52):
        assert image[top : top + 48, :300].min() < 100, "a row has a name"
    assert "--overwrite" in synth_command("--out", tmp_path, "--sheet", fails=1)
    assert "allowed: 1..110" in synth_command("--out", tmp_path, "--sheet", "--clips", 111, fails=2)
