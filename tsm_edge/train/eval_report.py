"""What `tsm-edge eval` measured, as tables, as one JSON document and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import report
from ..decision import DecisionRule
from ..terminal import say
from . import measure, takes


@dataclass(frozen=True)
class Takes:
    """What the form that counts announces in takes, by which decision."""

    rule: DecisionRule
    judged: takes.Judged


@dataclass(frozen=True)
class Forms:
    """What was measured: by form ("online", "clip" or "bundle"). The first is the one that counts."""

    subject: str
    model: str
    found: dict[str, measure.Measured]
    takes: Takes | None = None

    @property
    def main(self) -> measure.Measured:
        """The form that a device runs."""
        return next(iter(self.found.values()))


def document(forms: Forms) -> dict[str, object]:
    """Everything that was measured, as plain data."""
    return {
        "subject": forms.subject,
        "clips": len(forms.main.targets),
        "labels": list(forms.main.labels),
        "forms": {
            form: {
                "top1": found.top1,
                "top5": found.top5,
                **({} if found.whole else {"top1_by_share_seen": [list(pair) for pair in found.curve]}),
                "recall": found.recalls,
                "confusion": found.confusion.tolist(),
            }
            for form, found in forms.found.items()
        },
        **({"takes": _told(forms.takes, forms.main.labels)} if forms.takes is not None else {}),
    }


def _told(told: Takes, labels: tuple[str, ...]) -> dict[str, object]:
    """What was announced in takes, as plain data."""
    rule, found = told.rule, told.judged
    return {
        "decision": {"window": rule.window, "agree": rule.agree, "threshold": rule.threshold},
        "gestures": found.gestures,
        "announced": found.right,
        "announced_as_another": found.wrong,
        "false_alarms": found.alarms,
        "quiet_minutes": found.quiet_minutes,
        "false_alarms_per_minute": found.alarms_per_minute,
        "median_delay_s": found.delay_s,
        "by_class": {
            labels[at]: {"gestures": made, "announced": right, "as_another": wrong}
            for at, (made, right, wrong) in found.by_class.items()
        },
    }


def _print_takes(told: Takes, labels: tuple[str, ...]) -> None:
    rule, found = told.rule, told.judged
    report.print_facts(
        {
            "decision": f"mean of {rule.window} frames, {rule.agree} agree, threshold {rule.threshold:g}",
            "announced": f"{found.right:.1%} of {found.gestures} gestures, {found.wrong:.1%} as another one",
            "false alarms": f"{found.alarms} in {found.quiet_minutes:.1f} minutes without gestures",
            "delay": "nothing was announced"
            if found.delay_s is None
            else f"{found.delay_s:.2f} s, the median",
        }
    )
    say()
    rows = [
        (labels[at], made, f"{right / made:.1%}", f"{wrong / made:.1%}")
        for at, (made, right, wrong) in found.by_class.items()
    ]
    report.print_table(("CLASS", "GESTURES", "ANNOUNCED", "AS ANOTHER"), rows)
    say()


def print_forms(forms: Forms, as_json: bool) -> None:
    if as_json:
        report.print_json(document(forms))
        return
    rows = [
        (
            form,
            f"{found.top1:.1%}",
            f"{found.top5:.1%}",
            "" if found.whole else f"{found.early(0.5):.1%}",
            f"{min(found.recalls.values()):.1%}",
        )
        for form, found in forms.found.items()
    ]
    report.print_table(("FORM", "TOP-1", "TOP-5", "AFTER HALF", "WORST CLASS"), rows)
    main, answers = forms.main, forms.main.confusion
    say()
    table = []
    for name, recall in main.recalls.items():
        row = answers[main.labels.index(name)].copy()
        row[main.labels.index(name)] = 0
        table.append((name, f"{recall:.1%}", main.labels[int(row.argmax())] if row.any() else ""))
    report.print_table(("CLASS", "RECALL", "MOST OFTEN TAKEN FOR"), table)
    if not main.whole:
        say()
        report.print_table(
            ("SEEN", *(f"{share:.0%}" for share, _ in main.curve)),
            [("top-1", *(f"{top:.0%}" for _, top in main.curve))],
        )
    if forms.takes is not None:
        say()
        _print_takes(forms.takes, main.labels)
    if "bundle" in forms.found:
        report.print_next("tsm-edge demo --bundle {}", forms.subject)
    else:
        report.print_next("tsm-edge compile {} --target local --weights {}", forms.model, forms.subject)


def draw(path: Path, forms: Forms) -> None:
    from ..bench.roofline import write
    from . import picture

    shares = [100 * share for share, _ in forms.main.curve]
    curves = {form: [top for _, top in found.curve] for form, found in forms.found.items()}
    parts = [picture.confusion(forms.main.confusion, forms.main.labels)]
    if not forms.main.whole:
        parts.append(picture.lines("top-1 accuracy", "percent of the clip seen", shares, curves, top=1.0))
    write(path, picture.below(parts))
