"""Mutated checkpoints and annotation files: each is read or refused in words, and nothing else happens.

`TSM_ABUSE_FILES=20000 pytest tests/abuse/test_foreign_files.py` reads so many in place of the few of `make test`.
"""

from __future__ import annotations

import io
import os
import random
import zipfile

import pytest

from tsm_edge import models
from tsm_edge.errors import EdgeError
from tsm_edge.models import make_net
from tsm_edge.train import data
from tsm_edge.weights import checkpoints

COUNT = int(os.environ.get("TSM_ABUSE_FILES", "80"))
MODEL = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=4)
LISTS = (
    b"c1;Stop\nc2;Thumb Up\n",
    b"c1 8 0\nc2 3 1\n",
    b'[{"id": "c1", "template": "A [b]"}]',
    "c1;G\xe9\n".encode("utf-16"),
    b'"c1";"a"\n"c2";"b"\n',
    b"video,label,frames\nc1,a,3\n",
)
PIECES = [b";", b",", b"\t", b"\n", b"\r", b'"', b"\0", b"\xff\xfe", b"9" * 30, b" 8 0 1", b"\xef\xbb\xbf", b"[", b"{"]
PIECES += [b"\xc2\xb2", b"../", b"/" * 5000, b"c1", b"a" * 300]


def read_or_refused(read, seen: bytes) -> None:
    try:
        read()
    except EdgeError as error:
        assert str(error)
    except Exception as error:
        pytest.fail(f"{type(error).__name__}: {error} for {seen[:300]!r}")


def test_annotation_files(tmp_path):
    chance = random.Random(1)
    for name in ("c1", "c2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    for _ in range(10 * COUNT):
        text = bytearray(chance.choice(LISTS))
        for _ in range(chance.randint(1, 6)):
            at = chance.randint(0, len(text))
            text[at : at + chance.choice((0, 0, 1, 3))] = chance.choice(PIECES)
        path = tmp_path / f"list{chance.choice(('.csv', '.txt', '.json', '.tsv'))}"
        path.write_bytes(text)
        labels = chance.choice((None, ["a", "b", "Stop"]))
        read_or_refused(lambda path=path, labels=labels: data.find(path, tmp_path, labels), bytes(text))


def mutated(chance: random.Random, whole: bytes) -> bytes:
    """Some bytes changed: of the file, or of the pickle in an archive that stays sound."""
    if whole[:2] != b"PK" or chance.random() < 0.3:
        file = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            file[chance.randrange(min(len(file), chance.choice((64, 2000, 30000, 1 << 30))))] = chance.randrange(256)
        return bytes(file)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(made, "w") as archive:
        for entry in source.infolist():
            part = bytearray(source.read(entry))
            if entry.filename.endswith("data.pkl"):
                for _ in range(chance.randint(1, 5)):
                    part[chance.randrange(len(part))] = chance.randrange(256)
            archive.writestr(entry, bytes(part))
    return made.getvalue()


def test_checkpoints(tmp_path):
    import torch

    chance, files, net = random.Random(2), [], make_net(MODEL.layers)
    weights = net.state_dict()
    some = dict(list(weights.items())[:12])
    for legacy in (False, True):
        for content in (weights, {"state_dict": some, "x": complex(1, 2)}, {"model": some, "ema": some}):
            made = io.BytesIO()
            torch.save(content, made, _use_new_zipfile_serialization=not legacy)
            files.append(made.getvalue())
    for _ in range(COUNT):
        file = mutated(chance, chance.choice(files))
        (tmp_path / "w.pth").write_bytes(file)
        read_or_refused(lambda: checkpoints.load_into(net, tmp_path / "w.pth", MODEL), file)
