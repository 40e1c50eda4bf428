"""Camera, video file and folder of images: what they deliver, and each error a user can meet."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tsm_edge.demo import REAL_CLIP, SAMPLE_CLIP
from tsm_edge.demo.sources import camera
from tsm_edge.demo.sources.camera import check_camera
from tsm_edge.demo.sources.files import ImageFolder, Repeated, VideoFile, natural_key
from tsm_edge.demo.sources.uri import device, numbered, parse_camera, parse_video
from tsm_edge.errors import CameraError, UsageError, VideoError


def all_frames(source):
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def test_the_shipped_clip_is_small_real_video():
    assert REAL_CLIP.stat().st_size < 1_500_000
    source = VideoFile(REAL_CLIP)
    frames = all_frames(source)
    assert len(frames) == 230
    assert frames[0].image.shape == (360, 480, 3)
    assert [frame.t_s for frame in frames] == pytest.approx([n / 30 for n in range(230)])
    assert source.notes() == []
    assert np.abs(frames[0].image.astype(int) - frames[60].image).mean() > 2  # something moves


def test_video_frames_have_the_files_own_stamps(write_video, make):
    source = VideoFile(write_video([make.picture((n, 0, 0)) for n in range(10)], fps=12.5))
    assert [frame.t_s for frame in all_frames(source)] == pytest.approx([n / 12.5 for n in range(10)])


def test_a_file_without_usable_stamps_is_counted_and_says_so(write_video, make, monkeypatch):
    path = write_video([make.picture((n, 0, 0)) for n in range(10)], fps=20)
    capture = cv2.VideoCapture(str(path))
    blank = SimpleNamespace(
        set=lambda *_: True,
        isOpened=capture.isOpened,
        read=capture.read,
        release=capture.release,
        get=lambda prop: 10.0 if prop == cv2.CAP_PROP_FRAME_COUNT else 0.0,
    )
    monkeypatch.setattr(cv2, "VideoCapture", lambda name: blank)
    source = VideoFile(path)
    assert [frame.t_s for frame in all_frames(source)] == pytest.approx([n / 25 for n in range(10)])
    assert "counted at 25 frames per second, which is assumed" in source.notes()[0]


def test_a_file_cut_off_in_the_middle_says_so(tmp_path):
    whole = REAL_CLIP.read_bytes()  # its index stands at the front, so a cut file still opens
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    source = VideoFile(path)
    frames = all_frames(source)
    assert 20 < len(frames) < 200
    seconds = frames[-1].t_s + frames[-1].t_s / (len(frames) - 1)
    assert f"only {seconds:.1f} of" in source.notes()[0] and "it may be cut off" in source.notes()[0]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), (b"", "0 bytes"), (b"not a video at all", "18 bytes")]
)
def test_a_file_that_is_no_video_is_refused(tmp_path, content, said):
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=said) as caught:
        VideoFile(path)
    assert str(path) in caught.value.what
    assert caught.value.exit_code == 1


def test_a_folder_given_as_video_points_to_images(tmp_path):
    with pytest.raises(VideoError, match="--images"):
        VideoFile(tmp_path)


def test_a_bundle_given_as_video_points_to_bundle(tmp_path):
    (tmp_path / "manifest.json").touch()
    with pytest.raises(VideoError, match="--bundle"):
        VideoFile(tmp_path)


def test_a_file_given_as_folder_points_to_video():
    with pytest.raises(VideoError, match="--video"):
        ImageFolder(REAL_CLIP, 12)


def test_a_folder_that_is_not_there_or_empty_is_refused(tmp_path):
    with pytest.raises(VideoError, match="no such folder"):
        ImageFolder(tmp_path / "nowhere", 12)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(VideoError, match="no images") as caught:
        ImageFolder(tmp_path, 12)
    assert ".png" in str(caught.value)


def test_images_come_in_natural_order_at_the_rate_given(tmp_path, make):
    for number in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), make.picture((number, 0, 0)))
    cv2.imwrite(str(tmp_path / "frame2.JPG"), make.picture((2, 2, 2)))
    frames = all_frames(ImageFolder(tmp_path, 12))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 9, 10]
    assert [frame.t_s for frame in frames] == pytest.approx([n / 12 for n in range(4)])


def test_natural_order_never_ties():
    names = ["a1", "a01", "b", "a10", "a9", "1", "01", ""]
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)
    assert sorted(["a10", "a9", "a²"], key=natural_key)[:2] == ["a9", "a10"]


def test_an_image_that_is_none_is_named(tmp_path, make):
    cv2.imwrite(str(tmp_path / "1.png"), make.picture((1, 1, 1)))
    (tmp_path / "2.png").write_bytes(b"broken")
    source = ImageFolder(tmp_path, 12)
    assert source.read() is not None
    with pytest.raises(VideoError, match=r"2\.png"):
        source.read()


def test_a_missing_camera_lists_those_that_are_there(monkeypatch):
    monkeypatch.setattr(camera, "camera_devices", lambda: ["/dev/video0", "/dev/video2"])
    with pytest.raises(CameraError, match="no camera 1") as caught:
        check_camera(numbered(1))
    assert re.fullmatch(r"/dev/video0( \(.+\))?, /dev/video2( \(.+\))?", caught.value.found)
    assert caught.value.exit_code == 4
    monkeypatch.setattr(camera, "camera_devices", list)
    with pytest.raises(CameraError, match="no /dev/video") as caught:
        check_camera(numbered(0), f", or play {SAMPLE_CLIP}")
    assert caught.value.hint.endswith(f"--camera, or play {SAMPLE_CLIP}")


@pytest.mark.parametrize("path", ["/dev/null", "/dev/v4l/by-id/usb-none"])
def test_a_device_file_that_is_no_camera(path):
    with pytest.raises(CameraError, match=re.escape(f"'{path}'")):
        check_camera(device(path))


def test_a_camera_without_permission_names_the_group(monkeypatch):
    monkeypatch.setattr(camera, "camera_devices", lambda: ["/dev/video0"])
    monkeypatch.setattr(camera.os, "access", lambda path, mode: False)
    with pytest.raises(CameraError, match="usermod -aG video"):
        check_camera(numbered(0))
    monkeypatch.setattr(camera.os, "access", lambda path, mode: True)
    check_camera(numbered(0))


def test_a_camera_that_is_busy_is_told_apart(make):
    capture = make.capture([], opened=False)
    with pytest.raises(CameraError, match="Camera 3 could not be opened") as caught:
        make.camera(capture, device=numbered(3))
    assert "other programs" in str(caught.value)
    assert capture.released == 1


def test_a_camera_stamps_by_the_clock_from_its_first_frame(make):
    frames = [make.picture((1, 2, 3))] * 3
    source = make.camera(make.capture([frames[0], 0.1, *frames[1:]], fps=10))
    first, second, third = (source.read() for _ in range(3))
    assert [first.t_s, second.t_s, third.t_s] == pytest.approx([0.0, 0.22, 0.32])
    assert [first.gap_s, second.gap_s, third.gap_s] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("failures", [1, 3, 8])
def test_a_grab_that_fails_is_tried_again(make, failures):
    """At the first frame and later, also if each failure takes as long as OpenCV waits for a camera."""
    picture = make.picture((1, 2, 3))
    fails = [0.0] * failures
    source = make.camera(make.capture([*fails, picture, *fails, picture]))
    assert source.read().t_s == 0.0
    frame = source.read()
    assert 0 < frame.t_s < 3
    assert (frame.gap_s > 0) == (frame.t_s > 1.0)
    slow = make.camera(make.capture([3.0, 3.0, picture, 3.0, picture]))
    assert slow.read().gap_s == 0.0  # there was nothing before it
    assert slow.read().gap_s == pytest.approx(3.1, abs=0.1)


def test_a_camera_that_is_plugged_in_again_is_opened_again(make):
    picture = make.picture((1, 2, 3))
    gone, absent, back = make.capture([picture]), make.capture([], opened=False), make.capture([picture] * 2)
    source = make.camera(gone, absent, back)
    assert source.read() is not None
    frame = source.read()
    assert 4 < frame.gap_s < 12
    assert (gone.released, absent.released, back.released) == (1, 1, 0)
    assert source.read().gap_s == 0.0


def test_a_camera_that_stays_away_is_given_up_in_time(make, monkeypatch):
    for there, said in ((True, "Camera 0 stopped delivering frames."), (False, "Camera 0 was unplugged.")):
        capture = make.capture([make.picture((1, 2, 3))] * 3)
        source = make.camera(capture)
        for _ in range(3):
            source.read()
        monkeypatch.setattr(camera.os.path, "exists", lambda path, there=there: there)
        with pytest.raises(CameraError) as caught:
            source.read()
        assert caught.value.what == said
        assert re.match(r"0\.2 s of video, then none for 1[23] s", caught.value.found)
        assert "plug" in caught.value.hint


def test_a_camera_that_never_gives_a_frame_names_the_likely_cause(make):
    """A camera module whose driver hands out raw sensor data: the device opens, each grab waits in vain."""
    source = make.camera(make.capture([3.0] * 9))
    with pytest.raises(CameraError, match="Camera 0 opens, but gives no frame") as caught:
        source.read()
    assert "csi://0" in caught.value.hint
    assert "plug" not in str(caught.value)


def test_files_keep_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_video("clip.mp4").path == Path("clip.mp4")
    odd = Path("a ! b.mp4")
    odd.write_bytes(b"x")
    assert parse_video("a ! b.mp4").path == odd
    Path("0").write_bytes(b"x")
    assert (parse_video("0").kind, parse_camera("1").kind) == ("file", "device")
    with pytest.raises(UsageError, match="--camera needs a camera") as caught:
        parse_camera("a ! b.mp4")
    assert "--input" in caught.value.hint


def test_a_pipe_is_no_video_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VideoError, match="no regular file"):
        VideoFile(tmp_path / "pipe")


def test_a_repeated_video_never_ends_and_its_stamps_go_on(write_video, make):
    path = write_video([make.picture((20 * number, 0, 0)) for number in range(6)], fps=10)
    source = Repeated(VideoFile(path), path)
    frames = [source.read() for _ in range(14)]
    source.close()
    assert [frame.t_s for frame in frames] == pytest.approx([number / 10 for number in range(14)], abs=1e-3)
    blues = [int(frame.image[24, 32, 0]) for frame in frames]
    assert blues[6:12] == blues[:6]
    assert source.notes() == []


def test_a_repeated_video_that_vanishes_is_an_error(write_video, make):
    path = write_video([make.picture((20, 0, 0))] * 3)
    source = Repeated(VideoFile(path), path)
    path.unlink()
    with pytest.raises(VideoError, match="is not a video file"):
        for _ in range(4):
            source.read()
