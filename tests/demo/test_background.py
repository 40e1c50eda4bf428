"""A recording whose encoder is slow or fails, beside a run that goes on."""

from __future__ import annotations

import threading
import time

import pytest

from tsm_edge.demo.background import BackgroundRecorder
from tsm_edge.errors import OutputError


class Slow:
    """A recorder that writes when it may, and fails at the picture of a number."""

    def __init__(self, fails_at=-1):
        self.may, self.seen, self.closed, self._fails_at = threading.Semaphore(0), [], 0, fails_at

    def write(self, picture, t_s):
        self.may.acquire()
        if len(self.seen) == self._fails_at:
            raise OutputError("The disk is nearly full.", found="0 bytes")
        self.seen.append(t_s)

    def close(self):
        self.closed += 1
        return "out.mp4"


def test_a_live_run_never_waits_for_the_encoder(make, capsys):
    slow = Slow()
    recording = BackgroundRecorder(slow, wait=False, room=3)
    for number in range(10):
        recording.write(make.picture((0, 0, 0)), float(number))  # comes back, though nothing is written
    assert recording.left_out == 7
    slow.may.release(20)
    assert recording.close() == recording.close() == "out.mp4"
    assert slow.seen == [0.0, 1.0, 2.0]
    assert capsys.readouterr().err.count("7 pictures are not in the recording") == 1


def test_a_replay_waits_and_nothing_is_left_out(make):
    slow = Slow()
    recording = BackgroundRecorder(slow, wait=True, room=2)

    def write():
        for number in range(10):
            recording.write(make.picture((0, 0, 0)), float(number))

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.1)
    assert writer.is_alive() and slow.seen == []
    slow.may.release(20)
    writer.join()
    recording.close()
    assert slow.seen == [float(number) for number in range(10)] and recording.left_out == 0


@pytest.mark.parametrize("wait", [False, True])
def test_a_full_disk_reaches_the_run_once_and_the_file_is_finished(make, wait):
    slow = Slow(fails_at=2)
    slow.may.release(100)
    recording = BackgroundRecorder(slow, wait=wait)
    with pytest.raises(OutputError, match="nearly full"):
        for number in range(100):
            recording.write(make.picture((0, 0, 0)), float(number))
            time.sleep(0.01)
    assert recording.close() == "out.mp4" and slow.closed == 1
    failing = BackgroundRecorder(Slow(fails_at=0), wait=wait)
    failing._recorder.may.release()
    failing.write(make.picture((0, 0, 0)), 0.0)
    with pytest.raises(OutputError, match="nearly full"):  # at the end of the run, where no other picture comes
        failing.close()
