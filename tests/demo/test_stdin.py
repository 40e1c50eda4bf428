"""Standard input as a source: raw frames, YUV4MPEG2 and Motion JPEG through real pipes, and each way they can end."""

from __future__ import annotations

import io
import os
import threading
import time

import cv2
import numpy as np
import pytest
from stream_servers import clock_picture, jpeg, read_clock

from tsm_edge.demo.sources import pixels, y4m
from tsm_edge.demo.sources.jpeg import Cutter, decode
from tsm_edge.demo.sources.stdin import StandardInput
from tsm_edge.demo.sources.wanted import FORMATS, RAW, Wanted, parse_size
from tsm_edge.errors import UsageError, VideoError

SIZE = (32, 24)


@pytest.fixture
def piped():
    """Return a function that writes into a pipe from a thread, piece by piece, and gives its reading end."""
    ends = []

    def write(*pieces, hold=False):
        ours, theirs = os.pipe()
        ends.append(ours)

        def work():
            with os.fdopen(theirs, "wb", buffering=0) as file:
                for piece in pieces:
                    if callable(piece):
                        piece()
                    else:
                        file.write(piece)
                if hold:
                    time.sleep(1.0)

        threading.Thread(target=work, daemon=True).start()
        return ours

    yield write
    for end in ends:
        os.close(end)


def noise(size=SIZE, seed=0):
    """A smooth coloured picture, as halved colour planes can hold it."""
    small = np.random.default_rng(seed).integers(40, 215, (3, 4, 3), np.uint8)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def grey(picture):
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def raw(picture, format):
    """The bytes of a picture in a raw format, made by OpenCV."""
    if format == "bgr":
        return picture.tobytes()
    if format in ("rgb", "grey", "yuv420"):
        code = {"rgb": cv2.COLOR_BGR2RGB, "grey": cv2.COLOR_BGR2GRAY, "yuv420": cv2.COLOR_BGR2YUV_I420}[format]
        return cv2.cvtColor(picture, code).tobytes()
    height, width = picture.shape[:2]
    planar = np.frombuffer(raw(picture, "yuv420"), np.uint8)
    luma, blue, red = np.split(planar, [width * height, width * height * 5 // 4])
    if format == "nv12":
        return luma.tobytes() + np.stack([blue, red], 1).tobytes()
    blue, red = (plane.reshape(height // 2, width // 2).repeat(2, 0) for plane in (blue, red))
    packed = np.empty((height, width, 2), np.uint8)
    packed[:, :, 0] = luma.reshape(height, width)
    packed[:, 0::2, 1], packed[:, 1::2, 1] = blue, red
    return packed.tobytes()


def all_frames(source):
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


@pytest.mark.parametrize("format", RAW)
def test_raw_frames_of_every_format(piped, format):
    pictures = [noise(seed=n) for n in range(3)]
    source = StandardInput(Wanted(SIZE, 10.0, format), descriptor=piped(*(raw(one, format) for one in pictures)))
    frames = all_frames(source)
    assert [frame.t_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2]) and not source.live
    for frame, picture in zip(frames, pictures):
        wanted = grey(picture) if format == "grey" else picture
        assert frame.image.shape == (24, 32, 3)
        assert np.abs(frame.image.astype(int) - wanted).mean() < 6  # halved colours
        assert format not in ("bgr", "rgb", "grey") or (frame.image == wanted).all()


def test_a_pipe_without_a_rate_is_live_and_stamped_when_frames_come(piped):
    wait = threading.Event()
    one = raw(noise(), "bgr")
    source = StandardInput(Wanted(SIZE, None, "bgr"), descriptor=piped(one, one, lambda: wait.wait(5), one))
    assert source.live
    first, second = source.read(), source.read()
    threading.Timer(1.2, wait.set).start()
    third = source.read()
    assert first.t_s == 0.0 and second.gap_s == 0.0
    assert third.gap_s == pytest.approx(1.2, abs=0.4) and third.t_s >= 1.1
    assert time.monotonic() - third.taken_at < 1.0


def header(colour="420", more="", size=SIZE, rate="F25:1 "):
    return f"YUV4MPEG2 W{size[0]} H{size[1]} {rate}Ip A1:1 C{colour}{more}\n".encode()


@pytest.mark.parametrize(
    ("colour", "shares"),
    [("420", (2, 2)), ("420jpeg", (2, 2)), ("422", (2, 1)), ("444", (1, 1)), ("411", (4, 1)), ("mono", None)],
)
@pytest.mark.parametrize("full", [False, True])
def test_yuv4mpeg2(piped, colour, shares, full):
    picture = noise()
    luma, red, blue = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb))  # full range
    if not full:
        luma = np.rint(luma * (219 / 255) + 16).astype(np.uint8)
        red, blue = (np.rint((plane - 128.0) * 224 / 255 + 128).astype(np.uint8) for plane in (red, blue))
    planes = [luma]
    if shares:
        size = (SIZE[0] // shares[0], SIZE[1] // shares[1])
        planes += [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (blue, red)]
    data = b"".join(plane.tobytes() for plane in planes)
    range_ = " XCOLORRANGE=FULL" if full else ""
    source = StandardInput(Wanted(), descriptor=piped(header(colour, range_), b"FRAME\n" + data, b"FRAME Ip\n" + data))
    frames = all_frames(source)
    assert [frame.t_s for frame in frames] == pytest.approx([0.0, 0.04])
    wanted = picture if shares else grey(picture)
    assert np.abs(frames[1].image.astype(int) - wanted).mean() < (9 if colour == "411" else 6)


def test_odd_sides_of_yuv4mpeg2(piped):
    data = b"FRAME\n" + bytes([128]) * (31 * 23 + 2 * 16 * 12)
    (frame,) = all_frames(StandardInput(Wanted(), descriptor=piped(header(size=(31, 23)), data)))
    assert frame.image.shape == (23, 31, 3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"YUV4MPEG2 W0 H24\n", "W0 H24"),
        (b"YUV4MPEG2 W99999 H99999\n", "W99999 H99999"),
        (b"YUV4MPEG2 H24\n", "W H24"),
        (b"YUV4MPEG2 W-4 H24\n", "W-4"),
        (header("420p10"), "C420p10"),
        (b"YUV4MPEG2 W32 H24 It C420\n", "interlaced"),
        (b"YUV4MPEG2" + b"x" * 5000, "W H"),
    ],
)
def test_heads_of_yuv4mpeg2_that_are_refused(piped, line, said):
    with pytest.raises(VideoError, match="YUV4MPEG2") as caught:
        StandardInput(Wanted(), descriptor=piped(line))
    assert said in caught.value.found and "ffmpeg" in caught.value.hint


