"""Scores of whole takes: the gestures in them as clips of their own, to be recognised like any clip; what a demo would
announce, and the decision by which it announces most.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..decision import DecisionRule, is_quiet
from . import measure
from .store import Store

Floats = NDArray[np.float64]
#: frames before and after a cue that belong to the clip of a gesture
_BEFORE, _AFTER = 3, 2
#: an announcement may be so much later than the end of the gesture
LATE_S = 0.5
#: what is searched for a decision
WINDOWS, AGREE = range(1, 9), range(1, 5)
THRESHOLDS = tuple(round(0.4 + 0.05 * step, 2) for step in range(12))
_OFFSETS = sorted((step / 4 for step in range(-12, 13)), key=abs)


@dataclass(frozen=True)
class Scored:
    """``scores``: logits [T, classes] of each clip of a store, after each of its frames."""

    store: Store
    scores: Sequence[Floats]

    @property
    def rows(self) -> list[Floats]:
        """Scores of every clip, of a take of every gesture: from 3 frames before it to 2 after it."""
        return [self.scores[at][begin:end] for at, _, begin, end in self._parts()]

    @property
    def targets(self) -> NDArray[np.int64]:
        """The label of each of :attr:`rows`."""
        return np.array([label for _, label, _, _ in self._parts()], np.int64)

    def moved(self, by: Floats) -> Scored:
        """The same with ``by`` [classes] added to the scores of every frame."""
        return Scored(self.store, [row + by for row in self.scores])

    def _parts(self) -> list[tuple[int, int, int, int]]:
        """Number of the clip, label, first frame and end."""
        found = []
        for at, (entry, row) in enumerate(zip(self.store.entries, self.scores)):
            for label, begin, end in entry.cues:
                found.append((at, label, max(0, begin - _BEFORE), min(len(row), end + _AFTER)))
            if not entry.cues:
                found.append((at, entry.label, 0, len(row)))
        return found


@dataclass(frozen=True)
class Judged:
    """What a demo would have said to takes.

    right: gestures whose label was announced within the cue or half a second after it; wrong: those where another one
    was. alarms: announcements at other times, of which there were ``quiet_minutes``. delays: seconds from a cue's
    begin to its right announcement. by_class: label index -> (gestures, right, wrong).
    """

    alarms: int
    quiet_minutes: float
    delays: tuple[float, ...]
    by_class: dict[int, tuple[int, int, int]]

    @property
    def gestures(self) -> int:
        """How many gestures were made."""
        return sum(row[0] for row in self.by_class.values())

    @property
    def right(self) -> float:
        """Share of the gestures that were announced."""
        return sum(row[1] for row in self.by_class.values()) / max(1, self.gestures)

    @property
    def wrong(self) -> float:
        """Share of the gestures at which another one was announced."""
        return sum(row[2] for row in self.by_class.values()) / max(1, self.gestures)

    @property
    def alarms_per_minute(self) -> float:
        """False announcements a minute of the time without gestures."""
        return self.alarms / max(self.quiet_minutes, 1e-9)

    @property
    def delay_s(self) -> float | None:
        """Median of the delays; None where nothing was right."""
        return float(np.median(self.delays)) if self.delays else None


def probabilities(scores: Sequence[Floats]) -> Floats:
    """Softmax of the scores of all takes, [N, T, classes]; after its end a short take shows its last frame."""
    longest = max(map(len, scores))
    rows = np.stack([np.concatenate([row, row[-1:].repeat(longest - len(row), 0)]) for row in scores])
    powers = np.exp(rows - rows.max(2, keepdims=True))
    return np.asarray(powers / powers.sum(2, keepdims=True))


def announcements(found: Floats, rule: DecisionRule, thresholds: Sequence[float] = ()) -> NDArray[np.int64]:
    """The gesture announced after each frame, or -1: [K, N, T] for ``thresholds`` [K], that of the rule if none.

    What :class:`tsm_edge.smoothing.Smoother` does with each take for itself, for all of them and all thresholds at
    once; found: probabilities [N, T, classes]. With a rule without idle classes everything is a gesture.
    """
    least = np.array(thresholds or (rule.threshold,))[:, None]
    count, frames, classes = found.shape
    idle = np.isin(np.arange(classes), rule.idle)
    means, seen = _means(found, rule.window)
    best = means.argmax(2)
    likely = np.take_along_axis(means, best[..., None], 2)[..., 0] * seen / rule.window
    resting = np.where(idle, means, -1.0).argmax(2) if rule.idle else best
    decided = np.full((len(least), count), -1)
    result = np.full((len(least), count, frames), -1)
    recent: list[NDArray[np.int64]] = []
    for at in range(frames):
        stays = idle[best[:, at]] | (likely[:, at] >= least) | (best[:, at] == decided)
        winner = np.where(stays, best[:, at], resting[:, at])
        recent = [*recent, winner][-rule.agree :]
        full = at == 0 or len(recent) == rule.agree
        same = full & np.all([each == winner for each in recent], 0)
        rest = full & np.all([idle[each] for each in recent], 0)
        states = (np.where(idle[each], -1, each) for each in (winner, decided))
        changed = (same | rest) & np.not_equal(*states) if at else np.ones_like(same)
        decided = np.where(changed | same, winner, decided)
        result[:, :, at] = np.where(changed & ~idle[decided], decided, -1)
    return result


def _means(found: Floats, window: int) -> tuple[Floats, NDArray[np.int64]]:
    """Means over the last frames, [N, T, classes], and of how many, [T]; the oldest is added first, as by Smoother."""
    total = np.zeros_like(found)
    for age in reversed(range(min(window, found.shape[1]))):
        total[:, age:] += found[:, : found.shape[1] - age]
    seen = np.minimum(np.arange(1, found.shape[1] + 1), window)
    return total / seen[:, None], seen


def judge(announced: NDArray[np.int64], store: Store) -> Judged:
    """Hold announcements [N, T] (-1: none) against the cues of a store's takes."""
    after, alarms, quiet, delays = round(LATE_S * store.rate_fps), 0, 0, []
    by_class: dict[int, tuple[int, int, int]] = {}
    for entry, row in zip(store.entries, announced):
        free = np.ones(entry.count, bool)
        said = row[: entry.count]
        for label, begin, end in entry.cues:
            free[begin : end + after] = False
            heard = said[begin : end + after]
            right, wrong = np.flatnonzero(heard == label), bool(((heard >= 0) & (heard != label)).any())
            delays += [(int(right[0]) + 1) / store.rate_fps] if len(right) else []
            made, yes, no = by_class.get(label, (0, 0, 0))
            by_class[label] = (made + 1, yes + bool(len(right)), no + wrong)
        alarms += int((said[free] >= 0).sum())
        quiet += int(free.sum())
    return Judged(alarms, quiet / store.rate_fps / 60, tuple(delays), dict(sorted(by_class.items())))


