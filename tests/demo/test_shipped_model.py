"""The model and the clips that come with the package: the demo says what is done in them, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

from tsm_edge.decision import is_quiet
from tsm_edge.demo import REAL_CLIP, SAMPLE_CLIP
from tsm_edge.demo.default_bundle import MODEL

#: the mean of the last second decides, so a label stays until its frames have left the window
LINGERS_S = 1.6


def decisions(folder, clip, *options):
    """(time, label) of every frame that the model saw."""
    command = [sys.executable, "-m", "tsm_edge", "demo", "--bundle", str(folder), "--video", str(clip)]
    done = subprocess.run(
        [*command, "--headless", "--json", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "means nothing" not in done.stderr
    *lines, summary = map(json.loads, done.stdout.splitlines())
    assert (summary["model"], summary["weights"]) == (MODEL, "default")
    return [(line["t_s"], line["label"]) for line in lines]


def spoken(found):
    """The gestures in the order in which they were announced, with the time of each."""
    changes = [now for before, now in zip([(0.0, ""), *found], found) if now[1] != before[1]]
    return [(time, label) for time, label in changes if not is_quiet(label)]


def test_every_gesture_of_the_clip_is_recognised_when_it_is_made(shipped, cues):
    said = spoken(decisions(shipped, SAMPLE_CLIP))
    assert [label for _, label in said] == [cue["label"] for cue in cues]
    for (time, _), cue in zip(said, cues):
        assert cue["start_s"] < time < cue["end_s"] + LINGERS_S / 2


def test_a_command_hears_of_each_gesture_once_and_in_order(shipped, cues, tmp_path):
    """A command that takes longer than the replay between two gestures: all wait for their turn."""
    script = tmp_path / "told"
    script.write_text(
        f'#!/bin/sh\nsleep 0.3\necho "$TSM_EDGE_EVENT|$TSM_EDGE_LABEL|$TSM_EDGE_ENDED" >> {tmp_path}/out\n'
    )
    script.chmod(0o755)
    decisions(shipped, SAMPLE_CLIP, "--on-change", str(script))
    assert (tmp_path / "out").read_text().splitlines() == [f"gesture|{cue['label']}|" for cue in cues]
    (tmp_path / "out").unlink()
    decisions(shipped, SAMPLE_CLIP, "--on-change", str(script), "--on-change-idle")
    heard = [line.split("|") for line in (tmp_path / "out").read_text().splitlines()]
    assert [(kind, ended or label) for kind, label, ended in heard] == [
        (kind, cue["label"]) for cue in cues for kind in ("gesture", "idle")
    ]
    assert all(is_quiet(label) for kind, label, _ in heard if kind == "idle")


def test_what_a_least_confidence_leaves_out_is_not_told(shipped, cues, tmp_path):
    lines = tmp_path / "out"
    command = f"sh -c 'echo \"$TSM_EDGE_LABEL|$TSM_EDGE_CONFIDENCE\" >> {lines}'"
    decisions(shipped, SAMPLE_CLIP, "--on-change", command, "--min-confidence", "0.97")
    heard = [line.split("|") for line in lines.read_text().splitlines()]
    assert all(float(confidence) >= 0.97 for _, confidence in heard)
    labels = [cue["label"] for cue in cues]
    assert [label for label in labels if label in dict(heard)] == [label for label, _ in heard]
    lines.unlink()
    decisions(shipped, SAMPLE_CLIP, "--on-change", command, "--min-confidence", "1")
    assert not lines.exists()


def test_in_a_mirror_left_is_right(shipped, cues):
    turned = {
        "Left": "Right",
        "Right": "Left",
        "Clockwise": "Counterclockwise",
        "Counterclockwise": "Clockwise",
    }
    expected = [" ".join(turned.get(word, word) for word in cue["label"].split()) for cue in cues]
    assert [label for _, label in spoken(decisions(shipped, SAMPLE_CLIP, "--mirror"))] == expected
    assert expected != [cue["label"] for cue in cues]


def test_people_who_make_no_gesture_are_no_gesture(shipped):
    """Jumping jacks and a back flip; somebody walks by."""
    assert len(spoken(decisions(shipped, REAL_CLIP))) <= 1
