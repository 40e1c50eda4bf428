"""Names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import ModelError
from ..files import MIB, read_text, strict_json
from ..terminal import printable

CLASSES_IN_A_FILE = 20_000

#: 20BN-Jester in MIT's order, which sorts the names; mmaction2 uses the order of the official file instead
JESTER = (
    "Doing other things",
    "Drumming Fingers",
    "No gesture",
    "Pulling Hand In",
    "Pulling Two Fingers In",
    "Pushing Hand Away",
    "Pushing Two Fingers Away",
    "Rolling Hand Backward",
    "Rolling Hand Forward",
    "Shaking Hand",
    "Sliding Two Fingers Down",
    "Sliding Two Fingers Left",
    "Sliding Two Fingers Right",
    "Sliding Two Fingers Up",
    "Stop Sign",
    "Swiping Down",
    "Swiping Left",
    "Swiping Right",
    "Swiping Up",
    "Thumb Down",
    "Thumb Up",
    "Turning Hand Clockwise",
    "Turning Hand Counterclockwise",
    "Zooming In With Full Hand",
    "Zooming In With Two Fingers",
    "Zooming Out With Full Hand",
    "Zooming Out With Two Fingers",
)

#: the same classes in the order of the official file, which mmaction2 keeps (tools/data/jester/label_map.txt)
JESTER_OFFICIAL = (
    "Swiping Left",
    "Swiping Right",
    "Swiping Down",
    "Swiping Up",
    "Pushing Hand Away",
    "Pulling Hand In",
    "Sliding Two Fingers Left",
    "Sliding Two Fingers Right",
    "Sliding Two Fingers Down",
    "Sliding Two Fingers Up",
    "Pushing Two Fingers Away",
    "Pulling Two Fingers In",
    "Rolling Hand Forward",
    "Rolling Hand Backward",
    "Turning Hand Clockwise",
    "Turning Hand Counterclockwise",
    "Zooming In With Full Hand",
    "Zooming Out With Full Hand",
    "Zooming In With Two Fingers",
    "Zooming Out With Two Fingers",
    "Thumb Up",
    "Thumb Down",
    "Shaking Hand",
    "Stop Sign",
    "Drumming Fingers",
    "No gesture",
    "Doing other things",
)


def default_labels(classes: int) -> tuple[str, ...]:
    """Return the Jester names for 27 classes, else "class 0", "class 1" and so on."""
    return JESTER if classes == len(JESTER) else tuple(f"class {index}" for index in range(classes))


def is_label(text: str) -> bool:
    """Whether a text can name a class: not only spaces, and nothing in it that a terminal would obey or hide."""
    return bool(text.strip()) and printable(text) == text


def checked_labels(labels: Sequence[str], classes: int) -> tuple[str, ...]:
    """Return the labels as a tuple.

    Raises:
        ModelError: not one label for every class, two equal ones, or a label that is empty or holds control or
            invisible characters.
    """
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise ModelError(
            "Labels must be a list of texts.", found=repr(labels)[:80], allowed="a list of texts"
        )
    if len(labels) != classes:
        raise ModelError(
            "The number of labels is not the number of classes.",
            found=f"{len(labels)} labels",
            allowed=f"{classes} labels, one for every class",
            hint=f"give {classes} labels, or set the number of classes to {len(labels)}",
        )
    numbers: dict[str, int] = {}
    for number, label in enumerate(labels, 1):
        if not is_label(label):
            raise ModelError(
                f"Label {number} cannot be shown.",
                found=repr(label),
                allowed="text without control and invisible characters, not only spaces",
            )
        if numbers.setdefault(label.strip(), number) != number:
            raise ModelError(
                f"Labels {numbers[label.strip()]} and {number} are the same.",
                found=repr(label),
                allowed="a different name for every class",
                hint="two classes of one name could not be told apart: add what differs",
            )
    return tuple(labels)


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Read a UTF-8 text file with one label a line; empty lines at its end are ignored.

    A ``.json`` file is a list of labels, or an object that numbers them from 0, as Something-Something V2 has it.

    Raises:
        ModelError: the file cannot be read, is not UTF-8 or holds no label.
    """
    try:
        text = read_text(path, MIB, "utf-8-sig")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The label file '{path}' cannot be read.",
            found=error,
            allowed="a UTF-8 text file of at most 1 MiB, one label a line",
        ) from error
    if Path(path).suffix == ".json":
        return _labels_of_json(path, text)
    lines = text.rstrip().split("\n")  # not splitlines, for which some control characters end a line
    if not lines[0]:
        raise ModelError(f"The label file '{path}' is empty.", allowed="one label a line")
    return tuple(line.strip() for line in lines)


def _labels_of_json(path: str | Path, text: str) -> tuple[str, ...]:
    try:
        document = strict_json.loads(text.encode(), MIB, CLASSES_IN_A_FILE)
        if isinstance(document, dict):
            numbers = {int(number): name for name, number in document.items()}
            document = [numbers[index] for index in range(len(document))]
        if not isinstance(document, list) or not document or not all(isinstance(name, str) for name in document):
            raise ValueError("no list of texts")
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"The label file '{path}' cannot be read.",
            found=f"{type(error).__name__}: {error}",
            allowed='a JSON list of labels, or an object that numbers them from 0: {"first": 0, "second": 1}',
        ) from error
    return tuple(name.strip() for name in document)