def judged(scored: Scored, rule: DecisionRule) -> Judged:
    """What a demo with this rule says to the takes."""
    return judge(announcements(probabilities(scored.scores), rule)[0], scored.store)


def balance(scored: Scored) -> Floats:
    """What to add to the scores [classes] so that most clips are recognised: one number for all quiet classes.

    A network that is not sure answers that nothing happens, and how often it is right to do so depends on how often
    something happens: Menon et al., "Long-tail learning via logit adjustment", 2021. Of equal offsets the smallest.
    """
    quiet = np.array([is_quiet(label) for label in scored.store.labels], float)

    def recognised(offset: float) -> float:
        moved = scored.moved(offset * quiet)
        return measure.Measured(moved.rows, moved.targets, scored.store.labels).top1

    return max(_OFFSETS, key=recognised) * quiet


def balanced_top1(scored: Sequence[Scored]) -> float:
    """Top-1 over several stores, the scores of those of takes moved as :func:`balance` says."""
    moved = [each.moved(balance(each)) if each.store.takes else each for each in scored]
    rows, targets = [row for each in moved for row in each.rows], np.concatenate([each.targets for each in moved])
    return measure.Measured(rows, targets, scored[0].store.labels).top1


def choose(scored: Scored, most_wrong: float, most_alarms: float) -> tuple[DecisionRule, Judged, bool]:
    """The decision that announces most gestures, and whether it keeps both bounds; where none does, the nearest.

    most_wrong: share of the gestures; most_alarms: a minute. Of equal ones the earlier, then the more careful.
    """
    found, base = probabilities(scored.scores), DecisionRule.for_labels(scored.store.labels)
    options: list[tuple[tuple[float, ...], DecisionRule, Judged]] = []
    for window, agree in itertools.product(WINDOWS, AGREE):
        rule = replace(base, window=window, agree=agree)
        for threshold, announced in zip(THRESHOLDS, announcements(found, rule, THRESHOLDS)):
            result = judge(announced, scored.store)
            over = max(result.wrong - most_wrong, 0) + max(result.alarms_per_minute - most_alarms, 0)
            delay = result.delay_s if result.delay_s is not None else np.inf
            options.append(
                ((-over, result.right, -delay, threshold), replace(rule, threshold=threshold), result)
            )
    rank, rule, result = max(options, key=lambda option: option[0])
    return rule, result, rank[0] == 0
