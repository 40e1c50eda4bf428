"""Replay and Live: no frame is late, and none is lost uncounted."""

from __future__ import annotations

import threading
import time

import pytest

from tsm_edge.demo.feed import Live, Replay
from tsm_edge.demo.sources import Frame
from tsm_edge.errors import CameraError, VideoError
from tsm_edge.sampling import Sampler


class Scripted:
    """A source of ``count`` frames at ``fps``. A live one hands over a frame only when it is told to."""

    name = "script"
    state = ""
    reconnects = 0

    def __init__(self, make, count, fps, live, error=None):
        self.live = live
        self.closed = 0
        self._frames = [Frame(make.picture((n, 0, 0)), n / fps) for n in range(count)]
        self._error = error
        self._allowed = threading.Semaphore(0)
        self.waiting = threading.Event()

    def allow(self, count):
        for _ in range(count):
            self._allowed.release()

    def read(self):
        if self.live:
            self.waiting.set()
            self._allowed.acquire()
            self.waiting.clear()
        if self._frames:
            return self._frames.pop(0)
        if self._error is not None:
            raise self._error
        return None

    def notes(self):
        return []

    def stop(self):
        pass

    def silence(self, seconds):
        return CameraError("The script went silent.", found=f"no frame for {seconds:g} s")

    def close(self):
        self.closed += 1


def settled(source, feed, count):
    """Let a live source deliver ``count`` frames and wait until it asks for the next one."""
    source.waiting.wait(5)
    for _ in range(count):
        before = source._frames[0] if source._frames else None
        source.allow(1)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and (
            (source._frames and source._frames[0] is before) or not (source.waiting.is_set() or feed._ended)
        ):
            time.sleep(0.001)


def drain(feed):
    items = []
    while not feed.finished:
        item = feed.take(0.05)
        if item is not None:
            items.append(item)
    return items


def test_replay_gives_every_chosen_frame_once(make):
    source = Scripted(make, 300, 60, live=False)
    feed = Replay(source, Sampler(12))
    items = drain(feed)
    assert [item.frame.t_s for item in items] == pytest.approx([n / 12 for n in range(60)])
    assert all(item.steps for item in items)
    assert feed.dropped == 0
    feed.close()
    assert source.closed == 1


def test_live_keeps_the_newest_chosen_frame_and_counts_the_others(make):
    source = Scripted(make, 100, 12, live=True)
    feed = Live(source, Sampler(12))
    settled(source, feed, 5)  # the loop is busy while five frames come
    item = feed.take(1.0)
    assert item.steps
    assert item.frame.image[0, 0, 0] == 4
    assert feed.dropped == 4
    assert feed.take(0.01) is None  # nothing older is left to catch up with
    settled(source, feed, 1)
    assert feed.take(1.0).frame.image[0, 0, 0] == 5
    assert feed.dropped == 4
    feed._stop.set()
    source.allow(100)
    feed.close()
    assert source.closed == 1


def test_live_shows_frames_between_the_models_without_counting_them(make):
    source = Scripted(make, 100, 30, live=True)
    feed = Live(source, Sampler(12))
    chosen = []
    for _ in range(6):
        settled(source, feed, 1)
        chosen.append(bool(feed.take(1.0).steps))
    assert chosen == [True, False, True, False, False, True]
    assert feed.dropped == 0
    feed._stop.set()
    source.allow(100)
    feed.close()


def test_live_hands_over_the_last_frame_before_the_cameras_error(make):
    source = Scripted(make, 2, 12, live=True, error=CameraError("The script stopped delivering frames."))
    feed = Live(source, Sampler(12))
    source.allow(3)
    items = []
    with pytest.raises(CameraError, match="stopped delivering"):
        while not feed.finished:
            items.append(feed.take(1.0))
    assert feed.finished
    assert items[-1].frame.image[0, 0, 0] == 1
    assert len(items) + feed.dropped == 2
    feed.close()


def test_a_silent_camera_is_an_error_in_time(make):
    now = [0.0]
    source = Scripted(make, 5, 12, live=True)
    feed = Live(source, Sampler(12), patience_s=15, clock=lambda: now[0])
    assert feed.take(0.001) is None
    now[0] = 16.0
    with pytest.raises(CameraError, match="no frame for 16 s"):
        feed.take(0.001)
    feed._stop.set()
    source.allow(6)
    feed.close()


def test_a_file_in_a_window_plays_at_its_own_speed(make):
    source = Scripted(make, 10, 30, live=False)
    began = time.monotonic()
    feed = Live(source, Sampler(30))
    items = drain(feed)
    assert time.monotonic() - began >= 0.29
    assert items[-1].frame.t_s == pytest.approx(0.3)
    assert len(items) + feed.dropped >= 10
    feed.close()
    assert source.closed == 1


def test_a_file_played_to_a_slow_loop_drops_and_stays_on_time(make):
    source = Scripted(make, 24, 24, live=False)
    feed = Live(source, Sampler(12))
    began, late, chosen = time.monotonic(), [], 0
    while not feed.finished:
        item = feed.take(0.05)
        if item is not None and item.steps:
            late.append(time.monotonic() - began - item.frame.t_s)
            chosen += 1
            time.sleep(0.2)
    feed.close()
    assert chosen + feed.dropped == 12
    assert feed.dropped >= 5
    assert max(late) < 0.35  # never older than one slow step, however many came before


def test_an_error_of_a_file_reaches_the_loop(make):
    feed = Live(Scripted(make, 0, 30, live=False, error=VideoError("broken.png cannot be read")), Sampler(12))
    with pytest.raises(VideoError, match=r"broken\.png"):
        drain(feed)
    feed.close()
