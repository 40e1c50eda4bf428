"""Frames of a file by their time stamps: training takes the ones that the demo takes, whatever the file declares."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tsm_edge import video
from tsm_edge.demo.feed import Replay
from tsm_edge.demo.sources.files import VideoFile
from tsm_edge.errors import DataError, VideoError
from tsm_edge.sampling import Sampler
from tsm_edge.train import clips

VIDEOS = Path(__file__).parent.parent / "vectors" / "videos"
READABLE = ("uneven.mp4", "thousand.webm", "browser.webm", "portrait.mp4", "raw.h264")


def of_demo(path: Path, rate: float) -> list[np.ndarray]:
    """What `tsm-edge demo --video` steps on, frame by frame."""
    feed = Replay(VideoFile(path), Sampler(rate))
    frames = []
    while (item := feed.take(0)) is not None:
        frames += [item.frame.image] * item.steps
    feed.close()
    return frames


def of_training(path: Path, rate: float, side: int = 48) -> list[np.ndarray]:
    return list(clips.read(path, side, rate).frames)


def same_frames(path: Path, rate: float) -> int:
    """Assert that both take the same frames; return their number."""
    demo, training = of_demo(path, rate), of_training(path, rate)
    assert len(demo) == len(training)
    for one, other in zip(demo, training):
        height, width = one.shape[:2]
        top, left = (height - 48) // 2, (width - 48) // 2
        assert np.array_equal(one[top : top + 48, left : left + 48, ::-1], other)
    return len(demo)


@pytest.mark.parametrize("name", READABLE)
def test_training_takes_the_frames_that_the_demo_takes(name):
    for rate in (3.0, 10.0, 12.0, 25.0, 30.0, 47.0, 100.0):
        assert same_frames(VIDEOS / name, rate) > 1


@pytest.mark.parametrize("seed", range(6))
def test_training_takes_the_frames_that_the_demo_takes_of_any_rate(tmp_path, seed):
    random = np.random.default_rng(seed)
    path = tmp_path / f"clip.{('avi', 'mp4')[seed % 2]}"
    code = cv2.VideoWriter.fourcc(*("MJPG", "mp4v")[seed % 2])
    writer = cv2.VideoWriter(str(path), code, float(random.uniform(4, 90)), (64, 48))
    for _ in range(int(random.integers(5, 40))):
        writer.write(random.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    assert same_frames(path, float(random.uniform(2, 60))) >= 1


@pytest.mark.parametrize("name", ["uneven.mp4", "thousand.webm"])
def test_an_uneven_file_is_read_by_its_stamps(name):
    """30 frames in the first second, ten in the next: at ten a second every third, then each."""
    opened, taken = video.Video(VIDEOS / name), []
    stamps = [t_s for _, t_s in iter(opened.read, None)]
    assert stamps[:30] == pytest.approx([n / 30 for n in range(30)], abs=1e-3)
    assert stamps[30:] == pytest.approx([1 + n / 10 for n in range(10)], abs=1e-3)
    assert opened.notes() == []
    sampler = Sampler(10.0)
    taken = [n for n, t_s in enumerate(stamps) for _ in range(sampler.take(t_s))]
    assert taken == [*range(0, 30, 3), *range(30, 40)]
    assert len(of_training(VIDEOS / name, 10.0)) == 20


def test_a_portrait_clip_stands_upright(monkeypatch):
    """Also where OpenCV does not turn by itself, as its 4.11 does not."""
    opened = cv2.VideoCapture

    def lying(path):
        capture = opened(path)
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        return capture

    monkeypatch.setattr(cv2, "VideoCapture", lying)
    assert video.Video(VIDEOS / "portrait.mp4").read()[0].shape == (64, 48, 3)
    assert of_demo(VIDEOS / "portrait.mp4", 12.0)[0].shape == (64, 48, 3)


def test_a_file_without_a_length():
    opened = video.Video(VIDEOS / "browser.webm")
    assert len(list(iter(opened.read, None))) == 60 and opened.notes() == []


def test_a_stream_without_stamps_is_counted_and_says_so():
    opened = video.Video(VIDEOS / "raw.h264")
    assert [t_s for _, t_s in iter(opened.read, None)] == pytest.approx([n / 25 for n in range(21)])
    assert "its time stamps are not usable; frames are counted at 25" in opened.notes()[0]


def test_a_codec_that_opencv_cannot_decode_is_named():
    try:
        opened = video.Video(VIDEOS / "av1.mp4")
    except VideoError as error:
        assert "the codec AV1" in error.found and "libx264" in error.hint
        with pytest.raises(DataError) as caught:
            clips.read(VIDEOS / "av1.mp4", 48, 12.0)
        assert "the codec AV1" in caught.value.found and "libx264" in caught.value.found
    else:  # this machine's GPU decodes it
        assert opened.read() is not None


def test_frames_too_large(monkeypatch):
    monkeypatch.setattr(video, "MAX_PIXELS", 1000)
    with pytest.raises(VideoError, match="too large"):
        video.Video(VIDEOS / "uneven.mp4")
