"""Write docs/onnx.md, the table of ONNX operators, from tests/foreign/classes.tsv.

    python docs/onnx_table.py [--judge]

--judge runs all cases first, which takes two minutes, and writes their classes into that file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))

import foreign_table  # noqa: E402  (its folder has just been added)
from foreign_table import Row  # noqa: E402


@click.command()
@click.option("--judge", is_flag=True, help="Run all cases and write their classes first.")
def main(judge: bool) -> None:
    """Write docs/onnx.md."""
    if judge:
        foreign_table.write(judged())
    for kind in ("scheduled", "generic", "refused", "wrong"):
        print(kind, sum(row.kind == kind for row in foreign_table.read()))


def judged() -> list[Row]:
    """The class of every case, by running it."""
    import foreign_lab
    import node_cases

    steps = node_cases.steps()
    with tempfile.TemporaryDirectory() as folder:
        verdicts = foreign_lab.judge(steps, Path(folder))
    return [Row(s.name, s.operator, verdicts[s.name].kind, verdicts[s.name].reason) for s in steps]


if __name__ == "__main__":
    main()
