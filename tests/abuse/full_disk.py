"""Walk every call of every writing verb that changes the disk, and refuse each one in turn.

For each scene and n = 1, 2, 3 … the nth call fails: once alone (an error of the moment), and once with all later calls
that take space (a disk that stays full). Then the exit code and the message must fit, every file must be the older or
the newer one, and no temporary may be left.

    python tests/abuse/full_disk.py --long
    python tests/abuse/full_disk.py --scenes bundle,export --sample 8
"""

from __future__ import annotations

import argparse
import errno
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
import disk_lab
import disk_scenes

#: an error of the moment takes turns, for each has a hint of its own
ONCE = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EDQUOT)
HINTS = {
    errno.EIO: "the disk failed",
    errno.ENOSPC: "disk is full",
    errno.EROFS: "read-only",
    errno.EMFILE: "ulimit -n",
    errno.EDQUOT: "quota",
}


def fault_of(stage: disk_lab.Stage, refusal: disk_lab.Refusal, outcome: disk_lab.Outcome) -> str:
    """What is wrong with how a refused run ended, "" for nothing."""
    fault = stage.fault()
    if fault:
        return fault
    if outcome.code == 0:
        return "" if stage.state() == stage.newer else "exit code 0, and the older result is there"
    if outcome.code != 1:
        return f"exit code {outcome.code}: {outcome.text[-500:]}"
    at = outcome.text.find("error[")
    if at < 0 or "unexpectedly" in outcome.text or "Traceback" in outcome.text:
        return f"no message: {outcome.text[-500:]}"
    hidden = outcome.refused.endswith(".part.mp4") and not refusal.stays  # FFmpeg keeps the error of a moment to itself
    if ("disk" if hidden else HINTS[refusal.number]) not in outcome.text[at:]:
        return f"the hint does not fit {errno.errorcode[refusal.number]}: {outcome.text[at:]}"
    return ""


def walk(scene: disk_lab.Scene, sample: int) -> tuple[int, int, list[str]]:
    """Refuse the calls of a scene; return how many calls there are, how many runs were made, and the faults."""
    faults, runs = [], 0
    with disk_lab.stage(scene) as stage:
        for nth in disk_lab.spread(stage.calls, sample):
            for stays in (False, True):
                number = errno.ENOSPC if stays else ONCE[nth % len(ONCE)]
                refusal = disk_lab.Refusal(nth, stays, number)
                stage.again()
                outcome = disk_lab.run(stage.work, scene.act, refusal)
                runs += 1
                fault = fault_of(stage, refusal, outcome) if outcome.refused else ""
                if fault:
                    how = "and all later ones" if stays else "alone"
                    faults.append(f"{scene.name}, call {nth} {how}, {outcome.refused}: {fault}")
        return stage.calls, runs, faults


def main() -> int:
    """Walk the scenes and print a line for each; 1 when one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="every call of every scene")
    parser.add_argument("--scenes", default=",".join(disk_scenes.LIGHT))
    parser.add_argument("--sample", type=int, default=6, help="calls of each scene, 0 for all")
    options = parser.parse_args()
    disk_lab.preload()
    names = ",".join(scene.name for scene in disk_scenes.SCENES) if options.long else options.scenes
    failed = False
    for scene in disk_scenes.chosen(names):
        calls, runs, faults = walk(scene, 0 if options.long else options.sample)
        disk_lab.report(scene, [f"{calls:4} calls", f"{runs:4} runs"], faults)
        failed |= bool(faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
