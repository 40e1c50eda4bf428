"""Annotation files: which clips there are and what they show. Read as they were meant, or refused with the line.

Three forms, told from their content:

* columns, ``video;label`` a line, as Jester and Something-Something have them: separated by semicolons, tabs or commas,
  quoted or not, with or without a header row, in UTF-8, UTF-16 or Windows-1252;
* a list in the style of mmaction2, whose labels are numbers: ``folder frames number`` or ``file number``;
* a JSON list of objects with an ``id`` and a ``template`` (Something-Something V2) or a ``label``.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import DataError
from ..files import read_bytes, strict_json
from ..video import ENDINGS

SUFFIXES = (".csv", ".json", ".list", ".lst", ".tsv", ".txt")
_MOST_BYTES = 256 << 20
_NAMES = frozenset(
    ("clip", "file", "file_name", "filename", "folder", "id", "name", "path", "vid", "video", "video_id")
    + ("video_name", "video_path", "videoid", "youtube_id")
)
_LABELS = ("label_name", "class_name", "template", "label", "class", "gesture", "action", "activity", "category")
_COUNTS = frozenset(("frames", "n_frames", "nframes", "num_frames", "total_frames"))
_PARTS = frozenset(("fold", "partition", "split", "subset"))
_DIGITS = "[0-9]{1,9}"
_HEADER = "give the columns names in a first line: video;label"


@dataclass(frozen=True)
class Sample:
    """One clip that has not been read: its name for messages, its label, its file or folder.

    count: pictures of a folder that belong to the clip, 0 for all.
    """

    name: str
    label: str
    path: Path
    count: int = 0


@dataclass(frozen=True)
class Row:
    """One line of an annotation file. label: a name, or its number as text; numbered: which of the two."""

    line: int
    text: str
    name: str
    label: str
    numbered: bool = False
    count: int = 0


def read(data: Path, videos: Path, labels: Sequence[str] | None) -> tuple[list[Sample], list[str]]:
    """Return the clips of an annotation file, and notes on what was read otherwise than it stands there.

    Raises:
        DataError: the file or one of its lines cannot be read, or could mean two things.
    """
    text, notes = _text(data)
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if data.suffix == ".json" or text.lstrip()[:1] in ("[", "{"):
        rows = _of_json(data, text)
    elif _is_numbered_list(data, [line for _, line in lines]):
        rows = [_of_list(data, number, line, videos) for number, line in lines]
    else:
        rows = _of_columns(data, text, videos, notes)
    return _samples(data, rows, videos, labels, notes), notes


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(_DIGITS, text))


def bad_line(data: Path, number: int, line: str, allowed: str, hint: str | None = None) -> DataError:
    """The error for one line."""
    return DataError(f"Line {number} of '{data}' cannot be read.", found=line[:200], allowed=allowed, hint=hint)


def _text(data: Path) -> tuple[str, list[str]]:
    """The text of a file in whatever encoding it has, and a note where that is not certain."""
    try:
        raw = read_bytes(data, _MOST_BYTES)
    except (OSError, ValueError) as error:
        raise DataError(f"'{data}' cannot be read.", found=error) from error
    encodings, bad = ["utf-8-sig"], 1
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    elif raw[:200].count(0) > len(raw[:200]) // 4:
        encodings = ["utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"]
    for encoding in [*encodings, "cp1252"]:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            bad = raw[: error.start].count(b"\n") + 1
            continue
        if "\0" in text:
            break
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if encoding != "cp1252":
            return text, []
        odd = next(line for line in text.split("\n") if not line.isascii())
        return text, [f"{data.name} is not UTF-8 and was read as Windows-1252: {odd.strip()[:80]}"]
    raise DataError(
        f"Line {bad} of '{data}' cannot be read.",
        found="bytes that are no text",
        allowed="UTF-8, UTF-16 or Windows-1252",
        hint="save the file as UTF-8: iconv -f ENCODING -t UTF-8",
    )


# -- lists with numbers ------------------------------------------------------------------------------------------


def _is_numbered_list(data: Path, lines: Sequence[str]) -> bool:
    """Whether every line ends in a number after a space, and the columns are not separated by something else."""
    if not lines or not all(re.search(rf"\S\s+{_DIGITS}$", line) for line in lines):
        return False
    separated = ";" if data.suffix != ".csv" else ";,\t"
    return not any(all(mark in line for line in lines) for mark in separated)


def _of_list(data: Path, number: int, line: str, videos: Path) -> Row:
    """``folder frames label`` or ``file label``; which, where names have spaces, is for the files to say."""
    allowed = "folder frames label-number, or file label-number"
    words = re.split(r"\s+", line)
    numbers = len(words) - max((i for i, word in enumerate(words) if not _is_number(word)), default=0) - 1
    names = [re.sub(rf"(\s+{_DIGITS})" * n + "$", "", line) for n in range(numbers + 1)]
    there = [n for n in range(1, min(numbers, len(words) - 1) + 1) if os.path.exists(clip_path(videos, names[n]))]
    if len(there) > 1:
        raise bad_line(data, number, line, allowed, f"both '{names[there[0]]}' and '{names[there[1]]}' are there")
    after = there[0] if there else min(numbers, len(words) - 1)
    path = clip_path(videos, names[after])
    is_file = os.path.isfile(path) or Path(names[after]).suffix.lower() in ENDINGS
    if after == 1:
        return Row(number, line, names[1], words[-1], numbered=True)
    if after == 2 and not is_file:
        return Row(number, line, names[2], words[-1], numbered=True, count=int(words[-2]))
    raise bad_line(
        data,
        number,
        line,
        allowed,
        "a clip with several labels, or with an offset, cannot be trained on: leave one number for the label, "
        "and before it, for a folder, the number of its frames",
    )


# -- columns -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """Which column holds what; -1 for none."""

    name: int
    label: int
    count: int = -1


def _of_columns(data: Path, text: str, videos: Path, notes: list[str]) -> list[Row]:
    table = _table(data, text)
    if not table:
        return []
    first = [field.lower() for field in table[0][1]]
    is_header = _is_header(first, table, videos)
    body = table[1:] if is_header else table
    if not body:
        return []
    columns = _named_columns(data, table) if is_header else _bare_columns(data, body)
    used = {columns.name, columns.label, columns.count}
    unused = [field if is_header else str(i + 1) for i, field in enumerate(table[0][1]) if i not in used]
    if unused:
        notes.append(f"{data.name}: columns that are not used: {', '.join(unused)}")
    numbered = all(_is_number(fields[columns.label]) for _, fields in body)
    rows = []
    for number, fields in body:
        name, label = fields[columns.name], fields[columns.label]
        line = ";".join(fields)
        if not (name and label):
            raise bad_line(data, number, line, "a video and a label", "is it the list of a test set, without labels?")
        count = fields[columns.count] if columns.count >= 0 else "0"
        if not _is_number(count):
            raise bad_line(data, number, line, "a number of frames")
        rows.append(Row(number, line, name, label, numbered, int(count)))
    return rows


def _table(data: Path, text: str) -> list[tuple[int, list[str]]]:
    """Line numbers and fields, by the first separator that every line has."""
    tables = {mark: _split(data, text, mark) for mark in ";\t,"}
    for table in tables.values():
        if all(len(fields) > 1 for _, fields in table):
            widths = [len(fields) for _, fields in table]
            for (number, fields), width in zip(table, widths):
                if width != max(set(widths), key=widths.count):
                    raise bad_line(
                        data,
                        number,
                        "; ".join(fields),
                        f"{max(set(widths), key=widths.count)} columns, as in most lines",
                        'put a text that holds a separator in quotes: "…"',
                    )
            return table
    table = max(tables.values(), key=lambda each: sum(len(fields) > 1 for _, fields in each))
    number, fields = next(row for row in table if len(row[1]) < 2)
    raise bad_line(
        data, number, " ".join(fields), "video;label", "is it the list of a test set, without labels?"
    )


def _split(data: Path, text: str, mark: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True)
    table, at = [], 1
    try:
        for fields in reader:
            if reader.line_num > at:
                raise bad_line(data, at, mark.join(fields), "one clip a line", "a quote is not closed")
            at = reader.line_num + 1
            if any(field.strip() for field in fields):
                table.append((reader.line_num, [field.strip() for field in fields]))
    except csv.Error as error:
        raise bad_line(data, at, str(error), "one clip a line") from error
    return table


def _is_header(first: Sequence[str], table: Sequence[tuple[int, list[str]]], videos: Path) -> bool:
    """Whether the first line names the columns; one that names a clip which is there does not."""
    named = any(field in _NAMES for field in first)
    if not named or any(os.path.exists(clip_path(videos, field)) for field in table[0][1] if field.lower() in _NAMES):
        return False
    return any(field in _LABELS for field in first) or (len(first) == 2 and first[0] in _NAMES)


def _named_columns(data: Path, table: Sequence[tuple[int, list[str]]]) -> _Columns:
    first, body = [field.lower() for field in table[0][1]], table[1:]
    name = next(i for i, field in enumerate(first) if field in _NAMES)
    found = [first.index(word) for word in _LABELS if word in first and first.index(word) != name]
    texts = [i for i in found if not all(_is_number(fields[i]) for _, fields in body)]
    label = (texts or found or [1 - name])[0]
    for part in (i for i, field in enumerate(first) if field in _PARTS):
        parts = sorted({fields[part] for _, fields in body})
        if len(parts) > 1:
            raise DataError(
                f"'{data}' holds several parts of a data set.",
                found=f"column {table[0][1][part]}: {', '.join(parts[:5])}",
                allowed="one part",
                hint="make a list of each: --data train.csv --held-out val.csv",
            )
    return _Columns(name, label, next((i for i, field in enumerate(first) if field in _COUNTS), -1))


def _bare_columns(data: Path, body: Sequence[tuple[int, list[str]]]) -> _Columns:
    """Without a header: the clip stands first, the label in the only other column that is no number."""
    width = len(body[0][1])
    if width == 2:
        return _Columns(0, 1)
    texts = [i for i in range(1, width) if not all(_is_number(fields[i]) for _, fields in body)]
    if len(texts) != 1:
        number, fields = body[0]
        raise bad_line(data, number, ";".join(fields), "video;label, or one column of text beside the clip", _HEADER)
    return _Columns(0, texts[0])


# -- JSON --------------------------------------------------------------------------------------------------------


def _of_json(data: Path, text: str) -> list[Row]:
    try:
        document = strict_json.loads(text.encode(), _MOST_BYTES, 50_000_000)
    except ValueError as error:
        raise DataError(f"'{data}' cannot be read.", found=error, allowed="a JSON list of clips") from error
    if not isinstance(document, list) or not all(isinstance(each, dict) for each in document):
        raise DataError(
            f"'{data}' is no list of clips.",
            found=f"a JSON {type(document).__name__}",
            allowed='[{"id": "1", "template": "Pushing [something]"}, …], or "label" in place of "template"',
            hint="a file that numbers the labels is given with --labels",
        )
    return [_of_object(data, number, each) for number, each in enumerate(document, 1)]


def _of_object(data: Path, number: int, entry: dict[str, object]) -> Row:
    name = next((entry[key] for key in sorted(_NAMES) if isinstance(entry.get(key), (str, int))), None)
    label = entry.get("template", entry.get("label"))
    if name is None or not isinstance(label, str) or not label.strip():
        raise DataError(
            f"Clip {number} of '{data}' cannot be read.",
            found=", ".join(map(str, entry)) or "nothing",
            allowed='an "id", and a "template" or a "label"',
            hint="is it the list of a test set, without labels?",
        )
    if "template" in entry:  # the placeholders are marked there, and not in the list of the labels
        label = re.sub(r"[\[\]]", "", label)
    return Row(number, str(name), str(name).strip(), label.strip())


# -- rows to samples ---------------------------------------------------------------------------------------------


def _samples(
    data: Path, rows: Sequence[Row], videos: Path, labels: Sequence[str] | None, notes: list[str]
) -> list[Sample]:
    named = _label_of(data, rows, labels)
    seen: dict[str, Row] = {}
    samples, repeated = [], 0
    for row in rows:
        row = replace(row, label=named(row))
        before = seen.setdefault(row.name, row)
        if before.label != row.label:
            raise bad_line(
                data,
                row.line,
                f"'{row.name}' is '{row.label}', and '{before.label}' in line {before.line}",
                "one label for a clip",
                "remove the line that is wrong",
            )
        if before is not row:
            repeated += 1
            continue
        samples.append(Sample(row.name, row.label, clip_path(videos, row.name), row.count))
    if repeated:
        notes.append(f"{data.name}: {repeated} lines name a clip again and are left out")
    return samples


def _label_of(data: Path, rows: Sequence[Row], labels: Sequence[str] | None) -> Callable[[Row], str]:
    """How a row's label is called: numbers count from 0 in --labels, and without it are "class 0" and so on."""
    digits = max((len(row.label) for row in rows if row.numbered), default=1)

    def named(row: Row) -> str:
        if not row.numbered or (labels and row.label in labels):
            return row.label
        if not labels:
            return f"class {int(row.label):0{digits}d}"
        if int(row.label) >= len(labels):
            raise bad_line(
                data,
                row.line,
                row.text,
                f"label numbers of 0..{len(labels) - 1}",
                "labels are counted from 0, in the order of --labels",
            )
        return labels[int(row.label)]

    return named


def clip_path(videos: Path, name: str) -> Path:
    """The clip's folder or file; a name may leave its suffix out. One that is not there fails when it is read."""
    plain = os.path.join(videos, name)
    if not os.path.exists(plain) and Path(name).suffix.lower() not in ENDINGS:
        for suffix in sorted(ENDINGS):
            if os.path.isfile(plain + suffix):
                return Path(plain + suffix)
    return Path(plain)
