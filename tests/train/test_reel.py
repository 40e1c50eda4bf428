"""One take of several gestures: where they are, and what the command writes."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import cli, synth
from tsm_edge.errors import UnknownName
from tsm_edge.synth.reel import AWAY, COMES, STAYS, render_reel

LABELS = ("Swiping Left", "Zooming In With Full Hand", "Swiping Up")


@pytest.fixture(scope="module")
def reel():
    return render_reel("plain", 4, LABELS, size=64, rate_fps=12)


def test_the_same_arguments_give_the_same_take(reel):
    again = render_reel("plain", 4, LABELS, size=64, rate_fps=12)
    assert np.array_equal(again.frames, reel.frames) and again.cues == reel.cues
    assert not np.array_equal(render_reel("plain", 5, LABELS, size=64).frames[0], reel.frames[0])


def test_cues_stand_in_the_order_of_time_and_within_the_take(reel):
    assert tuple(cue.label for cue in reel.cues) == LABELS
    times = [time for cue in reel.cues for time in (cue.start_s, cue.end_s)]
    assert times == sorted(times) and times[0] > AWAY and times[-1] < len(reel.frames) / reel.rate_fps


def test_the_hand_moves_at_its_cue_and_is_away_before_and_after(reel):
    """The picture changes most within the cues, but for the coming and going, and hardly at all between the visits."""
    moved = np.abs(np.diff(reel.frames.astype(int), axis=0)).mean((1, 2, 3))

    def during(start_s, end_s):
        return moved[round(start_s * reel.rate_fps) : round(end_s * reel.rate_fps)].mean()

    idle = during(0.1, AWAY - 0.1)
    for cue in reel.cues:
        assert during(cue.start_s, cue.end_s) > 4 * idle
        gone = cue.end_s + STAYS + COMES
        assert during(gone + 0.1, gone + AWAY - 0.1) < 2 * idle


def test_unknown_labels_are_refused_with_a_neighbour():
    with pytest.raises(UnknownName, match="Did you mean 'Swiping Left'"):
        render_reel("plain", 0, ["Swiping Lef"])


def test_the_command_writes_video_and_cues(tmp_path):
    words = [
        "synth",
        "--out",
        str(tmp_path),
        "--split",
        "plain",
        "--size",
        "48",
        "--reel",
        ",".join(LABELS[:2]),
    ]
    result = CliRunner().invoke(cli.cli, words)
    assert result.exit_code == 0, result.output
    assert "Swiping Left" in result.stdout and "next: tsm-edge demo --video" in result.stdout
    facts = json.loads((tmp_path / "reel.json").read_text())
    assert [cue["label"] for cue in facts["cues"]] == list(LABELS[:2])
    assert set(LABELS) <= set(synth.LABELS)
    capture = cv2.VideoCapture(str(tmp_path / "reel.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == facts["frames"]
    assert capture.get(cv2.CAP_PROP_FPS) == facts["rate_fps"]


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    words = ["synth", "--out", str(tmp_path / "file" / "below"), "--split", "plain", "--reel", LABELS[0]]
    result = CliRunner().invoke(cli.cli, words)
    assert result.exit_code == 1 and "cannot be written" in result.output
