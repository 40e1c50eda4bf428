"""Make the pictures of docs/gestures.md: what is taken for what, and frames of the test of people.

    python docs/gesture_pictures.py STORE

STORE is people-test as benchmarks/people.py left it in its --data; the counts are those of its document in
benchmarks/results. Writes confusion.png and people-test.jpg beside itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from tsm_edge.train.picture import confusion
from tsm_edge.train.store import Store, open_store

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "benchmarks" / "results" / "people.json"
TAKES, FRAMES = 2, 4  # of a class, side by side; of a take
WIDTH = 180  # pixels for the name of a class


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(store: Path) -> None:
    """Make the pictures of docs/gestures.md."""
    found = json.loads(DOCUMENT.read_text(encoding="utf-8"))["documents"]["people"]
    table = np.array(next(iter(found["forms"].values()))["confusion"])
    cv2.imwrite(str(HERE / "confusion.png"), confusion(table, found["labels"]))
    picture = frames(open_store(store))
    cv2.imwrite(str(HERE / "people-test.jpg"), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


def frames(store: Store) -> NDArray[np.uint8]:
    """A row for every class: frames of some takes of it, RGB."""
    rows = []
    for label, name in enumerate(store.labels):
        members = [at for at, entry in enumerate(store.entries) if entry.label == label][:TAKES]
        shown = [name_of(name, store.side), *(strip(store, at) for at in members)]
        rows.append(np.concatenate(shown, 1))
    return np.concatenate(rows)


def strip(store: Store, index: int) -> NDArray[np.uint8]:
    """A few frames of a take, about its gesture."""
    entry, clip = store.entries[index], store.clip(index)
    begin, end = (max(entry.cues[0][1] - 1, 0), entry.cues[-1][2]) if entry.cues else (0, entry.count - 1)
    chosen = np.linspace(begin, min(end, entry.count - 1), FRAMES).round().astype(int)
    parts = [np.pad(clip[at], ((0, 3), (0, 3), (0, 0)), constant_values=255) for at in chosen]
    return np.pad(np.concatenate(parts, 1), ((0, 0), (0, 12), (0, 0)), constant_values=255)


def name_of(label: str, side: int) -> NDArray[np.uint8]:
    """The name of a class in two lines, as high as a row."""
    image = np.full((side + 3, WIDTH, 3), 255, np.uint8)
    words = label.split()
    for line, text in enumerate((" ".join(words[:2]), " ".join(words[2:]))):
        place = (6, side // 2 + 18 * line)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
    return image


if __name__ == "__main__":
    sys.exit(main())
