"""Write docs/onnx.md: what tsm-edge makes of each ONNX operator, from tests/foreign/classes.tsv and onnx.in.md.

    python docs/onnx_table.py [--judge]

--judge runs all cases first, which takes a minute, and writes their classes into classes.tsv.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))

import foreign_table  # noqa: E402  (its folder has just been added)
from foreign_table import Row  # noqa: E402

KINDS = ("scheduled", "generic", "refused", "wrong")
FUNCTION = " as a function"
AROUND = "around/"


@click.command()
@click.option("--judge", is_flag=True, help="Run all cases and write their classes first.")
def main(judge: bool) -> None:
    """Write docs/onnx.md."""
    if judge:
        foreign_table.write(judged())
    rows = foreign_table.read()
    (HERE / "onnx.md").write_text(page(rows))
    counted = Counter(row.kind for row in rows)
    click.echo(", ".join(f"{kind} {counted[kind]}" for kind in KINDS))


def judged() -> list[Row]:
    """The class of every case, by running it."""
    import around_cases
    import foreign_lab
    import node_cases

    steps = [*node_cases.steps(), *around_cases.steps()]
    with tempfile.TemporaryDirectory() as folder:
        verdicts = foreign_lab.judge(steps, Path(folder))
    return [Row(s.name, s.operator, verdicts[s.name].kind, verdicts[s.name].reason) for s in steps]


def page(rows: list[Row]) -> str:
    """The page: the text of onnx.in.md with its two tables."""
    around = [row for row in rows if row.name.startswith(AROUND)]
    alone = [row for row in rows if not row.name.startswith(AROUND)]
    text = (HERE / "onnx.in.md").read_text()
    plain = [row for row in alone if not row.operator.endswith(FUNCTION)]
    counts = {"@CASES@": len(plain), "@FUNCTIONS@": len(alone) - len(plain), "@AROUND@": len(around)}
    for key, count in counts.items():
        text = text.replace(key, str(count))
    return text.replace("@IN-NETWORKS@", in_networks(around)).replace("@OPERATORS@", operators(plain))


def in_networks(rows: list[Row]) -> str:
    """A table of forms between two convolutions."""
    lines = [f"| {row.name.removeprefix(AROUND)} | {row.kind}{hint(row)} |" for row in rows]
    return "\n".join(["| between two convolutions | kernels |", "|---|---|", *lines])


def hint(row: Row) -> str:
    return f": {row.reason}" if row.reason else ""


def operators(rows: list[Row]) -> str:
    """A table of operators alone, then those that are refused in every form, by hint."""
    by_operator: dict[str, list[Row]] = {}
    for row in rows:
        by_operator.setdefault(row.operator, []).append(row)
    lines, never = [], {}
    for name, found in sorted(by_operator.items()):
        kinds = {row.kind for row in found}
        reasons = sorted({row.reason for row in found if row.kind == "refused"})
        if kinds == {"refused"} and len(reasons) == 1:
            never.setdefault(reasons[0], []).append(name)
        else:
            lines.append(f"| {name} | {cell(found)} | {'; '.join(reasons)} |")
    head = ["| operator | its cases | what is refused: what to do |", "|---|---|---|"]
    tail = [f"- {', '.join(names)}: {reason}." for reason, names in sorted(never.items())]
    return "\n".join([*head, *lines, "", "Refused in every form:", "", *tail])


def cell(rows: list[Row]) -> str:
    """How many cases end in each class."""
    counted = Counter(row.kind for row in rows)
    return ", ".join(f"{counted[kind]} {kind}" for kind in KINDS if counted[kind])


if __name__ == "__main__":
    main()
