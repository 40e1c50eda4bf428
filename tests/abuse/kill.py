"""Kill every writing verb with SIGKILL at random moments while it writes, and look at what it leaves.

After each kill every file must be the older or the newer one; what else is there must carry the name of a temporary,
and the next run of the verb must have swept it.

    python tests/abuse/kill.py --long
    python tests/abuse/kill.py --scenes bundle --kills 50 --seed 7
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
import disk_lab
import disk_scenes

LONG_KILLS = 200
_LATEST_S = 0.003


def kill_once(stage: disk_lab.Stage, call: int, later_s: float) -> bool:
    """Start the verb and kill it so long after its nth call that changes the disk; whether it was still running.

    To wait for a call and not for a time puts the kills where something is written: most of a verb's time is not.
    """
    pid, reading = disk_lab.start(stage.work, stage.scene.act, told=call)
    os.read(reading, 1)
    time.sleep(later_s)
    os.kill(pid, signal.SIGKILL)
    return disk_lab.finish(stage.work, pid, reading).code < 0


def campaign(scene: disk_lab.Scene, kills: int, chance: random.Random) -> tuple[dict[str, int], list[str]]:
    """Kill a scene so often; return how often it was killed and what was there then, and the faults."""
    counts = {"killed": 0, "older": 0, "newer": 0, "both": 0, "litter": 0}
    faults: list[str] = []
    with disk_lab.stage(scene) as stage:
        tries = 0
        while counts["killed"] < kills and tries < 3 * kills:
            tries += 1
            stage.again()
            call, later = chance.randint(1, stage.calls), chance.choice((0.0, chance.uniform(0, _LATEST_S)))
            if not kill_once(stage, call, later):
                continue
            counts["killed"] += 1
            counts["litter"] += bool(stage.leftovers())
            state = stage.state()
            kind = "older" if state == stage.older else "newer" if state == stage.newer else "both"
            counts[kind] += 1
            fault = stage.fault(litter=True) or _after(stage)
            if fault:
                faults.append(f"{scene.name}, killed {later * 1e3:.2f} ms after call {call} of {stage.calls}: {fault}")
    return counts, faults


def _after(stage: disk_lab.Stage) -> str:
    """Where a kill left litter, run the verb to its end: the litter must be gone; "" when all is well."""
    if not stage.leftovers():
        return ""
    outcome = disk_lab.run(stage.work, stage.scene.act)
    if outcome.code != 0:
        return f"the next run ended with {outcome.code}: {outcome.text[-500:]}"
    left = stage.leftovers()
    return f"the next run left {left[0]}" if left else ""


def main() -> int:
    """Kill the scenes and print a line for each; 1 when one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help=f"{LONG_KILLS} kills of every scene")
    parser.add_argument("--scenes")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    disk_lab.preload()
    every = ",".join(scene.name for scene in disk_scenes.SCENES)
    names = options.scenes or (every if options.long else ",".join(disk_scenes.LIGHT))
    chance, failed = random.Random(options.seed), False
    for scene in disk_scenes.chosen(names):
        counts, faults = campaign(scene, LONG_KILLS if options.long else options.kills, chance)
        disk_lab.report(scene, [f"{number:4} {name}" for name, number in counts.items()], faults)
        failed |= bool(faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