def test_a_rate_that_means_nothing_is_asked_for(piped):
    for rate in ("F0:0 ", "F1000000:1 ", "", "F25 "):
        source = StandardInput(Wanted(), descriptor=piped(header(rate=rate), b"FRAME\n" + bytes(32 * 24 * 3 // 2)))
        assert source.live and len(all_frames(source)) == 1


def test_ends_in_the_middle(piped):
    """Of a frame or picture: what came before counts, and the error says how much was missing."""
    cases = [
        (Wanted(SIZE, 10.0, "bgr"), raw(noise(), "bgr") + b"x" * 100, "100 of the 2304 bytes of 32x24 bgr"),
        (Wanted(), header() + b"FRAME\n" + bytes(1152) + b"FRAME\n" + bytes(7), "7 of 1152 bytes"),
        (Wanted(), jpeg(noise()) + jpeg(noise())[:90], "90 bytes of it"),
    ]
    for wanted, data, said in cases:
        source = StandardInput(wanted, descriptor=piped(data))
        assert source.read() is not None
        with pytest.raises(VideoError, match="in the middle of") as caught:
            source.read()
        assert caught.value.found == said and caught.value.exit_code == 1


def test_what_stands_between_frames_of_yuv4mpeg2(piped):
    source = StandardInput(Wanted(), descriptor=piped(header() + b"FRAME\n" + bytes(1152) + b"[info] lost frame\n"))
    assert source.read() is not None
    with pytest.raises(VideoError, match="no YUV4MPEG2 from frame 1 on"):
        source.read()


def test_motion_jpeg_with_noise_between_and_a_thumbnail_within(piped):
    """A picture whose comment holds a whole other picture is one picture."""
    small = jpeg(clock_picture(3, 32, 16))
    data = jpeg(clock_picture(5))
    with_thumbnail = data[:2] + b"\xff\xfe" + (len(small) + 2).to_bytes(2, "big") + small + data[2:]
    pieces = b"noise" + with_thumbnail[:100], with_thumbnail[100:] + b"\n\n" + data
    source = StandardInput(Wanted(None, 10.0, "mjpeg"), descriptor=piped(*pieces))
    frames = all_frames(source)
    assert [read_clock(frame.image) for frame in frames] == [5, 5]


def test_of_pictures_that_wait_the_newest_is_taken(piped):
    """Fifty pictures are there when the second is asked for: one of the last comes, without a rate."""
    pictures = [jpeg(clock_picture(n, 32, 16)) for n in range(50)]
    source = StandardInput(Wanted(), descriptor=piped(pictures[0], lambda: time.sleep(0.3), b"".join(pictures[1:])))
    assert read_clock(source.read().image) == 0
    time.sleep(0.6)
    assert read_clock(source.read().image) == 49


def test_every_split_of_a_picture_is_put_together():
    data = jpeg(clock_picture(1234, 64, 48))
    for cut in range(1, len(data), 7):
        cutter = Cutter()
        cutter.add(data[:cut])
        assert cutter.take() is None
        cutter.add(data[cut:])
        assert cutter.take() == data and cutter.waiting == 0
    assert read_clock(decode(data)) == 1234


def test_a_picture_that_declares_too_many_pixels_is_not_decoded():
    data = bytearray(jpeg(clock_picture(1, 64, 48)))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    assert decode(bytes(data)) is None


def test_bytes_that_are_no_pictures_end_with_an_error(piped):
    with pytest.raises(UsageError, match="does not say what it is") as caught:
        StandardInput(Wanted(), descriptor=piped(b"hello, world"))
    assert caught.value.found == "first bytes 68 65 6c 6c 6f 2c 20 77 6f"
    source = StandardInput(Wanted(None, None, "mjpeg"), descriptor=piped(b"hello, world"))
    with pytest.raises(VideoError, match="no Motion JPEG"):
        source.read()
    with pytest.raises(VideoError, match="ends before its first frame"):
        StandardInput(Wanted(), descriptor=piped(b""))
    source = StandardInput(Wanted(SIZE, None, "bgr"), descriptor=piped(b""))
    with pytest.raises(VideoError, match="ends before its first frame"):
        source.read()


def test_a_pipe_that_stays_silent(piped):
    with pytest.raises(VideoError, match="Nothing comes through standard input"):
        StandardInput(Wanted(), descriptor=piped(hold=True), patience_s=0.3)
    source = StandardInput(Wanted(SIZE, None, "bgr"), descriptor=piped(b"x" * 9, hold=True), patience_s=0.3)
    with pytest.raises(VideoError, match="Nothing comes"):
        source.read()


def test_a_stop_ends_the_wait(piped):
    source = StandardInput(Wanted(SIZE, None, "bgr"), descriptor=piped(hold=True))
    threading.Timer(0.2, source.stop).start()
    began = time.monotonic()
    assert source.read() is None
    assert time.monotonic() - began < 0.9


def test_a_file_is_read_frame_by_frame_and_its_rate_is_assumed(tmp_path):
    path = tmp_path / "frames.bin"
    path.write_bytes(b"".join(jpeg(clock_picture(n, 32, 16)) for n in range(4)))
    with path.open("rb") as file:
        source = StandardInput(Wanted(), descriptor=file.fileno())
        frames = all_frames(source)
    assert not source.live
    assert [read_clock(frame.image) for frame in frames] == [0, 1, 2, 3]
    assert frames[-1].t_s == pytest.approx(3 / 25)
    assert "which is assumed (--rate)" in source.notes()[0]


def test_a_terminal_and_nothing_at_all_are_refused():
    leader, follower = os.openpty()
    try:
        with pytest.raises(UsageError, match="gives no frames") as caught:
            StandardInput(Wanted(), descriptor=follower)
        assert caught.value.found == "a terminal"
    finally:
        os.close(leader)
        os.close(follower)
    with pytest.raises(UsageError, match="gives no frames") as caught:
        StandardInput(Wanted(), descriptor=follower)
    assert caught.value.found == "it is closed"


def test_raw_frames_need_a_size_that_they_can_have(piped):
    with pytest.raises(UsageError, match="how large they are"):
        StandardInput(Wanted(format="nv12"), descriptor=piped(b"x"))
    for format in ("yuv420", "nv12", "yuyv"):
        with pytest.raises(UsageError, match="even sides") as caught:
            StandardInput(Wanted((33, 24), None, format), descriptor=piped(b"x"))
        assert caught.value.allowed.startswith("34x24")
    assert pixels.frame_bytes("yuyv", (32, 23)) == 32 * 23 * 2


@pytest.mark.parametrize("text", ["", "640", "0x480", "640x-1", "99999x99999", "640x480x3", "1e3x5", "640 480"])
def test_sizes_that_are_none(text):
    with pytest.raises(UsageError, match="no size of a frame"):
        parse_size(text)


def test_sizes():
    assert parse_size("640x480") == parse_size(" 640 X 480 ") == parse_size("640×480") == (640, 480)
    assert set(RAW) < set(FORMATS)


def test_yuv4mpeg2_is_what_opencv_reads_too(tmp_path):
    """The reader against FFmpeg's, on a file that both take."""
    picture, path = noise((64, 48)), tmp_path / "a.y4m"
    path.write_bytes(header("420jpeg", size=(64, 48)) + (b"FRAME\n" + raw(picture, "yuv420")) * 3)
    capture = cv2.VideoCapture(str(path))
    good, theirs = capture.read()
    assert good
    file = io.BytesIO(path.read_bytes())
    head = y4m.parse(file.readline().rstrip(b"\n"), "x")
    file.readline()
    ours = head.to_bgr(file.read(head.frame_bytes))
    assert np.abs(ours.astype(int) - theirs).mean() < 3
