"""Network cameras: Motion JPEG over HTTP from a server of the test, and what all network sources have in common."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from stream_servers import (
    HttpCamera,
    begin_parts,
    clock_picture,
    clock_stream,
    part,
    read_clock,
)
from streams_lab import opened, refusal

from tsm_edge.demo.sources import live
from tsm_edge.demo.sources.address import PASSWORD, take_apart
from tsm_edge.demo.sources.live import LiveSource, Picture
from tsm_edge.demo.sources.opening import check_input
from tsm_edge.demo.sources.redact import without_secrets
from tsm_edge.demo.sources.uri import parse_input
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import StreamError, UsageError


@pytest.fixture
def camera():
    """Return a function that makes an HTTP camera; all are closed."""
    made = []

    def make(behave, **options):
        made.append(HttpCamera(behave, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def hasty(monkeypatch):
    """Short waits, for the cameras that never answer."""
    monkeypatch.setattr("tsm_edge.demo.sources.http_camera.PATIENCE_S", 0.6)
    monkeypatch.setattr("tsm_edge.demo.sources.address.PATIENCE_S", 0.6)
    monkeypatch.setattr(live, "_FIRST_S", 0.2)


# -- Motion JPEG over HTTP -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_pictures_come_with_stamps_that_advance(camera, chunked):
    source = opened(camera(clock_stream(20, chunked=chunked)).url)
    frames = [source.read() for _ in range(8)]
    source.close()
    assert frames[0].image.shape == (240, 320, 3) and frames[0].t_s == 0.0
    stamps = [frame.t_s for frame in frames]
    assert stamps == sorted(set(stamps))
    shown = [read_clock(frame.image) for frame in frames]
    assert shown == sorted(shown) and len(set(shown)) == 8
    late_ms = (int(time.monotonic() * 1000) - shown[-1]) % 65536
    assert late_ms < 1000


def test_a_reader_that_is_slow_gets_the_newest_picture_and_not_the_next(camera):
    """Ten pictures that came while nobody read cost one decoding; what is shown is not behind."""
    source = opened(camera(clock_stream(40)).url)
    source.read()
    for _ in range(3):
        time.sleep(0.5)
        frame = source.read()
        late_ms = (int(time.monotonic() * 1000) - read_clock(frame.image)) % 65536
        assert late_ms < 300, "a queue of 20 pictures would be 500 ms"
    source.close()


@pytest.mark.parametrize("digest", [False, True])
def test_user_and_password_are_given_and_never_shown(camera, digest, monkeypatch):
    one = camera(clock_stream(50), password="s3c ret/@", digest=digest)
    source = opened(one.url.replace("//", "//me:s3c%20ret%2F%40@"))
    assert source.read() is not None
    source.close()
    assert "s3c" not in source.name and "me:" not in source.name
    monkeypatch.setenv(PASSWORD, "s3c ret/@")
    source = opened(one.url.replace("//", "//me@"))
    assert source.read() is not None
    source.close()
    assert "asks for a user and a password" in refusal(one.url)
    text = refusal(one.url.replace("//", "//me:wr0ng@"))
    assert "does not take this user and password" in text
    assert "wr0ng" not in text


def answer(kind, data=b"x", code=200):
    def behave(handler):
        handler.send_response(code)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return behave


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (answer("text/html; charset=utf-8"), "is no video"),
        (answer("image/jpeg"), "is a single picture"),
        (answer("text/plain", code=404), "HTTP 404"),
        (answer("text/plain", code=503), "HTTP 503"),
        (answer("video/mp4", b"no video at all" * 9), "No video could be read"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n"), "no answer that HTTP knows"),
        (begin_parts, "broke off"),
    ],
)
def test_what_is_no_camera_is_said_in_words(camera, behave, said, hasty):
    assert said in refusal(camera(behave).url)


def test_pictures_that_cannot_be_decoded(camera, hasty):
    broken = b"\xff\xd8\xff\xfe\x00\x04ab\xff\xd9"  # a comment, and nothing to see

    def behave(handler):
        begin_parts(handler)
        part(handler, broken)
        time.sleep(1)

    assert "cannot be decoded" in refusal(camera(behave).url)


def test_a_camera_that_is_silent(camera, hasty):
    def behave(handler):
        begin_parts(handler)
        time.sleep(2)

    assert "connected, but no picture comes" in refusal(camera(behave).url)


def test_addresses_where_nobody_is(hasty):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        for scheme in ("http", "rtsp"):
            text = refusal(f"{scheme}://me:s3cret@127.0.0.1:{port}/a?pwd=s3cret")
            assert "refuses the connection" in text and "s3cret" not in text
            with pytest.raises(StreamError, match="refuses"):
                check_input(parse_input(f"{scheme}://127.0.0.1:{port}/a"), Wanted())
    assert "no host 'no-such-host.invalid'" in refusal("rtsp://no-such-host.invalid/live")


def test_a_stream_that_breaks_off_is_connected_again_and_says_so(camera, monkeypatch):
    """Cut after three pictures; the second connection goes on, after a gap that resets the model's states."""
    monkeypatch.setattr(live, "_PAUSES_S", (0.3,))
    monkeypatch.setattr(live, "GAP_S", 0.2)
    one = camera(clock_stream(50, count=3))
    source = opened(one.url)
    states, seen = [], threading.Event()

    def watch():
        while not seen.wait(0.02):
            states.append(source.state)

    watcher = threading.Thread(target=watch)
    watcher.start()
    frames = []
    while source.reconnects < 2:
        frames.append(source.read())
    seen.set()
    watcher.join()
    source.close()
    gaps = [frame.gap_s for frame in frames if frame.gap_s]
    assert len(gaps) == 2 and all(0.2 < gap < 5 for gap in gaps)
    assert f"no picture from {one.url}: connecting again" in states
    assert source.state == "" and source.notes() == [f"{one.url} was connected again 2 times"]
    assert [a.t_s < b.t_s for a, b in zip(frames, frames[1:])] == [True] * (len(frames) - 1)


