"""The live page's server: who gets what, and that no viewer can hold up whoever offers pictures."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

pytest.importorskip("tornado", reason="the page needs the extra 'serve'")

from web_lab import ask, request_only, status, unpack, wait_for

from tsm_edge.demo.feed import Live
from tsm_edge.demo.loop import Loop
from tsm_edge.demo.report import JsonReporter
from tsm_edge.demo.sources.files import VideoFile
from tsm_edge.demo.web import viewer
from tsm_edge.demo.web.pictures import arranged
from tsm_edge.demo.web.server import PAGE
from tsm_edge.demo.web.turns import short_turns
from tsm_edge.sampling import Sampler


def noise(width=960, height=720):
    """A picture that no encoder makes small."""
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_the_page_is_whole_and_closed(serve):
    answered, headers, body = ask(serve(), "/")
    assert answered == 200
    text = body.decode()
    assert text == PAGE.read_text()
    assert not re.findall(r"(?:src|href|url|@import)\s*[=(]?\s*[\"']?(?:https?:)?//", text)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers


def test_a_picture_comes_with_all_there_is_to_tell(serve, make):
    server = serve()
    for ms in (4.0, 6.0):
        server.offer(make.picture((0, 0, 255)), status(ms))
    server.offer(make.picture((255, 0, 0)), last := status(7.0))
    server.offer(make.picture((255, 0, 0)), last)  # a frame that the model did not see
    answered, _, body = ask(server, "/next?after=0")
    state, picture = unpack(body)
    assert answered == 200
    assert picture.shape == (48, 64, 3)  # without the panel: the page has its own
    assert picture[24, 32].argmax() == 0
    assert (state["model"], state["number"], state["front"]) == ("colours", 4, 0)
    (state,) = state["inputs"]
    assert state["times_ms"] == [4.0, 6.0, 7.0]
    assert (state["source"], state["cell"]) == ("clip.mp4", [0, 0, 1, 1])
    assert (state["label"], state["probability"], state["note"], state["dropped"]) == (
        "Stop Sign",
        0.9,
        "a note",
        3,
    )
    assert [(one["label"], one["probability"]) for one in state["top"]] == [
        ("Stop Sign", 0.9),
        ("No gesture", 0.1),
    ]
    assert [(one["begin"], one["end"]) for one in state["strip"]] == [(0.0, 0.9), (0.9, 1.0)]
    assert state["strip"][1]["colour"] == state["top"][0]["colour"]


def test_labels_reach_the_page_without_what_a_reader_cannot_see(serve, make):
    server = serve()
    server.offer(make.picture((0, 0, 255)), status(label="\x1b[2J\u202eback", probability=None))
    (state,) = unpack(ask(server, "/next?after=0")[2])[0]["inputs"]
    texts = [state["label"], state["top"][0]["label"], state["strip"][1]["label"]]
    assert texts == ["\\x1b[2J\\u202eback"] * 3
    assert state["probability"] is None


def test_several_inputs_are_told_of_each_and_the_newest_gesture_is_in_front(serve, make):
    server = serve(sources=["a", "b", "c"])
    blue, green, red = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    fronts = []

    def see():
        packet, picture = unpack(ask(server, "/next?after=0")[2])
        fronts.append(packet["front"])
        return packet["inputs"], picture

    server.place(0).offer(make.picture(blue), status(label="none", probability=None))
    inputs, _ = see()
    assert [sorted(one) == ["source"] for one in inputs] == [False, True, True]
    server.place(1).offer(make.picture(red, 640, 480), status(label="wave"))
    server.place(0).offer(make.picture(blue), status(3.0, label="none", probability=None))
    see()
    server.place(2).offer(make.picture(green, 320, 480), status(label="swipe"))
    see()
    server.place(1).offer(make.picture(red, 640, 480), status(label="wave"))  # goes on, is no news
    inputs, picture = see()
    assert fronts == [0, 1, 2, 2]
    assert [(one["source"], one["label"]) for one in inputs] == [("a", "none"), ("b", "wave"), ("c", "swipe")]
    assert [one["times_ms"] for one in inputs] == [[5.0, 3.0], [5.0, 5.0], [5.0]]
    assert picture.shape == (2 * 480, 2 * 480, 3)
    for one, colour in zip(inputs, (blue, red, green)):  # each lies where its cell says
        left, top, width, height = (round(960 * share) for share in one["cell"])
        inner = picture[top + 4 : top + height - 4, left + 4 : left + width - 4].astype(int)
        assert np.abs(inner - colour).max() < 10
        assert width == 480 or height == 480


def test_pictures_that_have_not_come_are_dark(make):
    blue, red = (255, 0, 0), (0, 0, 255)
    whole, cells = arranged([make.picture(blue), None, None, None, make.picture(red)])
    assert whole.shape == (2 * 48, 3 * 64, 3)
    assert (whole[:48, :64] == blue).all() and (whole[48:, 64:128] == red).all()
    assert not whole[:48, 64:].any()
    assert cells[4] == (0.3333, 0.5, 0.3333, 0.5)


def test_nothing_is_encoded_while_nobody_looks_on(serve, make):
    server = serve()
    for _ in range(50):
        server.offer(make.picture((0, 0, 255)), status())
    assert server._site.states.encoded == server._site.pictures.encoded == 0
    state, _ = unpack(ask(server, "/next?after=0")[2])
    assert state["number"] == 50
    assert (server._site.states.encoded, server._site.pictures.encoded) == (1, 0)


def test_several_viewers_get_the_same_picture_encoded_once(serve, make):
    server = serve()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, server, "/next?after=0") for _ in range(8)]
        wait_for(lambda: server.viewers == 8)
        server.offer(make.picture((0, 0, 255)), status())
        states = [unpack(answer.result()[2])[0] for answer in answers]
    assert [state["number"] for state in states] == [1] * 8
    assert server._site.states.encoded == 1
    wait_for(lambda: server.viewers == 0)


def test_many_viewers_share_a_number_of_pictures(serve, make):
    """Each of 24 viewers sees 5 pictures a second, a quarter of what a few see."""
    server = serve()
    ended = time.monotonic() + 1.5

    def look(_):
        seen, number = 0, 0
        while time.monotonic() < ended:
            answered, _, body = ask(server, f"/next?after={number}")
            number = unpack(body)[0]["number"]
            seen += answered == 200
        return seen

    with ThreadPoolExecutor(24) as pool:
        looking = [pool.submit(look, one) for one in range(24)]
        while not all(one.done() for one in looking):
            server.offer(make.picture((0, 0, 255)), status())
            time.sleep(0.01)
    assert 2 <= server._site.states.encoded <= 12  # 30 at the rate for a few
    assert min(one.result() for one in looking) >= 2


def test_a_viewer_that_comes_back_late_gets_the_newest(serve, make):
    server = serve()
    server.offer(make.picture((0, 0, 255)), status())
    assert unpack(ask(server, "/next?after=0")[2])[0]["number"] == 1
    for _ in range(30):
        server.offer(make.picture((0, 0, 255)), status())
    assert unpack(ask(server, "/next?after=1")[2])[0]["number"] == 31
    assert unpack(ask(server, "/next?after=4711")[2])[0]["number"] == 31  # a page of an earlier run
    assert server._site.states.encoded == 2


def test_pictures_for_viewers_are_of_moderate_size(serve, make):
    server = serve()
    server.offer(make.picture((0, 0, 255), 1920, 1080), status())
    assert unpack(ask(server, "/next?after=0")[2])[1].shape == (540, 960, 3)


def test_when_nothing_comes_it_says_so(serve, make):
    server = serve(quiet_s=0.1)
    assert ask(server, "/next?after=0")[0] == 204
    server.offer(make.picture((0, 0, 255)), status())
    assert ask(server, "/next?after=0")[0] == 200
    assert ask(server, "/next?after=1")[0] == 204


def test_viewers_are_told_that_it_has_ended_and_why(serve, make):
    server = serve()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, server, "/next?after=0")
        stream = request_only(server, "/stream.mjpg")
        wait_for(lambda: server.viewers == 2)
        server.close("max-frames")
        answered, _, body = waiting.result()
    assert (answered, json.loads(body)) == (410, {"ended": "max-frames"})
    stream.settimeout(10)
    received = b""
    while chunk := stream.recv(1 << 16):
        received += chunk
    stream.close()
    assert b"multipart/x-mixed-replace" in received  # and then the end of the file
    with pytest.raises(ConnectionRefusedError):
        ask(server, "/")


def test_the_stream_is_one_that_opencv_plays(serve, make):
    server = serve()
    stop = threading.Event()

    def offer():
        while not stop.wait(0.02):
            server.offer(make.picture((0, 0, 255), 320, 240), status())

    thread = threading.Thread(target=offer)
    thread.start()
    try:
        capture = cv2.VideoCapture(f"{server.url}stream.mjpg")
        pictures = [capture.read()[1] for _ in range(3)]
        capture.release()
    finally:
        stop.set()
        thread.join()
    assert all(picture.shape[1] == 320 and picture.shape[0] > 320 for picture in pictures)  # with the panel
    assert pictures[0][120, 160].argmax() == 2


@pytest.mark.parametrize("path", ["/stream.mjpg", "/next?after=0"])
def test_a_viewer_that_never_reads_is_cut_off_and_costs_nothing(serve, path):
    server = serve(patience_s=0.3)
    picture = noise()  # about 450 KiB, more than the system buffers for one viewer
    stuck = [request_only(server, path, receive_bytes=4096) for _ in range(4)]
    wait_for(lambda: server.viewers == 4)
    offered = 0
    while server.viewers:
        server.offer(picture, status())
        offered += 1
        time.sleep(0.01)
        assert offered < 800  # eight seconds
    encoded = server._site.pictures.encoded + server._site.states.encoded
    assert encoded < 20  # four viewers' buffers full, and no more
    server.offer(picture, status())
    assert unpack(ask(server, "/next?after=0")[2])[0]["number"] == offered + 1  # others are served
    for client in stuck:
        client.close()


def test_viewers_that_vanish_are_forgotten(serve, make):
    server = serve()
    for path in ("/next?after=0", "/stream.mjpg"):
        client = request_only(server, path)
        wait_for(lambda: server.viewers == 1)
        client.close()
        wait_for(lambda: server.viewers == 0)


def test_there_is_room_for_so_many_viewers(serve, monkeypatch):
    monkeypatch.setattr(viewer, "MAX_VIEWERS", 2)
    server = serve()
    clients = [request_only(server, "/next?after=0") for _ in range(2)]
    wait_for(lambda: server.viewers == 2)
    for path in ("/next?after=0", "/stream.mjpg"):
        answered, _, body = ask(server, path)
        assert (answered, body) == (503, b"503: 2 viewers are looking on already\n")
    assert ask(server, "/")[0] == 200
    clients.pop().close()
    wait_for(lambda: server.viewers == 1)
    clients.pop().close()


def test_viewers_that_never_read_do_not_slow_the_model(serve, make, write_video, capsys):
    """Two seconds of video by its clock, with a page that reads, and viewers that never do."""
    server = serve(patience_s=60)
    colours = [make.picture((0, 0, 255), 960, 720), noise()]
    clip = write_video([colours[number % 2] for number in range(60)])
    stuck = [request_only(server, path, 4096) for path in ("/stream.mjpg", "/next?after=0") for _ in range(5)]
    wait_for(lambda: server.viewers == 10)
    loop = Loop(
        make.stream(), Live(VideoFile(clip), Sampler(12)), make.labels, JsonReporter(), viewers=server
    )
    seen, done = [], threading.Event()

    def watch():
        after = 0
        while not done.is_set():
            answered, _, body = ask(server, f"/next?after={after}")
            if answered == 200:
                after = unpack(body)[0]["number"]
                seen.append(after)

    page = threading.Thread(target=watch)
    page.start()
    assert loop.run() is None
    done.set()
    server.close()
    page.join()
    loop.feed.close()
    for client in stuck:
        client.close()
    assert loop.frames + loop.feed.dropped == 24
    assert loop.frames >= 12  # all 24 on a machine that has nothing else to do
    assert len(seen) >= 5
    assert seen == sorted(set(seen))


def test_threads_take_short_turns_while_viewers_are_served_and_not_after():
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(0.0005, rel=0.01)
    assert sys.getswitchinterval() == before
