"""One measurement from beginning to end: open everything, prove, time, profile, close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bundle.manifest import Manifest
from . import ceiling, machine, peers, per_op
from .ceiling import Ceiling
from .edge import EdgeRunner, SelfCheck
from .network import network_of
from .per_op import OpTime
from .runner import Runner, frames
from .stop import StopRule
from .turns import Entry, Outcome, Turn, contest, opened


@dataclass(frozen=True)
class Results:
    """A finished measurement; ``entries`` begin with the bundle, ``ops`` and ``ceiling`` are empty unless asked for."""

    bundle: Path
    manifest: Manifest
    threads: int
    machine: dict[str, object]
    rule: StopRule
    turn: Turn
    entries: Sequence[Entry]
    outcome: Outcome
    ops: Sequence[OpTime]
    ceiling: Ceiling | None

    @property
    def timed(self) -> list[Entry]:
        """The bundle, then the peers."""
        return [entry for entry in self.entries if entry.timed]


def measure(
    bundle: Path,
    rule: StopRule,
    *,
    threads: int | None = None,
    against: Sequence[str] = (),
    weights: Path | None = None,
    operations: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Results:
    """Time a bundle and its peers; nothing is returned when an output is wrong.

    threads: of every runtime; the bundle's own number when None. weights: the file the bundle was compiled from.
    operations: also time each operation and the machine's peak. say: told what goes on.

    Raises:
        VerificationError: an output differs; UnknownName, ExtraMissing: of a peer; UsageError: bad ``weights``;
        BundleError and others of :func:`tsm_edge.runtime.open`.
    """
    peers.check(against)
    facts, turn, load = machine.facts(), Turn(), machine.load_1min()
    if load > machine.BUSY:
        say(f"warning: this machine is busy (load {load}); times will be too long and uneven")
    entries: list[Entry] = []
    try:
        runner = _open_all(entries, bundle, threads, against, weights, say)
        say("measuring")
        model, inputs = runner.model, frames(runner.model.signature.inputs[0])
        outcome = contest(entries, inputs, rule, turn)
        ops: list[OpTime] = []
        roof = None
        if operations:
            say("measuring operations and the machine's peak")
            ops, roof = per_op.profile(runner, inputs), ceiling.measure(model.threads)
    finally:
        for entry in reversed(entries):
            entry.runner.close()
    return Results(bundle, model.manifest, model.threads, facts, rule, turn, entries, outcome, ops, roof)


def _open_all(
    entries: list[Entry],
    bundle: Path,
    threads: int | None,
    against: Sequence[str],
    weights: Path | None,
    say: Callable[[str], None],
) -> EdgeRunner:
    """Append the bundle and what it is compared with, so that the caller can close what was opened before a failure."""
    runner, ours = opened(lambda: EdgeRunner(bundle, threads))
    entries.append(ours)
    if not against:
        entries.append(opened(lambda: SelfCheck(runner), ours, timed=False)[1])
        return runner
    network = network_of(runner.model.manifest, weights)
    for name in against:
        say(f"opening {name}")

        def make(name: str = name) -> Runner:
            return peers.load(name, network, runner.model.threads)

        entries.append(opened(make, ours)[1])
    return runner
