"""One measurement from beginning to end: open everything, prove, time, profile, close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import boxes as regions
from ..bundle.manifest import Manifest
from ..files.temporaries import scratch
from . import accuracy, ceiling, machine, peers, per_op
from .accuracy import Clips
from .ceiling import Ceiling
from .edge import EdgeRunner, SelfCheck
from .network import network_of
from .per_op import OpTime
from .runner import Runner, frames
from .stop import StopRule
from .turns import Entry, Outcome, Turn, contest, opened


@dataclass(frozen=True)
class Results:
    """A finished measurement; ``entries`` begin with the bundle.

    ``ops``, ``ceiling`` and ``clips`` are empty unless asked for.
    """

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
    clips: Clips | None = None

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
    data: Path | None = None,
    count: int | None = None,
    boxes: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Results:
    """Time a bundle and its peers; nothing is returned when an output is wrong.

    threads: of every runtime; the bundle's own number when None. weights: the file the bundle was compiled from.
    operations: also time each operation and the machine's peak. data: clips to recognise, as `tsm-edge eval` takes
    them; count: only so many. boxes: the
    file of a network of regions, for all runtimes. say: told what goes on.

    Raises:
        VerificationError: an output differs; UnknownName, ExtraMissing: of a peer; UsageError: bad ``weights`` or
        ``data``; DataError: clips cannot be read; AccuracyError: scores of clips are no numbers; BundleError and
        others of :func:`tsm_edge.runtime.open`.
    """
    peers.check(against)
    facts, turn, load = machine.facts(), Turn(), machine.load_1min()
    if load > machine.BUSY:
        say(f"warning: this machine is busy (load {load}); times will be too long and uneven")
    entries: list[Entry] = []
    with scratch() as cache:
        try:
            runner, ours = opened(lambda: EdgeRunner(bundle, threads))
            entries.append(ours)
            model, inputs = runner.model, frames(runner.model.signature.inputs[0])
            clips = accuracy.opened(data, cache, model.manifest, count) if data else None
            given = None if boxes is None else regions.read(boxes, model.signature)
            _open_others(entries, runner, bundle, against, weights, say)
            say("measuring")
            outcome = contest(entries, inputs, rule, turn, given)
            ops: list[OpTime] = []
            roof = None
            if operations:
                say("measuring operations and the machine's peak")
                ops, roof = per_op.profile(runner, inputs), ceiling.measure(model.threads)
            if clips is not None:
                accuracy.measure_all(entries, clips)
        finally:
            for entry in reversed(entries):
                entry.runner.close()
    manifest, threads = model.manifest, model.threads
    return Results(bundle, manifest, threads, facts, rule, turn, entries, outcome, ops, roof, clips)


def _open_others(
    entries: list[Entry],
    runner: EdgeRunner,
    bundle: Path,
    against: Sequence[str],
    weights: Path | None,
    say: Callable[[str], None],
) -> None:
    """Append what the bundle is compared with, so that the caller can close what was opened before a failure."""
    (ours,) = entries
    if not against:
        entries.append(opened(lambda: SelfCheck(runner), ours, timed=False)[1])
        return
    network = network_of(runner.model.manifest, weights, bundle)
    for name in against:
        say(f"opening {name}")

        def make(name: str = name) -> Runner:
            return peers.load(name, network, runner.model.threads)

        entries.append(opened(make, ours)[1])
