"""The measuring loop: who steps when, what is timed, and that a wrong output ends it."""

from __future__ import annotations

import time

import pytest

from tsm_edge.bench.stop import StopRule
from tsm_edge.bench.turns import PROOF_STEPS, Entry, Turn, contest, opened
from tsm_edge.errors import VerificationError

QUICK = Turn(pause_secs=0, untimed=1, timed=2)
TWO_ROUNDS = StopRule(min_runs=4, min_secs=0)


@pytest.fixture
def duel(make):
    """Return duel(spoil) -> (entries of "a" and "b", log); spoil changes what "b" gives away."""

    def build(spoil=None):
        log = []
        first = Entry(make.runner("a", log))
        return [first, Entry(make.runner("b", log, spoil), reference=first)], log

    return build


def test_proof_first_and_then_turns(duel, make):
    entries, log = duel()
    log.clear()
    outcome = contest(entries, make.frames(5), TWO_ROUNDS, QUICK)
    steps = [f"{name}{value:g}" if value != "reset" else f"{name}-reset" for name, value in log]
    proof = [1, 2, 3, 4, 5, 1, 2, 3]
    assert len(proof) == PROOF_STEPS
    assert steps == [
        *("a-reset", *(f"a{n}" for n in proof)),
        *("b-reset", *(f"b{n}" for n in proof)),
        *("a4", "a5", "a1", "b4", "b5", "b1"),
        *("a2", "a3", "a4", "b2", "b3", "b4"),
    ]
    assert (outcome.rounds, outcome.ended_by) == (2, "enough")


def test_what_is_timed(duel, make):
    entries, _ = duel()
    entries[1].timed = False
    contest(entries, make.frames(4), TWO_ROUNDS, QUICK)
    ours, witness = entries
    assert len(ours.times_ns) == ours.figures.runs == 4
    assert witness.times_ns == []
    assert ours.first_ns > 0 and len(ours.warm_ns) == PROOF_STEPS - 1
    assert witness.agreement.compared == PROOF_STEPS + 2 * 3
    assert ours.agreement is None


def test_a_step_is_timed_without_what_is_around_it(make):
    class Slow(make.runner):
        def step(self, frame):
            time.sleep(0.005)
            return super().step(frame)

        def states(self):
            time.sleep(0.05)
            return super().states()

    entry = Entry(Slow("slow", []))
    contest([entry], make.frames(4), StopRule(4, 0), Turn(pause_secs=0.05, untimed=1, timed=2))
    assert 5 <= entry.figures.median_ms < 45


def scores_off(step, scores, state):
    if step == 5:
        scores += 1


def later_scores_off(step, scores, state):
    if step == PROOF_STEPS + 1:
        scores *= 1.001


def untimed_scores_off(step, scores, state):
    if step == PROOF_STEPS:
        scores *= 1.001


def states_off(step, scores, state):
    if step == PROOF_STEPS + 5:  # the last step of the second turn
        state[0, 2] *= 1.001


def not_a_number(step, scores, state):
    if step == PROOF_STEPS + 2:
        scores[0] = float("nan")


@pytest.mark.parametrize(
    "spoil", [scores_off, later_scores_off, untimed_scores_off, states_off, not_a_number]
)
def test_a_wrong_output_ends_it(duel, make, spoil):
    entries, _ = duel(spoil)
    with pytest.raises(VerificationError, match="b does not compute what a computes"):
        contest(entries, make.frames(5), TWO_ROUNDS, QUICK)


def test_a_reference_that_breaks_is_caught_without_a_peer(make):
    entry = Entry(make.runner("a", [], not_a_number))
    with pytest.raises(VerificationError, match="no finite numbers"):
        contest([entry], make.frames(5), TWO_ROUNDS, QUICK)


def test_a_runner_that_ignores_the_frame_is_caught(make):
    def constant(step, scores, state):
        scores[:] = 1

    entry = Entry(make.runner("a", [], constant))
    with pytest.raises(VerificationError, match="same scores for every frame"):
        contest([entry], make.frames(5), TWO_ROUNDS, QUICK)


def test_small_differences_are_allowed_and_reported(duel, make):
    def a_little(step, scores, state):
        scores *= 1 + 1e-6

    entries, _ = duel(a_little)
    contest(entries, make.frames(5), TWO_ROUNDS, QUICK)
    assert 0 < entries[1].agreement.worst < 1e-5


def test_the_cap_ends_it(duel, make):
    entries, _ = duel()
    outcome = contest(entries, make.frames(5), StopRule(10**6, 0, 0.05), QUICK)
    assert outcome.ended_by == "max-secs" and outcome.seconds >= 0.05
    assert entries[0].figures.runs == 2 * outcome.rounds


def test_opening_is_timed(make):
    def slow():
        time.sleep(0.01)
        return make.runner("a", [])

    runner, entry = opened(slow)
    assert entry.runner is runner and entry.open_ns >= 10_000_000
