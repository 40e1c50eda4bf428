"""Reading clips: the layouts, frames by time, and what cannot be used named with its reason."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tsm_edge.errors import DataError
from tsm_edge.train import clips, data, store

SHADES = [20, 60, 100, 140, 180, 220]


def decode(source: data.Source, cache, **changes):
    how = {"side": 40, "rate_fps": 12.0, "least": 3, **changes}
    return data.decoded(source, cache, **how)


def shades_of(clip: np.ndarray) -> list[int]:
    return [round(float(frame.mean())) for frame in clip]


def write_pictures(folder, shades):
    folder.mkdir(parents=True)
    for number, shade in enumerate(shades, 1):  # without leading zeros: 10 comes after 2
        cv2.imwrite(str(folder / f"frame{number}.png"), np.full((30, 50, 3), shade, np.uint8))
    return folder


def test_a_folder_of_label_folders(tmp_path, write_video):
    write_video(tmp_path / "clips/wave/a.mp4", SHADES)
    write_video(tmp_path / "clips/wave/b.avi", SHADES)
    write_pictures(tmp_path / "clips/nod/c", list(range(10, 130, 10)))
    (tmp_path / "clips/nod/notes.txt").write_text("no clip")
    source = data.find(tmp_path / "clips")
    assert source.labels == ("nod", "wave")
    assert [sample.name for sample in source.samples] == ["nod/c", "wave/a.mp4", "wave/b.avi"]
    found, skipped = decode(source, tmp_path / "cache")
    assert skipped == []
    assert found.targets.tolist() == [0, 1, 1] and found.side == 40
    assert shades_of(found.clip(0)) == list(range(10, 130, 10))
    for index in (1, 2):
        assert np.allclose(shades_of(found.clip(index)), SHADES, atol=6)


def test_colours_are_rgb(tmp_path, write_video):
    folder = tmp_path / "clips/blue/a"
    folder.mkdir(parents=True)
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((20, 20, 3), (255, 0, 0), np.uint8))  # OpenCV: BGR
    found, _ = decode(data.find(tmp_path / "clips"), tmp_path / "cache")
    assert found.clip(0)[0, 0, 0].tolist() == [0, 0, 255]


def test_jester_csv(tmp_path, write_video):
    write_video(tmp_path / "videos/100.mp4", SHADES)
    write_pictures(tmp_path / "videos/7", SHADES)
    (tmp_path / "list.csv").write_text("100;Swiping Left\n7;Swiping Right\n\n")
    source = data.find(tmp_path / "list.csv", tmp_path / "videos", ["Swiping Right", "Swiping Left"])
    found, skipped = decode(source, tmp_path / "cache")
    assert (found.targets.tolist(), skipped) == ([1, 0], [])


def test_raw_frame_list(tmp_path):
    write_pictures(tmp_path / "raw/a b", SHADES)
    write_pictures(tmp_path / "raw/c", SHADES)
    (tmp_path / "list.txt").write_text("a b 6 1\nc 6 0\n")
    source = data.find(tmp_path / "list.txt", tmp_path / "raw", ["zero", "one"])
    assert [(sample.name, sample.label) for sample in source.samples] == [("a b", "one"), ("c", "zero")]
    assert data.find(tmp_path / "list.txt", tmp_path / "raw").labels == ("class 0", "class 1")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("list.csv", "1;a\n2;\n", "Line 2"),
        ("list.txt", "a b c\n", "Line 1"),
        ("list.txt", "a 6 2\n", "Line 1"),  # there are two labels
        ("list.csv", "1;a stranger\n", "not listed"),
        ("list.csv", "\n", "no clips"),
        ("list.doc", "1;a\n", "no training data"),
    ],
)
def test_a_list_that_cannot_be_read(tmp_path, name, text, what):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=what):
        data.find(tmp_path / name, tmp_path, ["a", "b"])


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no clips"):
        data.find(tmp_path)
    with pytest.raises(DataError, match="no training data"):
        data.find(tmp_path / "nowhere")


def test_damaged_and_short_clips_are_named_and_left_out(tmp_path, write_video):
    good = write_video(tmp_path / "clips/wave/good.mp4", SHADES)
    (tmp_path / "clips/wave/cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 3])
    (tmp_path / "clips/wave/empty.mp4").write_bytes(b"")
    (tmp_path / "clips/wave/noise.avi").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "clips/wave/no-pictures").mkdir()
    write_video(tmp_path / "clips/wave/short.mp4", SHADES[:2])
    broken = write_pictures(tmp_path / "clips/wave/broken", SHADES)
    (broken / "frame3.png").write_bytes(b"no picture")
    source = data.find(tmp_path / "clips")
    found, skipped = decode(source, tmp_path / "cache")
    assert [entry.name for entry in found.entries] == ["wave/good.mp4"]
    why = {each.name.removeprefix("wave/"): each.why for each in skipped}
    assert set(why) == {"cut.mp4", "empty.mp4", "noise.avi", "no-pictures", "short.mp4", "broken"}
    assert why["short.mp4"] == "too short: 2 frames at 12 a second"
    assert "0 bytes" in why["empty.mp4"]
    assert why["broken"] == "cannot be read: frame3.png is no picture, or too large"


def test_a_clip_that_is_not_there(tmp_path):
    (tmp_path / "list.csv").write_text("42;wave\n")
    _, skipped = decode(data.find(tmp_path / "list.csv"), tmp_path / "cache")
    assert skipped == [data.Skipped("42", "cannot be read: no such file")]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [(24.0, SHADES[::2]), (12.0, SHADES), (6.0, SHADES[:1] + [shade for shade in SHADES[1:] for _ in (0, 1)])],
)
def test_frames_are_picked_by_time(tmp_path, write_video, fps, expected):
    path = write_video(tmp_path / "a.mp4", SHADES, fps)
    clip = clips.read(path, 40, 12.0).frames
    assert abs(len(clip) - len(expected)) <= 1
    assert np.allclose(shades_of(clip)[: len(expected)], expected[: len(clip)], atol=6)


def test_the_cache_is_used_until_a_file_changes(tmp_path, write_video, monkeypatch):
    write_video(tmp_path / "clips/wave/a.mp4", SHADES)
    (tmp_path / "clips/wave/b.mp4").write_bytes(b"damaged")
    source = data.find(tmp_path / "clips")
    _, first = decode(source, tmp_path / "cache")
    reads = []
    monkeypatch.setattr(
        clips, "read", lambda *args: reads.append(args) or clips.Clip(np.zeros((4, 40, 40, 3), np.uint8))
    )
    again, skipped = decode(source, tmp_path / "cache")
    assert (reads, skipped, len(again)) == ([], first, 1)
    write_video(tmp_path / "clips/wave/a.mp4", SHADES * 2)
    decode(source, tmp_path / "cache")
    assert len(reads) == 2
    decode(source, tmp_path / "cache", side=32)
    assert len(reads) == 4


def test_a_damaged_store(tmp_path, small_store):
    (tmp_path / store.INDEX).write_text((small_store / store.INDEX).read_text())
    (tmp_path / store.FRAMES).write_bytes((small_store / store.FRAMES).read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged"):
        store.open_store(tmp_path)


def test_a_split_holds_out_some_of_every_class_and_always_the_same(small_store):
    whole = store.open_store(small_store)
    rest, held = data.split(whole, 0.25)
    assert len(rest) + len(held) == len(whole)
    assert np.bincount(held.targets).tolist() == [4, 4, 4]
    assert held.entries == data.split(whole, 0.25)[1].entries
    assert not set(rest.entries) & set(held.entries)
