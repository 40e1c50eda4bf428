"""`tsm-edge compare`: what a network costs on a target, in a table, as JSON and as a picture."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge.cli import cli
from tsm_edge.compile.comparison import command, picture
from tsm_edge.compile.comparison.rows import MEASURED, MODELLED, Row, read_gestures
from tsm_edge.errors import UsageError


def row(name, accuracy, gmac, ms):
    source = None if ms is None else MEASURED
    return Row(name, 224, 8, 24_000_000, int(gmac * 1e9), ms, source, 7, 2**27, 2**26, accuracy, "a paper, 8 frames")


def test_a_model_in_the_table_of_a_board(tmp_path):
    results = tmp_path / "results.json"
    results.write_text('{"tsm-resnet18": 71.5}')
    words = ["compare", "tsm-resnet18", "--target", "raspberry-pi-4", "--size", "32", "--json"]
    done = CliRunner().invoke(cli, [*words, "--gestures", str(results), "--bundles", str(tmp_path)])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["models"]
    assert found["source"] == MODELLED and found["decision_ms"] > 0
    assert found["frames"] == 1 and found["wait_frames"] == 0 and found["gestures"] == 71.5
    manifest = json.loads((tmp_path / "tsm-resnet18" / "manifest.json").read_text())
    plan = manifest["plan"]
    assert found["macs"] == plan["macs"] and found["peak_bytes"] >= plan["weights_bytes"] + plan["arena_bytes"]


def test_words_that_are_wrong_end_before_anything_is_compiled(tmp_path):
    for words, part in (
        (["eco-light"], "Did you mean 'eco-lite'"),
        (["eco-lite", "--plot", "a.svg"], "a name that ends in .png"),
        (["eco-lite", "--size", "33"], "a multiple of 16"),
    ):
        done = CliRunner().invoke(cli, ["compare", *words])
        assert done.exit_code == 2 and part in done.output + done.stderr


def test_gestures_of_a_file_that_has_none(tmp_path):
    assert not read_gestures(None).top1
    file = tmp_path / "list.json"
    file.write_text("[1]")
    with pytest.raises(UsageError, match="holds no accuracies"):
        read_gestures(file)


def test_where_gestures_come_from(tmp_path):
    file = tmp_path / "results.json"
    file.write_text('{"top1": {"eco-lite": 50}, "what": "two epochs"}')
    given = read_gestures(file)
    assert given.top1 == {"eco-lite": 50.0}
    measured = replace(row("eco-lite", None, 1.0, 1.0), gestures=50.0)
    assert command.sources([measured], given.what) == "eco-lite: a paper, 8 frames\ngestures: two epochs"
    assert "gestures" not in command.sources([row("eco-lite", 1.0, 1.0, 1.0)], given.what)


def test_dots_are_where_their_numbers_say():
    rows = [row("small", 20.0, 10.0, 5.0), row("large", 45.0, 100.0, None), row("unknown", None, 50.0, 20.0)]
    image = picture.draw(rows, "a board, 1 thread")
    assert image.shape == (picture.HEIGHT, picture.WIDTH, 3)
    left, right = (image[picture.TOP : picture.BOTTOM, a:b] for a, b in picture.PANES)
    colour = np.array(picture.PALETTE[0])
    dots = np.argwhere((left == colour).all(axis=2))
    other = np.argwhere((left == np.array(picture.PALETTE[1])).all(axis=2))
    assert len(dots) > 50 and len(other) > 50
    low, high = sorted((dots.mean(axis=0), other.mean(axis=0)), key=lambda centre: -centre[0])
    assert low[1] < high[1]  # fewer multiply-adds stand further left, lower accuracy further down
    assert (right == colour).all(axis=2).any()  # the only one with a time
    assert not (right == np.array(picture.PALETTE[1])).all(axis=2).any()
