"""Folders of label folders, the forms that are a level deeper, and everything that is left out of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tsm_edge.errors import DataError
from tsm_edge.train import clips, data


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root, labels=None):
    source = data.find(root, None, labels)
    return [(each.name, each.label) for each in source.samples], list(source.notes)


def test_other_endings_are_read_or_counted_and_named(tmp_path):
    names = ["a.mp4", "b.MTS", "c.3gp", "d.m4v", "e.ts", "f.h264"]
    touch(tmp_path, *(f"wave/{name}" for name in names), "wave/notes.txt", "wave/.hidden", "wave/x", "wave/y.txt")
    touch(tmp_path, "wave/still.jpg", "loose.mp4", "empty/notes.md")
    samples, notes = found(tmp_path)
    assert samples == [(f"wave/{name}", "wave") for name in names]
    assert notes == [
        f"1 videos in {tmp_path} are in no label folder and are left out: loose.mp4",
        "4 files whose endings are no video's are left out, .txt (2), .md (1), none (1): "
        "empty/notes.md, wave/notes.txt, wave/x, wave/y.txt",
        "1 pictures lie in a label folder itself and are left out; a clip of pictures is a folder of its own: "
        "wave/still.jpg",
        "label folder empty holds no clip",
    ]


@pytest.mark.parametrize(
    ("names", "use"),
    [
        (("train/c1/1.jpg", "val/c2/1.jpg"), "--data {0}/train --held-out {0}/val"),
        (("Train/wave/1.mp4", "Test/wave/1.mp4", "lists/x.txt"), "--data {0}/Train --held-out {0}/Test"),
        (("train/wave/1.mp4",), "--data {0}/train"),
        (("val/wave/1.mp4", "test/wave/1.mp4"), "--data {0}/val"),
    ],
)
def test_the_parts_of_a_data_set_are_no_classes(tmp_path, names, use):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match="parts of a data set") as caught:
        found(tmp_path)
    assert use.format(tmp_path) in caught.value.hint
    if all("/1.jpg" in name or "/1.mp4" in name for name in names):
        parts = [name.partition("/")[0] for name in names]
        assert [label for _, label in found(tmp_path, parts)[0]] == sorted(parts)


def test_a_class_may_be_called_like_a_part(tmp_path):
    touch(tmp_path, "train/1.mp4", "car/1.mp4", "bus/1.mp4")
    assert [label for _, label in found(tmp_path)[0]] == ["bus", "car", "train"]


def test_folders_of_persons(tmp_path):
    above = [(f"{p}/{c}/1.mp4", c) for p in ("person1", "person2") for c in ("nod", "wave")]
    assert found(touch(tmp_path / "above", *(name for name, _ in above)))[0] == above
    below = [(f"{c}/{p}/1.mp4", c) for c in ("nod", "wave") for p in ("p01", "p02")]
    assert found(touch(tmp_path / "below", *(name for name, _ in below)))[0] == below


def test_a_level_that_only_the_labels_tell(tmp_path):
    touch(tmp_path, *(f"{p}/{c}/1.mp4" for p in ("alice", "bob") for c in ("nod", "wave")))
    with pytest.raises(DataError, match="one folder deeper") as caught:
        found(tmp_path)
    assert caught.value.found == "alice/nod/1.mp4" and "--labels" in caught.value.hint
    assert {label for _, label in found(tmp_path, ["nod", "wave"])[0]} == {"nod", "wave"}
    assert {label for _, label in found(tmp_path, ["alice", "bob"])[0]} == {"alice", "bob"}


def test_persons_above_folders_of_pictures(tmp_path):
    """alice/wave/*.jpg looks like label/clip; --labels says what it is."""
    touch(tmp_path, *(f"{p}/{c}/1/{n}.jpg" for p in ("alice", "bob") for c in ("nod", "wave") for n in (1, 2)))
    assert {label for _, label in found(tmp_path, ["nod", "wave"])[0]} == {"nod", "wave"}
    flat = tmp_path / "flat"
    touch(flat, *(f"{p}/{c}/{n}.jpg" for p in ("alice", "bob") for c in ("nod", "wave") for n in (1, 2)))
    assert {label for _, label in found(flat)[0]} == {"alice", "bob"}
    assert found(flat, ["nod", "wave"])[0] == [(f"{p}/{c}", c) for p in ("alice", "bob") for c in ("nod", "wave")]


def test_no_clips_says_what_is_there(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    with pytest.raises(DataError, match="no clips") as caught:
        found(tmp_path)
    assert "2 videos" in caught.value.found


# -- one folder of pictures --------------------------------------------------------------------------------------


def series(folder, count=0):
    pictures, notes = clips.series(folder, count)
    return [path.name for path in pictures], notes


def test_flow_beside_the_frames(tmp_path):
    frames = [f"img_{n:05d}.jpg" for n in range(1, 9)]
    touch(tmp_path, *(f"a/{name}" for name in frames))
    touch(tmp_path, *(f"a/flow_{axis}_{n:05d}.jpg" for axis in "xy" for n in range(1, 8)))
    for count in (0, 8):
        names, notes = series(tmp_path / "a", count)
        assert names == frames
        assert notes == ["the pictures img_# are read, others are left out: flow_x_# (7), flow_y_# (7)"]
    assert series(tmp_path / "a", 6)[0] == frames[:6]
    with pytest.raises(DataError) as caught:
        series(tmp_path / "a", 9)
    assert caught.value.found == "8 pictures where the list says 9"


@pytest.mark.parametrize(
    ("groups", "count", "expected"),
    [
        ({"frame": 8, "x_": 7, "y_": 7}, 0, "frame"),
        ({"": 8, "optical": 8}, 0, ""),
        ({"image_": 8, "depth_": 8}, 0, "image_"),
        ({"left": 8, "right": 7}, 8, "left"),
        ({"take": 8, "u": 7, "v": 7}, 0, "take"),
        ({"left": 8, "right": 8}, 8, None),
        ({"flow_x_": 8, "flow_y_": 8}, 0, None),
    ],
)
def test_which_series_is_the_clip(tmp_path, groups, count, expected):
    for group, number in groups.items():
        touch(tmp_path, *(f"a/{group}{n}.png" for n in range(number)))
    if expected is None:
        with pytest.raises(DataError, match="cannot be read"):
            series(tmp_path / "a", count)
    else:
        assert series(tmp_path / "a", count)[0] == [f"{expected}{n}.png" for n in range(groups[expected])]


def test_pictures_in_two_formats_and_pictures_without_numbers(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/1.png", "a/2.jpg", "b/first.jpg", "b/second.jpg", "c/rgb/1.jpg")
    with pytest.raises(DataError) as caught:
        series(tmp_path / "a")
    assert "two formats" in caught.value.found
    assert series(tmp_path / "b")[0] == ["first.jpg", "second.jpg"]
    with pytest.raises(DataError) as caught:
        series(tmp_path / "c")
    assert caught.value.found == "no picture in the folder, but folders: rgb"


def test_the_count_of_a_list_reaches_the_store_and_what_is_left_out_is_kept_with_it(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    for n in range(1, 9):
        cv2.imwrite(str(folder / f"img_{n:05d}.jpg"), np.full((48, 48, 3), 20 * n, np.uint8))
    for n in range(1, 8):
        cv2.imwrite(str(folder / f"flow_x_{n:05d}.jpg"), np.full((48, 48, 3), 255, np.uint8))
    (tmp_path / "list.txt").write_text("a 6 0\n")
    source = data.find(tmp_path / "list.txt", tmp_path, ["wave", "nod"])
    for _ in range(2):  # decoded, then from the cache
        store, skipped = data.decoded(source, tmp_path / "cache", side=40, rate_fps=12.0, least=2)
        assert [round(float(frame.mean()) / 20) for frame in store.clip(0)] == [1, 2, 3, 4, 5, 6]
        assert [each.whole for each in skipped] == [False, False]
        assert "the first 6 of 8" in skipped[0].why and "flow_x_# (7)" in skipped[1].why
