"""Annotation files in the shapes that data sets have: read as they were meant, or refused with the line."""

from __future__ import annotations

import json

import pytest

from tsm_edge.errors import DataError
from tsm_edge.train import data

NAMES = ["Stop", "Thumb Up", "Wave"]


@pytest.fixture
def clips(tmp_path):
    """A folder with two clips of pictures and two videos; nothing is decoded here."""
    for name in ("c1", "c2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    for name in ("0.mp4", "my clip 3.mp4"):
        (tmp_path / name).touch()
    return tmp_path


def read(clips, name, content, labels=None):
    """-> ([(clip, label, count)], notes)"""
    path = clips / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = data.find(path, clips, labels)
    return [(each.path.name, each.label, each.count) for each in source.samples], list(source.notes)


BOTH = [("c1", "Stop", 0), ("c2", "Thumb Up", 0)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "c1;Stop\nc2;Thumb Up\n"),
        ("list.csv", "c1,Stop\r\nc2,Thumb Up\r\n"),
        ("list.tsv", "c1\tStop\nc2\tThumb Up\n"),
        ("list.txt", "c1;Stop\nc2;Thumb Up\n"),
        ("list.csv", "video;label\nc1;Stop\nc2;Thumb Up\n"),
        ("list.csv", "Video_ID,Label\nc1,Stop\nc2,Thumb Up\n"),
        ("list.csv", "label,video\nStop,c1\nThumb Up,c2\n"),
        ("list.csv", "video;Geste\nc1;Stop\nc2;Thumb Up\n"),
        ("list.csv", '"c1";"Stop"\n"c2";"Thumb Up"\n'),
        ("list.csv", 'c1, "Stop"\nc2, "Thumb Up"\n'),
        ("list.csv", b"\xef\xbb\xbfc1;Stop\nc2;Thumb Up\n"),
        ("list.csv", "c1;Stop\nc2;Thumb Up\n".encode("utf-16")),
        ("list.csv", "c1;Stop\nc2;Thumb Up\n".encode("utf-16-be")),
        ("list.json", '[{"id": "c1", "label": "Stop"}, {"id": "c2", "label": "Thumb Up"}]'),
    ],
)
def test_columns_in_every_shape(clips, name, text):
    assert read(clips, name, text) == (BOTH, [])


def test_a_column_that_is_not_used_is_named(clips):
    assert read(clips, "l.csv", "c1;Stop;2\nc2;Thumb Up;4\n") == (BOTH, ["l.csv: columns that are not used: 3"])
    assert read(clips, "l.csv", "c1;7;Stop\nc2;9;Thumb Up\n")[0] == BOTH
    text = "video_id,label,frames,label_id,shape\nc1,Stop,1,14,176\nc2,Thumb Up,2,20,176\n"
    found, notes = read(clips, "l.csv", text)
    assert found == [("c1", "Stop", 1), ("c2", "Thumb Up", 2)]
    assert notes == ["l.csv: columns that are not used: label_id, shape"]


def test_windows_1252_is_read_and_said(clips):
    found, notes = read(clips, "l.csv", "c1;Geste d\xe9tendu\nc2;Stop\n".encode("cp1252"))
    assert found == [("c1", "Geste d\xe9tendu", 0), ("c2", "Stop", 0)]
    assert notes == ["l.csv is not UTF-8 and was read as Windows-1252: c1;Geste d\xe9tendu"]


def test_something_something(clips):
    entry = {"id": "c1", "template": "Pushing [something] from left to right", "placeholders": ["a cup"]}
    filled = entry | {"label": "pushing a cup from left to right"}
    labels = clips / "labels.json"
    labels.write_text(json.dumps({"Dropping something": "1", "Pushing something from left to right": "0"}))
    from tsm_edge.models import read_labels

    named = read_labels(labels)
    assert named == ("Pushing something from left to right", "Dropping something")
    for each in (entry, filled):
        found = read(clips, "l.json", json.dumps([each]), named)
        assert found == ([("c1", "Pushing something from left to right", 0)], [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("c1 1 0\nc2 1 2\n", [("c1", "Stop", 1), ("c2", "Wave", 1)]),
        ("0.mp4 0\nmy clip 3.mp4 2\n", [("0.mp4", "Stop", 0), ("my clip 3.mp4", "Wave", 0)]),
        ("c1 0\nc2 2\n", [("c1", "Stop", 0), ("c2", "Wave", 0)]),
        ("nowhere/a b 8 1\n", [("a b", "Thumb Up", 8)]),
    ],
)
def test_lists_with_numbers(clips, text, found):
    assert read(clips, "l.txt", text, NAMES) == (found, [])
    assert read(clips, "l.csv", text, NAMES) == (found, [])


def test_numbers_for_labels_in_columns(clips):
    assert read(clips, "l.csv", "c1;0\nc2;2\n", NAMES)[0] == [("c1", "Stop", 0), ("c2", "Wave", 0)]
    assert read(clips, "l.csv", "c1;0\nc2;2\n")[0] == [("c1", "class 0", 0), ("c2", "class 2", 0)]


@pytest.mark.parametrize(
    ("name", "text", "line", "cure"),
    [
        ("l.txt", "c2 1 0\nc1 8 0 1\n", 2, "several labels"),
        ("l.txt", "0.mp4 0 3\n", 1, "several labels"),
        ("l.txt", "c1 1 3\n", 1, "counted from 0"),
        ("l.csv", "c1;3\n", 1, "counted from 0"),
        ("l.csv", "c1\nc2\n", 1, "without labels"),
        ("l.csv", "c1;Stop\nc2;\n", 2, "without labels"),
        ("l.csv", "c1;alice;Stop\n", 1, "give the columns names"),
        ("l.csv", "c1;3;4\n", 1, "give the columns names"),
        ("l.csv", "c1,Stop\nc2,Stop, then go\n", 2, "in quotes"),
        ("l.csv", 'c1;Stop\nc2;"Thumb Up\nc3;Wave\n', 2, "not closed"),
        ("l.csv", "c1;Stop\n\nc1;Wave\n", 3, "remove the line"),
        ("l.csv", b"c1;Stop\nc2;\x81\x8d\n", 2, "iconv"),
        ("l.txt", "c1 1 " + "9" * 5000 + "\n", 1, "without labels"),
        ("l.txt", "c1 1 \u00b2\n", 1, "without labels"),
    ],
)
def test_a_line_that_could_mean_two_things_is_refused(clips, name, text, line, cure):
    with pytest.raises(DataError) as caught:
        read(clips, name, text, NAMES)
    assert caught.value.what.startswith(f"Line {line} of ")
    assert cure in caught.value.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[{"id": "c1"}]', "id"),
        ('{"database": {"c1": {}}}', "a JSON dict"),
        ('[{"id": "c1", "template": "A"}', "Expecting"),
    ],
)
def test_json_that_is_no_list_of_labelled_clips(clips, text, found):
    with pytest.raises(DataError) as caught:
        read(clips, "l.json", text)
    assert found in str(caught.value.found)


def test_a_list_that_mixes_training_and_test(clips):
    with pytest.raises(DataError, match="several parts") as caught:
        read(clips, "l.csv", "video,label,split\nc1,Stop,train\nc2,Wave,val\n")
    assert "--held-out" in caught.value.hint


def test_what_is_odd_is_said(clips):
    assert "1 lines name a clip again" in read(clips, "l.csv", "c1;Stop\nc1;Stop\n")[1][0]
    assert "Thumb Up, thumb_up" in read(clips, "l.csv", "c1;Thumb Up\nc2;thumb_up\n")[1][0]