def test_a_stream_that_stays_away_is_given_up(camera, monkeypatch):
    monkeypatch.setattr(live, "_PAUSES_S", (0.05,))
    one = camera(clock_stream(50, count=3))
    source = opened(one.url, give_up_s=0.4)
    source.read()
    one.close()
    with pytest.raises(StreamError, match="s of video, then none for"):
        while True:
            source.read()


def test_pauses_grow_and_a_stop_ends_them():
    waits = []

    def connect():
        if waits or connected:
            raise StreamError("gone", found="nobody")
        connected.append(1)
        return Once()

    class Once:
        count = 0

        def read(self, stopped):
            self.count += 1
            if self.count > 1:
                raise StreamError("cut")
            return Picture(clock_picture(1), time.monotonic())

        def close(self):
            pass

    connected = []
    now = [100.0]

    def wait(seconds):
        waits.append(seconds)
        now[0] += seconds
        if len(waits) == 8:
            source.stop()

    source = LiveSource("x", connect, clock=lambda: now[0], wait=wait)
    assert source.read() is not None
    assert source.read() is None
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


# -- Secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@10.0.0.7:554/h264?x=1@2", "rtsp://...@10.0.0.7:554/h264?x=1@2"),
        ("http://c/v.cgi?user=admin&pwd=s3cret&w=640", "http://c/v.cgi?user=...&pwd=...&w=640"),
        ("rtsp://c/user=admin&password=s3cret&channel=1", "rtsp://c/user=...&password=...&channel=1"),
        ("rtspsrc location=rtsp://a:b@c/d user-pw=s3cret ! x", "rtspsrc location=rtsp://...@c/d user-pw=... ! x"),
        ("rtspsrc user-pw='a b' ! x", "rtspsrc user-pw=... ! x"),
        ("http://c/?Token=s3cret#x", "http://c/?Token=...#x"),
        ("udp://@239.0.0.1:1234", "udp://...@239.0.0.1:1234"),
        ("http://c/?monkey=1&w=2", "http://c/?monkey=1&w=2"),
    ],
)
def test_secrets_are_left_out(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text", ["http://cam:port/", "http://[::1/", "rtsp://:pw@/x", "http:///x", "rtsp://a b/c", "http://h/\x1b[31m"]
)
def test_addresses_that_are_none(text):
    with pytest.raises(UsageError):
        take_apart(parse_input(text).address)


def test_the_parts_of_an_address():
    one = take_apart("rtsp://me:p%40ss@[::1]:8554/a?b=c")
    assert (one.host, one.port, one.user, one.password) == ("::1", 8554, "me", "p@ss")
    assert one.bare == "rtsp://[::1]:8554/a?b=c"
    assert one.whole == "rtsp://me:p%40ss@[::1]:8554/a?b=c"
    assert "p%40ss" not in repr(one) and "p@ss" not in repr(one)
    assert take_apart("http://cam/x").whole == "http://cam/x"
