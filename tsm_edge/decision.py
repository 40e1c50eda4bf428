"""How the scores of a model become a decision over time: the kinds of scores, and the parameters of the decision.

Both are facts of a model. The compiler writes them into the manifest and into the bundle's library, and every reader of
scores (demo, ``tsm-edge-run``, ``eval``) takes them from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import ModelError

#: what a network's output is, by its last operation: nothing in particular, Softmax, LogSoftmax, Sigmoid. The order is
#: that of ``tsm_scores_kind`` in tsm_edge.h.
SCORES = ("logits", "probabilities", "log-probabilities", "sigmoid")
#: most frames of ``window`` and ``agree``
MAX_FRAMES = 1000
#: labels of the hand gesture data sets for "nobody means anything by it"
QUIET = frozenset({"no gesture", "doing other things", "nothing", "background"})


def is_quiet(label: str) -> bool:
    """Whether a class means that there is nothing to report."""
    return label.strip().lower() in QUIET


@dataclass(frozen=True)
class DecisionRule:
    """Parameters of the decision over time.

    Args:
        window: number of frames whose probabilities are averaged, 1 to ``MAX_FRAMES``.
        agree: number of successive means that must agree before the decision changes, 1 to ``MAX_FRAMES``.
        threshold: mean probability, 0..1, that a class must reach to be decided instead of an idle one.
        idle: indices of the classes that mean "nothing to report", ascending.

    Raises:
        ModelError: a value outside its range.
    """

    window: int = 8
    agree: int = 2
    threshold: float = 0.8
    idle: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("window", "agree"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_FRAMES:
                raise ModelError(
                    f"Decision: bad {name}.", found=repr(value), allowed=f"an integer from 1 to {MAX_FRAMES}"
                )
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, (int, float)):
            raise ModelError("Decision: bad threshold.", found=repr(self.threshold), allowed="0..1")
        if not 0 <= self.threshold <= 1:
            raise ModelError("Decision: bad threshold.", found=self.threshold, allowed="0..1")
        object.__setattr__(self, "threshold", float(self.threshold))
        if any(isinstance(index, bool) or not isinstance(index, int) or index < 0 for index in self.idle):
            raise ModelError("Decision: bad idle.", found=self.idle, allowed="indices of classes")
        if list(self.idle) != sorted(set(self.idle)):
            raise ModelError("Decision: bad idle.", found=self.idle, allowed="ascending, none twice")

    @classmethod
    def for_labels(cls, labels: Sequence[str]) -> DecisionRule:
        """Return the default rule; the classes of :func:`is_quiet` are idle."""
        return cls(idle=tuple(index for index, label in enumerate(labels) if is_quiet(label)))
